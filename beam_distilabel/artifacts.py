"""Files that Steps keep with a run: `<run directory>/artifacts/<step>/<name>/`, from any worker.

An artifact is saved as a whole, and a save with the same name replaces the one before, also when
several workers or retried bundles save at once. On this machine's filesystem a folder is made
beside and renamed, so that a reader sees one save or another. Object stores have nothing that could
be renamed: there every save is staged in `<run directory>/.artifacts/` under a number, and whoever
publishes takes the highest one, until no higher one has come. Then what is there at the end is one
whole save; in between a reader may see parts of two.
"""

from __future__ import annotations

import errno
import json
import os
import posixpath
import re
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fsspec.implementations.local import LocalFileSystem

from beam_distilabel.errors import DistilabelError, DistilabelUserError
from beam_distilabel.filesystems import url_to_fs
from beam_distilabel.layout import ARTIFACTS_FOLDER

METADATA_FILE = "metadata.json"
STAGING_FOLDER = ".artifacts"
"""Beside the artifacts' folder: what is being saved, and on object stores what was."""

_NAME = re.compile(r"\w(?:[\w .-]{0,198}[\w-])?")
_CLAIM = re.compile(r"(?P<number>\d{10})-(?P<save>[0-9a-f]{32})")
_ATTEMPTS = 100


def check_artifact(name: Any, metadata: Any, described: str) -> str:
    """The content of an artifact's metadata file, once its name and metadata have been checked.

    Args:
        name: what it is to be called.
        metadata: a dict of what JSON has, or None.
        described: the Step, for messages.

    Raises:
        DistilabelUserError: the name is no plain folder name, or the metadata isn't JSON.

    Example:
        >>> check_artifact("index", {"rows": 3}, "Step 'nearest'")
        '{"rows": 3}'
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise DistilabelUserError(
            f"{described}: save_artifact: {name!r} can't be an artifact's name: it is a folder's, "
            "of letters, digits, '_', '-', ' ' and '.', and begins with a letter, digit or '_'."
        )
    if metadata is not None and not isinstance(metadata, dict):
        raise DistilabelUserError(
            f"{described}: save_artifact: the metadata of {name!r} has to be a dict, got "
            f"{type(metadata).__name__}."
        )
    wrong = next(_not_json(metadata or {}, "metadata"), None)
    if wrong is not None:
        raise DistilabelUserError(
            f"{described}: save_artifact: the metadata of {name!r} has to be JSON: {wrong}."
        )
    return json.dumps(metadata or {})


def save(
    run_dir: str,
    step: str,
    name: str,
    write_function: Callable[[Path], object],
    metadata: str,
    described: str,
) -> None:
    """Make an artifact and put it where the run keeps it.

    Args:
        run_dir: the run directory, on any filesystem.
        step: the Step's name.
        name: the artifact's name, checked.
        write_function: writes files into the empty local folder that it gets; what it returns is
            ignored.
        metadata: see `check_artifact`. A `metadata.json` of the function's own is kept if this is
            empty.
        described: the Step, for messages.

    Raises:
        DistilabelUserError: the function left something that isn't a file of the folder, or the
            metadata twice.
    """
    filesystem, root = url_to_fs(run_dir.rstrip("/") or "/")
    final = posixpath.join(root, ARTIFACTS_FOLDER, step, name)
    staging = posixpath.join(root, STAGING_FOLDER)
    described = f"{described}: save_artifact {name!r}"
    if isinstance(filesystem, LocalFileSystem):
        # Written where it stays: an artifact may be larger than the disk for temporary files.
        folder = _make_folder(Path(staging))
        try:
            _write(folder, write_function, metadata, described)
            _replace_folder(folder, Path(final))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            _remove_if_empty(Path(staging))
        return
    with TemporaryDirectory() as temporary:
        files = _write(Path(temporary), write_function, metadata, described)
        _publish(filesystem, posixpath.join(staging, step, name), final, Path(temporary), files)


# -- what the function writes ----------------------------------------------------------------------


def _write(
    folder: Path, write_function: Callable[[Path], object], metadata: str, described: str
) -> list[str]:
    """The names of all files, once they are written and what they mustn't be was ruled out."""
    write_function(folder)
    own = folder / METADATA_FILE
    if not os.path.lexists(own):
        own.write_text(metadata, encoding="utf-8")
    elif metadata != "{}":
        raise DistilabelUserError(
            f"{described}: the write function wrote {METADATA_FILE}, which is where `metadata` "
            "goes. Give that file another name, or no `metadata`."
        )
    files = []
    for parent, folders, names in os.walk(folder):
        for entry in (*folders, *names):
            path = Path(parent, entry)
            relative = path.relative_to(folder).as_posix()
            if path.is_symlink():
                _copy_link_target(path, folder, f"{described}: {relative!r}")
            elif entry in names and not path.is_file():
                raise DistilabelUserError(f"{described}: {relative!r} is neither file nor folder.")
            if entry in names:
                files.append(relative)
    return sorted(files)


