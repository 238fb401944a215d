"""A filesystem of Beam behind fsspec's interface."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import IO, Any

from fsspec.spec import AbstractFileSystem

from beam_distilabel.errors import DistilabelUserError

# Beam takes these for a pattern, also where it deletes.
_PATTERN = re.compile(r"[*?\[\]]")


class BeamFileSystem(AbstractFileSystem):  # type: ignore[misc]  # fsspec has no types
    """A filesystem of Beam behind fsspec's interface; the names in it are whole URLs.

    Reads and writes are uncompressed, whatever a file's name says. There is no appending, and
    empty files can't be written to S3, which Beam uploads in parts.

    Args:
        scheme: what is before `://`, such as "gs".

    Example:
        >>> BeamFileSystem("gs")._parent("gs://bucket/folder/file")
        'gs://bucket/folder'
    """

    protocol = "beam"

    def __init__(self, scheme: str) -> None:
        super().__init__()
        self.scheme = scheme

    @property
    def _beam(self) -> Any:
        # Asked anew each time: pipeline options, which have the credentials, come later than this.
        from apache_beam.io.filesystems import FileSystems

        return FileSystems.get_filesystem(f"{self.scheme}://")

    # -- names -----------------------------------------------------------------------------------

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(item) for item in path]
        scheme, separator, rest = str(path).partition("://")
        return scheme + separator + (rest.rstrip("/") or rest[:1])

    def unstrip_protocol(self, name: str) -> str:
        """The name itself: it is a URL."""
        return str(self._strip_protocol(name))

    @classmethod
    def _parent(cls, path: str) -> str:
        scheme, separator, rest = cls._strip_protocol(path).partition("://")
        above, slash, _ = rest.rpartition("/")
        return f"{scheme}{separator}{above or slash}"

    def _is_top(self, path: str) -> bool:
        """Whether the path is a bucket or the root, which can only be a folder."""
        rest = path.partition("://")[2].rstrip("/")
        parts = 0 if self._beam.has_dirs() else 2 if self.scheme == "azfs" else 1  # Azure: account
        return len(rest.split("/")) <= parts or not rest

    # -- looking ---------------------------------------------------------------------------------

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> list[Any]:
        """What is directly below a folder; of a file, the file itself."""
        path = self._strip_protocol(path)
        entries = self._children(path)
        if not entries:
            info = self.info(path)
            entries = {} if info["type"] == "directory" else {path: info}
        names = sorted(entries)
        return [entries[name] for name in names] if detail else names

    def find(
        self,
        path: str,
        maxdepth: int | None = None,
        withdirs: bool = False,
        detail: bool = False,
        **kwargs: Any,
    ) -> Any:
        """All files below a path, by one listing where there are no real folders."""
        path = self._strip_protocol(path)
        if self._beam.has_dirs() or maxdepth is not None or withdirs:
            return super().find(path, maxdepth, withdirs, detail, **kwargs)
        found = {
            item.path: _file_info(item) for item in self._listed(path) if item.path[-1:] != "/"
        }
        if not found and not self._is_top(path) and self._beam.exists(path):
            found = {path: self.info(path)}
        return dict(sorted(found.items())) if detail else sorted(found)

    def info(self, path: str, **kwargs: Any) -> dict[str, Any]:
        """Name, size, type ("file" or "directory") and `mtime` of a path."""
        path = self._strip_protocol(path)
        folder = {"name": path, "size": 0, "type": "directory"}
        if self._is_top(path):
            return folder
        beam = self._beam
        if beam.exists(path):
            if beam.has_dirs() and self._is_folder(path):
                return folder
            with self._absence_told([path]):
                return _file_info(beam.metadata(path))
        if not beam.has_dirs() and next(self._listed(path), None) is not None:
            return folder
        raise FileNotFoundError(path)

    def exists(self, path: str, **kwargs: Any) -> bool:
        """Whether there is a file or a folder; errors other than its absence are raised."""
        try:
            self.info(path)
        except FileNotFoundError:
            return False
        return True

    def isdir(self, path: str) -> bool:
        """Whether the path is a folder; errors other than its absence are raised."""
        return self.exists(path) and self.info(path)["type"] == "directory"

    def isfile(self, path: str) -> bool:
        """Whether the path is a file; errors other than its absence are raised."""
        return self.exists(path) and self.info(path)["type"] == "file"

    def _listed(self, path: str) -> Iterator[Any]:
        # `_list` is what every filesystem of Beam implements; `match` on top of it takes some
        # names for patterns. Where there are no folders it goes by prefix, so `a/` and not `a`,
        # which `ab` begins with too.
        prefix = path if self._beam.has_dirs() else path.rstrip("/") + "/"
        return iter(self._beam._list(prefix))

    def _children(self, path: str) -> dict[str, dict[str, Any]]:
        beam, start = self._beam, path.rstrip("/") + "/"
        if beam.has_dirs() and not self._is_folder(path):
            return {}
        children: dict[str, dict[str, Any]] = {}
        for item in self._listed(path):
            if not item.path.startswith(start):
                continue  # a file, listed as itself
            name, deeper, _ = item.path[len(start) :].partition("/")
            if not name:
                continue  # an object that stands for the folder
            # Where there are folders, they are listed beside the files, with a size of 0.
            inner = deeper or (beam.has_dirs() and not item.size_in_bytes)
            if deeper or (inner and self._is_folder(item.path)):
                children[start + name] = {"name": start + name, "size": 0, "type": "directory"}
            else:
                children.setdefault(start + name, _file_info(item))
        return children

    def _is_folder(self, path: str) -> bool:
        """Whether a path is a folder, where there are real ones; Beam can't be asked directly."""
        from apache_beam.io.filesystem import BeamIOError

        beam = self._beam
        try:
            listed = next((item.path for item in beam._list(path)), None)
        except BeamIOError:
            return False
        if listed is not None:
            return bool(listed.rstrip("/") != path)
        try:
            beam.checksum(path)  # only files have one
        except BeamIOError:
            return bool(beam.exists(path))
        return False

    # -- reading and writing ---------------------------------------------------------------------

    def _open(self, path: str, mode: str = "rb", **kwargs: Any) -> IO[bytes]:
        from apache_beam.io.filesystem import CompressionTypes

        plain = CompressionTypes.UNCOMPRESSED  # by default Beam goes by the name's suffix
        if mode == "rb":
            if not self.isfile(path):
                raise FileNotFoundError(path)
            with self._absence_told([path]):
                return self._beam.open(path, compression_type=plain)
        if mode not in ("wb", "xb"):
            raise ValueError(f"{path!r}: mode {mode!r}: Beam's filesystems read and write only.")
        if mode == "xb" and self.exists(path):
            raise FileExistsError(path)
        return self._beam.create(path, compression_type=plain)

    def touch(self, path: str, truncate: bool = True, **kwargs: Any) -> None:
        """An empty file; with `truncate=False` only where there is none."""
        if truncate or not self.exists(path):
            self.pipe_file(path, b"")

    def modified(self, path: str) -> Any:
        """Seconds since 1970 when a file was written; None if that is not known."""
        return self.info(path).get("mtime")

    # -- folders, copies, moves, removals --------------------------------------------------------

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Make a folder and those above it; nothing is done where there are no real folders."""
        path = self._strip_protocol(path)
        if not self._beam.has_dirs() or self._is_top(path):
            return
        if self.exists(path):
            if not exist_ok or self.isfile(path):
                raise FileExistsError(path)
            return
        try:
            self._beam.mkdirs(path)
        except OSError:
            if not exist_ok or not self.isdir(path):  # made by someone else meanwhile
                raise

    def mkdir(self, path: str, create_parents: bool = True, **kwargs: Any) -> None:
        """As `makedirs`, which also makes the folders above."""
        self.makedirs(path)

    def cp_file(self, path1: str, path2: str, **kwargs: Any) -> None:
        """Copy a file."""
        path1, path2 = self._strip_protocol([path1, path2])
        if self.isdir(path1):
            self.makedirs(path2, exist_ok=True)
            return
        self._require_file(path1)
        self.makedirs(self._parent(path2), exist_ok=True)
        with self._absence_told([path1]):
            self._beam.copy([path1], [path2])

    def mv(self, path1: str, path2: str, *args: Any, **kwargs: Any) -> None:
        """Move a file, which replaces one that is there, or a folder."""
        path1, path2 = self._strip_protocol([path1, path2])
        if path1 == path2:
            return
        self.makedirs(self._parent(path2), exist_ok=True)
        if self._beam.has_dirs():
            if self.info(path1)["type"] == "file" and self.isfile(path2):
                self._beam.delete([path2])
            with self._absence_told([path1]):
                self._beam.rename([path1], [path2])
            return
        files = self.find(path1)
        if not files:
            raise FileNotFoundError(path1)
        with self._absence_told(files):
            self._beam.rename(files, [path2 + file[len(path1) :] for file in files])

    def rm_file(self, path: str) -> None:
        """Remove a file."""
        path = self._strip_protocol(path)
        self._require_file(path)
        self._delete([path])

    def rm(self, path: Any, recursive: bool = False, maxdepth: int | None = None) -> None:
        """Remove files and, with `recursive`, folders with all that is below."""
        for item in [path] if isinstance(path, str) else path:
            name = self._strip_protocol(item)
            if self.info(name)["type"] == "file":
                self._delete([name])
            elif not recursive:
                raise IsADirectoryError(name)
            else:
                self._delete([name] if self._beam.has_dirs() else self.find(name))

    def rmdir(self, path: str) -> None:
        """Remove an empty folder."""
        if self.ls(path):
            raise OSError(f"{path!r}: the folder is not empty.")
        if self._beam.has_dirs():
            self._beam.delete([self._strip_protocol(path)])

    def _require_file(self, path: str) -> None:
        if self.info(path)["type"] != "file":
            raise IsADirectoryError(path)

    def _delete(self, paths: list[str]) -> None:
        for path in paths:
            if not self._beam.has_dirs() and _PATTERN.search(path):
                raise DistilabelUserError(
                    f"{path!r}: Beam would delete all that the name matches as a pattern. "
                    "Remove the file by other means, or install an fsspec filesystem for "
                    f"{self.scheme!r}."
                )
        with self._absence_told(paths):
            self._beam.delete(paths)

    @contextlib.contextmanager
    def _absence_told(self, paths: list[str]) -> Iterator[None]:
        """Errors of Beam's are `FileNotFoundError` where someone else removed a file meanwhile."""
        try:
            yield
        except OSError as error:  # BeamIOError is one
            missing = next((path for path in paths if not self._beam.exists(path)), None)
            if missing is None:
                raise
            raise FileNotFoundError(missing) from error


def _file_info(metadata: Any) -> dict[str, Any]:
    info = {"name": metadata.path, "size": metadata.size_in_bytes, "type": "file"}
    if metadata.last_updated_in_seconds:
        info["mtime"] = metadata.last_updated_in_seconds
    return info
