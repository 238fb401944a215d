"""The result's folder: what may be written to it, and how staged files appear in it at once."""

from __future__ import annotations

import posixpath
import uuid
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from fsspec.implementations.local import LocalFileSystem

from beam_distilabel.errors import DistilabelError, DistilabelUserError
from beam_distilabel.filesystems import url_to_fs
from beam_distilabel.layout import WINDOWS_FOLDER, subset_names, window_of

_STAGING = ".staging-"
_COPIES_AT_ONCE = 16


def new_staging(path: str) -> str:
    """A folder in `path`, not made yet, where one write can stage its files."""
    return posixpath.join(path, f"{_STAGING}{uuid.uuid4().hex}")


def remove_staging(path: str) -> None:
    """Remove what writers that failed or were killed have staged in the folder `path`.

    Call it when nothing writes to `path`: a write that is under way loses its rows by it, and
    fails. Results stay; a folder that doesn't exist is fine.

    Args:
        path: what `WriteDistiset` was given.
    """
    filesystem, folder = url_to_fs(path)
    if not filesystem.isdir(folder):
        return
    for entry in filesystem.ls(folder, detail=False):
        if posixpath.basename(entry.rstrip("/")).startswith(_STAGING):
            filesystem.rm(entry, recursive=True)


def refuse_other_results(path: str, subsets: Iterable[str], *, overwrite: bool) -> None:
    """Raise if `path` holds what writing there would mix with, or destroy.

    Args:
        path: the folder to write to; it need not exist.
        subsets: the subsets to be written.
        overwrite: whether another result may be replaced.

    Raises:
        DistilabelUserError: it names what is in the way and the remedy.
    """
    filesystem, folder = url_to_fs(path)
    if filesystem.isfile(folder):
        raise DistilabelUserError(f"WriteDistiset: {path} is a file; name a folder.")
    results = subset_names(path)
    if results and not overwrite:
        raise DistilabelUserError(
            f"WriteDistiset: {path} already holds a result (subsets {', '.join(results)}). "
            "Write to another folder, or pass overwrite=True to replace it."
        )
    for name in subsets:
        if name not in results and filesystem.exists(posixpath.join(folder, name)):
            if filesystem.ls(posixpath.join(folder, name), detail=False):
                raise DistilabelUserError(
                    f"WriteDistiset: {posixpath.join(path, name)} holds files that aren't a "
                    "result's; move them away, or write to another folder."
                )


def refuse_results_without_windows(path: str, subsets: Iterable[str]) -> None:
    """Raise if `path` holds what windows written there would mix with.

    Args:
        path: the folder to write to; it need not exist, and may hold windows.
        subsets: the subsets to be written.

    Raises:
        DistilabelUserError: it names what is in the way and the remedy.
    """
    filesystem, folder = url_to_fs(path)
    if filesystem.isfile(folder):
        raise DistilabelUserError(f"WriteDistiset: {path} is a file; name a folder.")
    for name in sorted({*subsets, *subset_names(path)}):
        inner = posixpath.join(folder, name)
        if not filesystem.exists(inner):
            continue
        for file in filesystem.ls(inner, detail=False):
            base = posixpath.basename(file.rstrip("/"))
            # What ends otherwise was left by a worker that was killed.
            if window_of(base) is None and not base.endswith(".part"):
                raise DistilabelUserError(
                    f"WriteDistiset: {posixpath.join(path, name)} holds {base!r}, which is not of "
                    "a window; write windows to a folder of their own."
                )


def make_final(
    path: str, staging: str, moves: Mapping[str, Mapping[str, str]], *, overwrite: bool = False
) -> None:
    """Move staged files to their final names, replace what was there, remove the staging folder.

    Running it again after it was cut off, or had ended, does what is left to do.

    Args:
        path: the result's folder.
        staging: the staging folder in it.
        moves: per subset, staged path to final path, the latter relative to `path`.
        overwrite: whether an older result gives way, and with it what its writers left behind.

    Raises:
        DistilabelUserError: someone else has written a result there in the meantime.
        DistilabelError: staged files are gone.
    """
    filesystem, folder = url_to_fs(path)
    _, staged = url_to_fs(staging)
    wanted = {name: files for name, files in moves.items() if files}
    if isinstance(filesystem, LocalFileSystem):
        for name, files in wanted.items():
            _swap_folder(filesystem, folder, staged, name, files, overwrite)
    else:
        _copy_files(
            filesystem, folder, [pair for files in wanted.values() for pair in files.items()]
        )
    if overwrite:
        _remove_older(path, filesystem, folder, wanted)
        windows = posixpath.join(folder, WINDOWS_FOLDER)
        if filesystem.exists(windows):
            filesystem.rm(windows, recursive=True)
        remove_staging(path)
    elif filesystem.exists(staged):
        filesystem.rm(staged, recursive=True)


def _remove_older(
    path: str, filesystem: Any, folder: str, wanted: Mapping[str, Mapping[str, str]]
) -> None:
    for name in subset_names(path):
        older = posixpath.join(folder, name)
        if name not in wanted:
            filesystem.rm(older, recursive=True)
            continue
        kept = {posixpath.basename(final) for final in wanted[name].values()}
        for file in filesystem.ls(older, detail=False):
            if posixpath.basename(file) not in kept:
                filesystem.rm_file(file)


def _swap_folder(
    filesystem: Any,
    folder: str,
    staged: str,
    subset: str,
    files: Mapping[str, str],
    overwrite: bool,
) -> None:
    """Gather a subset's files in a new folder, then rename it to where the old one was."""
    new = posixpath.join(staged, "new", subset)
    final_folder = posixpath.join(folder, subset)
    filesystem.makedirs(new, exist_ok=True)
    gathered = 0
    for source, final in files.items():
        _, name = url_to_fs(source)
        target = posixpath.join(new, posixpath.basename(final))
        if filesystem.exists(name):
            filesystem.mv(name, target)
        gathered += filesystem.exists(target)
    if not gathered and all(filesystem.exists(posixpath.join(folder, f)) for f in files.values()):
        return  # an earlier attempt got this far
    if gathered != len(files):
        raise DistilabelError(
            f"WriteDistiset: {len(files) - gathered} staged files of subset {subset!r} are gone; "
            "was the staging folder removed while the pipeline ran?"
        )
    if filesystem.exists(final_folder):
        if not overwrite and filesystem.ls(final_folder, detail=False):
            raise DistilabelUserError(
                f"WriteDistiset: {final_folder} was written by someone else in the meantime. "
                "Run again with another folder, or pass overwrite=True to replace it."
            )
        older = posixpath.join(staged, f"old-{uuid.uuid4().hex}")
        filesystem.mv(final_folder, older, recursive=True)
    filesystem.mv(new, final_folder, recursive=True)


def _copy_files(filesystem: Any, folder: str, files: list[tuple[str, str]]) -> None:
    def move(pair: tuple[str, str]) -> None:
        _, source = url_to_fs(pair[0])
        target = posixpath.join(folder, pair[1])
        if filesystem.exists(source):
            filesystem.makedirs(posixpath.dirname(target), exist_ok=True)
            filesystem.mv(source, target)
        elif not filesystem.exists(target):
            raise DistilabelError(
                f"WriteDistiset: the staged file {pair[0]} is gone; was the staging folder removed "
                "while the pipeline ran?"
            )

    with ThreadPoolExecutor(_COPIES_AT_ONCE) as pool:
        list(pool.map(move, files))