def _copy_link_target(link: Path, folder: Path, described: str) -> None:
    # Never what lies outside: that would publish any file of the worker.
    target = link.resolve()
    if not target.is_relative_to(folder.resolve()) or not target.is_file():
        raise DistilabelUserError(
            f"{described} is a link to something else than a file of the artifact. Copy what it "
            "points to."
        )
    link.unlink()
    shutil.copyfile(target, link)


def _not_json(value: Any, where: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            if isinstance(key, str):
                yield from _not_json(item, f"{where}[{key!r}]")
            else:
                yield f"a key of {where} is a {type(key).__name__}"
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _not_json(item, f"{where}[{index}]")
    elif isinstance(value, float) and (value != value or value in (float("inf"), -float("inf"))):
        yield f"{where} is {value}"
    elif value is not None and not isinstance(value, str | int | float):
        yield f"{where} is a {type(value).__name__}"  # not the value: it may be a secret


# -- this machine's filesystem ---------------------------------------------------------------------


def _replace_folder(folder: Path, final: Path) -> None:
    final.parent.mkdir(parents=True, exist_ok=True)
    older = folder.with_name(f"{folder.name}-older")
    for _ in range(_ATTEMPTS):
        try:
            folder.rename(final)  # succeeds only where nothing is, or an empty folder
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        else:
            return
        try:
            final.rename(older)
        except FileNotFoundError:
            continue  # another save took it away first
        shutil.rmtree(older)
    raise DistilabelError(
        f"{str(final)!r} was replaced {_ATTEMPTS} times while it was being saved."
    )


def _make_folder(staging: Path) -> Path:
    folder = staging / uuid.uuid4().hex
    while True:
        staging.mkdir(parents=True, exist_ok=True)
        try:
            folder.mkdir()
        except FileNotFoundError:
            continue  # a save that is done has removed the empty staging folder
        return folder


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        return  # another save is at work, or has removed it


# -- other filesystems -----------------------------------------------------------------------------


def _publish(filesystem: Any, staging: str, final: str, folder: Path, files: list[str]) -> None:
    """Stage the files, then make the highest save the one that is published."""
    this = uuid.uuid4().hex
    for file in files:
        _make_parent(filesystem, target := posixpath.join(staging, this, file))
        filesystem.put_file(str(folder / file), target)
    number = 1 + max(
        (int(name.partition("-")[0]) for name in _claims(filesystem, staging)), default=0
    )
    # Made last: what is claimed has been staged whole. Its name says all, since it may be seen half
    # written; it isn't empty, since Beam's S3 can't write empty files.
    filesystem.pipe_file(posixpath.join(staging, f"{number:010d}-{this}"), b"staged\n")
    published = None
    for _ in range(_ATTEMPTS):
        winner = max(_claims(filesystem, staging), default=None)
        if winner is None:
            continue  # listed while a higher save took this one's place
        if winner == published:
            _remove_older(filesystem, staging, winner)
            return
        try:
            _copy_staged(filesystem, staging, winner, final)
        except FileNotFoundError:
            if max(_claims(filesystem, staging), default=None) == winner:
                raise  # not taken away by a higher save
            continue
        published = winner
    raise DistilabelError(f"{final!r} was replaced {_ATTEMPTS} times while it was being saved.")


def _claims(filesystem: Any, staging: str) -> list[str]:
    if hasattr(filesystem, "invalidate_cache"):
        filesystem.invalidate_cache()  # other workers write there
    if not filesystem.isdir(staging):
        return []
    names = (posixpath.basename(path) for path in filesystem.ls(staging, detail=False))
    return [name for name in names if _CLAIM.fullmatch(name)]


def _copy_staged(filesystem: Any, staging: str, claim: str, final: str) -> None:
    save = posixpath.join(staging, _save_of(claim))
    files = [path[len(save) :].lstrip("/") for path in filesystem.find(save)]
    for file in files:
        _make_parent(filesystem, target := posixpath.join(final, file))
        filesystem.cp_file(posixpath.join(save, file), target)
    for path in filesystem.find(final):
        if path[len(final) :].lstrip("/") not in files:
            _remove(filesystem, path)


def _save_of(claim: str) -> str:
    return claim.partition("-")[2]


def _remove_older(filesystem: Any, staging: str, winner: str) -> None:
    # The winner's files stay: a save that began earlier may still have to publish them again.
    for claim in _claims(filesystem, staging):
        if claim < winner:
            _remove(filesystem, posixpath.join(staging, claim))
            _remove(filesystem, posixpath.join(staging, _save_of(claim)))


def _remove(filesystem: Any, path: str) -> None:
    try:
        filesystem.rm(path, recursive=True)
    except FileNotFoundError:
        return  # by another save


def _make_parent(filesystem: Any, path: str) -> None:
    filesystem.makedirs(posixpath.dirname(path), exist_ok=True)
