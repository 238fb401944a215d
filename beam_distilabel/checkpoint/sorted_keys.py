"""Keys in order with their places: arrays, and a file of them that processes map."""

from __future__ import annotations

import json
import os
import struct
import uuid
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

_SCHEMA = pa.schema([(name, pa.uint64()) for name in ("high", "low", "place")])
_ROW_BITS = 32


class Place(NamedTuple):
    """Where a finished generation is."""

    segment: str
    row: int


class SortedKeys:
    """The keys of segments in order; those that several have are there several times.

    Args:
        names: the segments, sorted.
        columns: the two halves of each key, and its place: the segment's number and the row.
    """

    def __init__(self, names: Sequence[str] = (), columns: Any = None) -> None:
        self.names = names
        empty: Any = np.empty(0, np.uint64)
        high, low, place = (empty,) * 3 if columns is None else columns
        self._high = high
        self._low = low
        self._place = place

    def __len__(self) -> int:
        return len(self._high)

    def find(self, key: bytes) -> Iterator[Place]:
        """Where `key` is, in the order of the segments."""
        high, low = map(np.uint64, struct.unpack(">QQ", key))
        at = int(self._high.searchsorted(high))
        while at < len(self._high) and self._high[at] == high:
            if self._low[at] == low:
                place = int(self._place[at])
                yield Place(self.names[place >> _ROW_BITS], place & (1 << _ROW_BITS) - 1)
            at += 1

    def having(self, names: Collection[str], more: Mapping[str, tuple[Any, Any]]) -> SortedKeys:
        """The keys of the segments `names`.

        Args:
            names: which of its own segments are kept.
            more: further segments: the keys (as `key_numbers` gives them) and their rows.
        """
        kept = set(names)
        together = sorted({*kept.intersection(self.names), *more})
        numbers = {name: number << _ROW_BITS for number, name in enumerate(together)}
        parts = []
        if len(self):
            old = np.array([numbers.get(name, -1) for name in self.names], np.int64)
            base = old[(self._place >> np.uint64(_ROW_BITS)).astype(np.int64)]
            rows = self._place & np.uint64((1 << _ROW_BITS) - 1)
            chosen = base >= 0
            places = base[chosen].astype(np.uint64) | rows[chosen]
            parts.append((self._high[chosen], self._low[chosen], places))
        for name, (keys, rows) in more.items():
            places = np.uint64(numbers[name]) | rows.astype(np.uint64)
            parts.append((keys[:, 0], keys[:, 1], places))
        if not parts:
            return SortedKeys(together)
        high, low, place = (np.concatenate(column) for column in zip(*parts, strict=True))
        order = np.lexsort((place, low, high))
        return SortedKeys(together, (high[order], low[order], place[order]))

    # -- as a file -------------------------------------------------------------------------------

    def save(self, path: Path) -> None:
        """Write a file that `load` maps; a reader sees all of it or nothing.

        Raises:
            OSError: it can't be written.
        """
        columns = [self._high, self._low, self._place]
        notes = {"names": json.dumps(list(self.names)), "checksum": str(_checksum(columns))}
        schema = _SCHEMA.with_metadata(notes)
        part = path.with_name(f".{uuid.uuid4().hex}.part")
        try:
            with pa.OSFile(str(part), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
                writer.write_batch(pa.record_batch([pa.array(c) for c in columns], schema=schema))
            os.replace(part, path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise

    @classmethod
    def load(cls, path: Path) -> SortedKeys:
        """What `save` wrote, mapped.

        Raises:
            ValueError: the file is damaged.
            OSError: it can't be read.
        """
        batch = pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0)
        notes = {k.decode(): v for k, v in (batch.schema.metadata or {}).items()}
        if batch.schema != _SCHEMA or not notes:
            raise ValueError(f"{path} is no index")
        columns = [column.to_numpy() for column in batch.columns]
        # It lies in a temporary folder, and a wrong one would ask everything again.
        if str(_checksum(columns)).encode() != notes["checksum"]:
            raise ValueError(f"{path} is damaged")
        return cls(json.loads(notes["names"]), columns)


def _checksum(columns: Sequence[Any]) -> int:
    found = 0
    for column in columns:
        found = zlib.crc32(column.data, found)
    return found
