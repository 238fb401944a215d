"""Paths on any filesystem: what fsspec knows, and what only Beam knows.

A path is local or a URL. Its scheme is looked up in fsspec first, which takes options (credentials,
endpoints) by keyword. Where fsspec doesn't know the scheme, or the package that it needs isn't
there, the filesystems of Beam are asked (`apache_beam.io.filesystems`): those that come with
`apache-beam[gcp]`, `[aws]`, `[azure]` and `[hadoop]`, and any subclass of
`apache_beam.io.filesystem.FileSystem` that a program has imported, on its workers too. They take
their credentials from the pipeline's options. Where neither knows it, the error names the packages.

Two things hold on object stores, whichever way they are reached: folders exist only as long as
there is a file below them, and moving a folder is not atomic. Beam's object stores list all files
below a folder to list the folder.

Example:
    >>> filesystem, folder = url_to_fs("memory://shelf")
    >>> with open_file("memory://shelf/box/note.txt", "w") as file:
    ...     _ = file.write("here")
    >>> [entry["name"] for entry in filesystem.ls(folder + "/box")]
    ['/shelf/box/note.txt']
"""

from __future__ import annotations

import errno
import importlib.util
import logging
import re
import time
import uuid
from collections.abc import Callable
from typing import Any, TypeVar

import fsspec
from fsspec.utils import get_protocol

from beam_distilabel.beam_filesystem import BeamFileSystem
from beam_distilabel.errors import DistilabelUserError

T = TypeVar("T")

ATTEMPTS = 6
"""How often something is tried at a filesystem."""

FIRST_DELAY = 0.1
"""Seconds before the second attempt; before each further one it is twice as long."""

# What another attempt wouldn't mend. Errors of object stores have no number.
_LASTING = frozenset(
    getattr(errno, name, 0)
    for name in (
        "EACCES EDQUOT EEXIST EFBIG EISDIR ENAMETOOLONG ENOENT ENOSPC ENOTDIR ENOTEMPTY EPERM EROFS"
    ).split()
)
_LASTING_ERRORS = (FileExistsError, FileNotFoundError, IsADirectoryError, PermissionError)

logger = logging.getLogger(__name__)

# What fsspec calls otherwise than Beam.
_BEAM_SCHEMES = {"gcs": "gs", "s3a": "s3"}
# What Beam's own filesystems import.
_BEAM_MODULES = {
    "gs": "google.cloud.storage",
    "s3": "boto3",
    "azfs": "azure.storage.blob",
    "hdfs": "hdfs",
}
_PACKAGES = {
    "gs": "`pip install gcsfs` or `pip install 'apache-beam[gcp]'`",
    "s3": "`pip install s3fs` or `pip install 'apache-beam[aws]'`",
    "azfs": "`pip install 'apache-beam[azure]'`",
    "abfs": "`pip install adlfs`",
    "az": "`pip install adlfs`",
    "hdfs": "`pip install 'apache-beam[hadoop]'`",
}


def url_to_fs(path: str, **options: Any) -> tuple[Any, str]:
    """The filesystem of a path or URL, and the path there.

    Args:
        path: a local path or a URL such as `gs://bucket/folder`.
        options: for the filesystem; `auto_mkdir` goes to those that have it.

    Returns:
        An fsspec filesystem, which can be pickled, and the name to use with it.

    Raises:
        DistilabelUserError: nothing knows the scheme, or options were given to a filesystem that
            only Beam knows.

    Example:
        >>> url_to_fs("memory://folder/file")[1]
        '/folder/file'
    """
    scheme, chained = _scheme(path)
    missing: ImportError | None = None
    # Classes that a program has registered are in the registry alone.
    if chained or scheme in fsspec.available_protocols() or scheme in fsspec.registry:
        try:
            filesystem, name = fsspec.url_to_fs(path, **options)
        except ImportError as error:
            missing = error
        else:
            return filesystem, str(name)
    beam_scheme = _BEAM_SCHEMES.get(scheme, scheme)
    if chained or not _beam_knows(beam_scheme):
        raise _unknown(path, scheme, missing) from missing
    refused = sorted(options.keys() - {"auto_mkdir"})
    if refused:
        raise DistilabelUserError(
            f"{_shown(path)!r}: the filesystem comes from Beam, which takes no storage options "
            f"(got {', '.join(refused)}). Set Beam's pipeline options, or install what fsspec "
            f"needs: {_remedy(scheme, missing)}."
        ) from missing
    filesystem = BeamFileSystem(beam_scheme)
    return filesystem, filesystem._strip_protocol(beam_scheme + path[len(scheme) :])


