"""Segments on this host's disk, uncompressed and memory-mapped, for all processes of the user."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import threading
import time
import uuid
from collections import OrderedDict
from pathlib import Path

import pyarrow as pa

from beam_distilabel.checkpoint.segments import SCHEMA, read_segment
from beam_distilabel.errors import DistilabelError
from beam_distilabel.filesystems import persistently
from beam_distilabel.host_folder import host_folder
from beam_distilabel.row import fingerprint

CACHE_BYTES = 4 * 2**30
"""How much of the temporary folder segments may take on one host; at most half of what is free."""

HELD_BYTES = 512 * 2**20
"""How many bytes of values a process keeps mapped, or in memory where there is no room on disk."""

KEEP_SECONDS = 14 * 24 * 3600.0
"""How long a host keeps what it knows of a checkpoint that nobody uses."""

_FOLDER = "checkpoints"
_VALUES = pa.schema([SCHEMA.field("value")])

logger = logging.getLogger(__name__)


def home_of(folder: str) -> Path | None:
    """Where this host keeps copies of what is in the checkpoint `folder`; None for nowhere.

    What nobody has used for `KEEP_SECONDS` is removed.
    """
    try:
        root = host_folder(_FOLDER)
        home = root / fingerprint(folder)
        home.mkdir(exist_ok=True)
        os.utime(home)
        for other in root.iterdir():
            with contextlib.suppress(OSError):
                if time.time() - other.stat().st_mtime > KEEP_SECONDS:
                    shutil.rmtree(other)
        return home
    except (OSError, DistilabelError) as error:
        logger.warning("Of the checkpoint %s nothing is kept on this host: %s", folder, error)
        return None


class SegmentCache:
    """The values of a folder's segments; each is fetched whole, once per host.

    Args:
        folder: the folder of the segments.
        home: where the host's copies are, see `home_of`; None for nowhere.
    """

    def __init__(self, folder: str, home: Path | None) -> None:
        self._folder = folder
        self._home = home
        self._held: OrderedDict[str, pa.LargeBinaryArray] = OrderedDict()
        self._held_bytes = 0
        self._fetching: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def held(self, segment: str) -> pa.LargeBinaryArray | None:
        """The segment's values, if they can be read without fetching anything."""
        with self._lock:
            values = self._held.get(segment)
            if values is not None:
                self._held.move_to_end(segment)
            return values

    def values(self, segment: str) -> pa.LargeBinaryArray:
        """The segment's values, in its order; None where one is damaged.

        Raises:
            FileNotFoundError: the segment isn't there any more.
            OSError: it can't be read.
            CorruptSegment: it is none.
        """
        values = self.held(segment)
        if values is not None:
            return values
        with self._lock:
            turn = self._fetching.setdefault(segment, threading.Lock())
        with turn:  # many rows want it at once, and one of them fetches it
            values = self.held(segment)
            if values is None:
                values = self._open(segment)
                self._hold(segment, values)
        with self._lock:
            self._fetching.pop(segment, None)
        return values

    def drop(self, segment: str) -> None:
        """Forget the copy of a segment, which may be damaged; it is fetched again."""
        with self._lock:
            values = self._held.pop(segment, None)
            self._held_bytes -= values.nbytes if values is not None else 0
        if self._home is not None:
            with contextlib.suppress(OSError):
                self._copy(self._home, segment).unlink()

    def _hold(self, segment: str, values: pa.LargeBinaryArray) -> None:
        with self._lock:
            self._held[segment] = values
            self._held_bytes += values.nbytes
            while self._held_bytes > HELD_BYTES and len(self._held) > 1:
                _, oldest = self._held.popitem(last=False)
                self._held_bytes -= oldest.nbytes

    def _open(self, segment: str) -> pa.LargeBinaryArray:
        if self._home is not None:
            with contextlib.suppress(OSError, pa.ArrowException):
                return _map(self._copy(self._home, segment))
        table = persistently(
            f"Reading the checkpoint {self._folder}",
            lambda: read_segment(self._folder, segment, ["value"]),
        )
        values = table.column("value").combine_chunks()
        if isinstance(values, pa.ChunkedArray):
            values = values.chunk(0)
        if self._home is not None:
            try:
                return self._store(self._home, segment, values)
            except (OSError, pa.ArrowException) as error:
                logger.debug("No room for a copy of %s/%s: %s", self._folder, segment, error)
        return values

    def _store(self, home: Path, segment: str, values: pa.LargeBinaryArray) -> pa.LargeBinaryArray:
        make_room(home.parent, values.nbytes)
        file = self._copy(home, segment)
        part = file.with_name(f".{uuid.uuid4().hex}.part")
        try:
            with pa.OSFile(str(part), "wb") as sink, pa.ipc.new_file(sink, _VALUES) as writer:
                writer.write_batch(pa.record_batch([values], schema=_VALUES))
            os.replace(part, file)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        return _map(file)

    @staticmethod
    def _copy(home: Path, segment: str) -> Path:
        return home / f"{segment}.arrow"


def make_room(root: Path, wanted: int, limit: int | None = None) -> None:
    """Remove the oldest copies below `root` until there is room for `wanted` bytes more.

    Processes that have one mapped go on reading it.

    Args:
        root: the folder of all checkpoints' folders.
        wanted: bytes.
        limit: of all together; `CACHE_BYTES` if not given.

    Raises:
        OSError: there is no room for it.
    """
    files = []
    for path in root.glob("*/[0-9]*.arrow"):
        with contextlib.suppress(OSError):
            found = path.stat()
            files.append((found.st_mtime, found.st_size, path))
    taken = sum(size for _, size, _ in files)
    # What it takes now is free for it, too.
    room = (shutil.disk_usage(root).free + taken) // 2
    room = min(CACHE_BYTES if limit is None else limit, room)
    if wanted > room:
        raise OSError(f"{wanted} bytes are wanted, and {room} may be taken")
    for _, size, path in sorted(files):
        if taken + wanted <= room:
            return
        with contextlib.suppress(OSError):
            path.unlink()
        taken -= size


def _map(file: Path) -> pa.LargeBinaryArray:
    batch = pa.ipc.open_file(pa.memory_map(str(file))).get_batch(0)
    if batch.schema != _VALUES:
        raise pa.ArrowInvalid(f"{file} has no values")
    batch.validate(full=True)  # wrong offsets would end the process
    return batch.column(0)
