"""Segments on this host's disk, uncompressed and memory-mapped, for all processes of the user."""

from __future__ import annotations

import contextlib
import os
import threading
import uuid
from collections import OrderedDict
from pathlib import Path

import pyarrow as pa

from beam_distilabel.checkpoint.segments import read_segment
from beam_distilabel.host_folder import host_folder

CACHE_BYTES = 4 * 2**30
"""How much of the temporary folder segments may take on one host."""

_MAPPED = 256
"""How many segments a process keeps mapped."""


class SegmentCache:
    """The values of a folder's segments; each is fetched whole, once per host.

    Args:
        folder: the folder of the segments.
        name: what the cache of that folder is called on this host.
        limit: bytes of all such caches on this host.
    """

    def __init__(self, folder: str, name: str, limit: int = CACHE_BYTES) -> None:
        self._folder = folder
        self._path = host_folder("checkpoints", name)
        self._limit = limit
        self._mapped: OrderedDict[str, pa.LargeBinaryArray] = OrderedDict()
        self._lock = threading.Lock()

    def mapped(self, segment: str) -> pa.LargeBinaryArray | None:
        """The segment's values, if they can be read without fetching anything."""
        with self._lock:
            values = self._mapped.get(segment)
            if values is not None:
                self._mapped.move_to_end(segment)
            return values

    def values(self, segment: str) -> pa.LargeBinaryArray:
        """The segment's values, in its order.

        Raises:
            FileNotFoundError: the segment isn't there any more.
            CorruptSegment: it can't be read.
        """
        values = self.mapped(segment)
        if values is not None:
            return values
        file = self._path / f"{segment}.arrow"
        try:
            values = _map(file)
        except (OSError, pa.ArrowException):
            values = self._fetch(segment, file)
        with self._lock:
            self._mapped[segment] = values
            while len(self._mapped) > _MAPPED:
                self._mapped.popitem(last=False)
        return values

    def _fetch(self, segment: str, file: Path) -> pa.LargeBinaryArray:
        table = read_segment(self._folder, segment, ["value"]).combine_chunks()
        part = file.with_name(f".{uuid.uuid4().hex}.part")
        try:
            make_room(self._path.parent, self._limit - table.nbytes)
            with pa.OSFile(str(part), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
                writer.write_table(table)
            os.replace(part, file)
            return _map(file)
        except OSError:  # no room there: it is read again when it is needed again
            with contextlib.suppress(OSError):
                part.unlink()
            return table.column(0).chunk(0)


def make_room(root: Path, limit: int) -> None:
    """Remove the oldest files below `root` until the others have at most `limit` bytes.

    Processes that have one mapped go on reading it.
    """
    files = []
    for path in root.glob("*/*.arrow"):
        with contextlib.suppress(OSError):
            found = path.stat()
            files.append((found.st_mtime, found.st_size, path))
    taken = sum(size for _, size, _ in files)
    for _, size, path in sorted(files):
        if taken <= limit:
            return
        with contextlib.suppress(OSError):
            path.unlink()
        taken -= size


def _map(file: Path) -> pa.LargeBinaryArray:
    # One record batch: what was written is one chunk.
    return pa.ipc.open_file(pa.memory_map(str(file))).get_batch(0).column(0)