def open_file(path: str, mode: str = "rb", **options: Any) -> Any:
    """The file at a path or URL, open; text is UTF-8. Folders are made when it is written to.

    Example:
        >>> with open_file("memory://folder/file", "w") as file:
        ...     _ = file.write("text")
        >>> open_file("memory://folder/file", "r").read()
        'text'
    """
    filesystem, name = url_to_fs(path, **options)
    if "w" in mode:
        filesystem.makedirs(filesystem._parent(name), exist_ok=True)
    return filesystem.open(name, mode, **({} if "b" in mode else {"encoding": "utf-8"}))


def write_file(path: str, data: str | bytes) -> None:
    """Write a file whole: a reader sees the old one or the new one; see `persistently`.

    Raises:
        OSError: it can't be written.

    Example:
        >>> write_file("memory://folder/file", "text")
        >>> open_file("memory://folder/file", "r").read()
        'text'
    """
    filesystem, name = url_to_fs(path)
    content = data.encode() if isinstance(data, str) else data

    def write() -> None:
        part = f"{name}.{uuid.uuid4().hex[:12]}.part"
        filesystem.makedirs(filesystem._parent(name), exist_ok=True)
        try:
            with filesystem.open(part, "wb") as file:
                file.write(content)
            filesystem.mv(part, name)
        except BaseException:
            if filesystem.exists(part):
                filesystem.rm_file(part)
            raise

    persistently(f"Writing {_shown(path)}", write)


def persistently(what: str, attempt: Callable[[], T]) -> T:
    """What `attempt` returns; it is called again where the filesystem fails for the moment.

    Args:
        what: what is attempted, for the log.
        attempt: may be called several times.

    Raises:
        OSError: the last attempt's, or the first that another attempt wouldn't mend: a disk that is
            full, a folder that isn't there, a permission that is missing.

    Example:
        >>> persistently("Looking", lambda: "seen")
        'seen'
    """
    delay = FIRST_DELAY
    for number in range(1, ATTEMPTS):
        try:
            return attempt()
        except OSError as error:
            if error.errno in _LASTING or isinstance(error, _LASTING_ERRORS):
                raise
            logger.warning("%s failed (attempt %d of %d): %s", what, number, ATTEMPTS, error)
        time.sleep(delay)
        delay *= 2
    return attempt()


def _scheme(path: str) -> tuple[str, bool]:
    """The scheme of a path, "file" if it has none, and whether it is a chain (`a::b://...`)."""
    text = str(path)
    return str(get_protocol(text)), "::" in text


def _beam_knows(scheme: str) -> bool:
    from apache_beam.io import filesystems  # noqa: F401  # registers those that come with Beam
    from apache_beam.io.filesystem import FileSystem

    for known in FileSystem.get_all_subclasses():
        if known.scheme() == scheme:
            # Beam's own are there without the package that they need, and fail when they are used.
            own = known.__module__.startswith("apache_beam.io.") and scheme in _BEAM_MODULES
            return not own or _is_installed(_BEAM_MODULES[scheme])
    return False


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # of a package that holds it
        return False


def _unknown(path: str, scheme: str, missing: ImportError | None) -> DistilabelUserError:
    if missing is None and scheme not in _PACKAGES:
        return DistilabelUserError(
            f"{_shown(path)!r}: neither fsspec nor Beam knows the filesystem {scheme!r}. Check the "
            "path, or install the package that provides it."
        )
    return DistilabelUserError(
        f"{_shown(path)!r}: a package is missing for the filesystem {scheme!r}: "
        f"{_remedy(scheme, missing)}."
    )


def _remedy(scheme: str, missing: ImportError | None) -> str:
    known = _PACKAGES.get(_BEAM_SCHEMES.get(scheme, scheme))
    return known or (str(missing) if missing else "see fsspec's list of implementations")


def _shown(path: str) -> str:
    """The path without what may be a secret: a user and password, a query with a signature."""
    return re.sub(r"//[^/@]*@", "//...@", str(path)).partition("?")[0]
