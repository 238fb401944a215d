"""Filesystems that fail: local folders behind fsspec schemes of their own.

Importing this registers them, as a package that provides a filesystem would.
"""

from __future__ import annotations

import errno
import itertools
import os
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem
from fsspec.spec import AbstractFileSystem

EVERY = 10
"""Of so many files that are opened for writing on `flaky://`, the last can't be written."""


class _OnDisk(AbstractFileSystem):  # type: ignore[misc]  # fsspec has no types
    """A local filesystem that isn't known to be one."""

    cachable = False
    root_marker = "/"

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._disk = LocalFileSystem(auto_mkdir=False)

    def _own(self, entry: dict[str, Any]) -> dict[str, Any]:
        return {**entry, "name": self._strip_protocol(entry["name"])}

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> list[Any]:
        entries = [self._own(e) for e in self._disk.ls(self._strip_protocol(path), detail=True)]
        return entries if detail else [entry["name"] for entry in entries]

    def info(self, path: str, **kwargs: Any) -> dict[str, Any]:
        return self._own(self._disk.info(self._strip_protocol(path)))

    def mkdir(self, path: str, create_parents: bool = True, **kwargs: Any) -> None:
        self._disk.mkdir(self._strip_protocol(path), create_parents=create_parents)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        self._disk.makedirs(self._strip_protocol(path), exist_ok=exist_ok)

    def rmdir(self, path: str) -> None:
        self._disk.rmdir(self._strip_protocol(path))

    def rm_file(self, path: str) -> None:
        self._disk.rm_file(self._strip_protocol(path))

    def rm(self, path: str, recursive: bool = False, maxdepth: int | None = None) -> None:
        self._disk.rm(self._strip_protocol(path), recursive=recursive, maxdepth=maxdepth)

    def mv(self, path1: str, path2: str, **kwargs: Any) -> None:
        os.replace(self._strip_protocol(path1), self._strip_protocol(path2))

    def cp_file(self, path1: str, path2: str, **kwargs: Any) -> None:
        with self.open(path1, "rb") as source, self.open(path2, "wb") as target:
            target.write(source.read())

    def modified(self, path: str) -> Any:
        return self._disk.modified(self._strip_protocol(path))

    def _open(self, path: str, mode: str = "rb", **kwargs: Any) -> Any:
        name = self._strip_protocol(path)
        if "r" not in mode:  # as object stores do
            os.makedirs(os.path.dirname(name), exist_ok=True)
        return open(name, mode)


class FlakyFileSystem(_OnDisk):
    """Every tenth file that is opened for writing stays empty, with an error."""

    protocol = "flaky"

    _opened = itertools.count(1)

    def _open(self, path: str, mode: str = "rb", **kwargs: Any) -> Any:
        file = super()._open(path, mode, **kwargs)
        if "r" not in mode and next(self._opened) % EVERY == 0:
            file.close()
            raise OSError(errno.EIO, os.strerror(errno.EIO), path)
        return file


fsspec.register_implementation("flaky", FlakyFileSystem, clobber=True)
