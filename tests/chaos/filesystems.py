"""Filesystems that fail: local folders behind fsspec schemes of their own.

Importing this registers them, as a package that provides a filesystem would.
"""

from __future__ import annotations

import errno
import itertools
import os
import threading
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

EVERY = 10
"""Of so many files that are opened for writing on `flaky://`, the last one can't be written."""

CAPACITY_VARIABLE = "CHAOS_CAPACITY_BYTES"
"""The environment variable with the bytes that `small://` holds in the folder of `CAPACITY_FOLDER`."""

FOLDER_VARIABLE = "CHAOS_FOLDER"


class _LocalFolder(LocalFileSystem):  # type: ignore[misc]  # fsspec has no types
    """A local filesystem under another scheme; local shortcuts don't apply to it."""

    cachable = False
    local_file = False

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(one) for one in path]
        text = os.fspath(path)
        return LocalFileSystem._strip_protocol(text.removeprefix(f"{cls.protocol}://"))

    def unstrip_protocol(self, name: str) -> str:
        return f"{self.protocol}://{self._strip_protocol(name)}"


class FlakyFileSystem(_LocalFolder):
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
