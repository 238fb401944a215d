"""Filesystems of fsspec that fail: every so many writes, or for want of room."""

from __future__ import annotations

import errno
import threading
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem


class Faults:
    """What goes wrong, and what was done."""

    def __init__(self) -> None:
        self.every = 0
        self.room: int | None = None
        self.reading_fails = 0
        self.writes = self.reads = self.failed = 0
        self._lock = threading.Lock()

    def write(self, size: int) -> None:
        """Count a write; raise where it is to fail."""
        with self._lock:
            self.writes += 1
            if self.every and self.writes % self.every == 0:
                self.failed += 1
                raise OSError(errno.EIO, "Input/output error")
            if self.room is not None:
                if size > self.room:
                    self.failed += 1
                    raise OSError(errno.ENOSPC, "No space left on device")
                self.room -= size

    def read(self) -> None:
        """Count a read; raise where it is to fail."""
        with self._lock:
            self.reads += 1
            if self.reading_fails:
                self.reading_fails -= 1
                self.failed += 1
                raise ClientError("the connection was reset")


class ClientError(Exception):
    """What an object store's own client raises: no OSError."""


FAULTS = Faults()


class FaultyFileSystem(LocalFileSystem):  # type: ignore[misc]  # fsspec has no types
    """`faulty:///path`: the local filesystem with `FAULTS`."""

    protocol = "faulty"
    cachable = False

    def open(self, path: str, mode: str = "rb", **kwargs: Any) -> Any:
        file = super().open(path, mode, **kwargs)
        return _Counted(file) if "w" in mode else file

    def cat_file(self, path: str, *args: Any, **kwargs: Any) -> Any:
        FAULTS.read()
        with super().open(path, "rb") as file:
            return file.read()

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, str):
            path = path.removeprefix("faulty://")
        return super()._strip_protocol(path)


class _Counted:
    def __init__(self, file: Any) -> None:
        self._file = file

    def __enter__(self) -> _Counted:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def write(self, data: Any) -> int:
        # As a full disk does: a part of it is there.
        try:
            FAULTS.write(len(data))
        except OSError:
            self._file.write(bytes(data)[: len(data) // 2])
            raise
        return int(self._file.write(data))


fsspec.register_implementation("faulty", FaultyFileSystem, clobber=True)
