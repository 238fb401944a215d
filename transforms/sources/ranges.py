"""Files elsewhere of which it is known what will be read: every byte is fetched about once."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterable
from typing import Any

PIECE_BYTES = 4 << 20
"""What is fetched at a time where less is asked for, so that small reads are few requests."""

_WASTE = 10  # a gap of up to a tenth of what comes before it is fetched too


def column_ranges(
    metadata: Any, groups: Iterable[int], columns: Collection[str] | None
) -> list[tuple[int, int]]:
    """The (start, stop) of the bytes that hold some columns of some row groups of a Parquet file.

    Args:
        metadata: of the file, `pyarrow.parquet.FileMetaData`.
        groups: the row groups.
        columns: the top-level columns, None for all.

    Returns:
        Ranges in order, disjoint; those that lie close together are one.
    """
    chunks = []
    for number in groups:
        group = metadata.row_group(number)
        for position in range(group.num_columns):
            chunk = group.column(position)
            # Names may have dots in them: of two columns that share a path both are fetched.
            path = chunk.path_in_schema
            if columns is None or any(path == n or path.startswith(f"{n}.") for n in columns):
                chunks.append((_start(chunk), _start(chunk) + chunk.total_compressed_size))
    ranges: list[tuple[int, int]] = []
    for start, stop in sorted(chunks):
        if ranges and (start - ranges[-1][1]) * _WASTE <= ranges[-1][1] - ranges[-1][0]:
            ranges[-1] = (ranges[-1][0], max(stop, ranges[-1][1]))
        else:
            ranges.append((start, stop))
    return ranges


def _start(chunk: Any) -> int:
    offset = int(chunk.data_page_offset)
    # Some writers say 0 where there is no dictionary.
    return min(offset, int(chunk.dictionary_page_offset or offset))


class RangedFile(io.RawIOBase):
    """A file that fetches ahead within known ranges, and never beyond them.

    Args:
        stream: the file, opened so that it fetches what it is asked for and no more; it isn't
            closed with this one.

    Attributes:
        ranges: (start, stop) of what will be read, in order; elsewhere nothing is fetched ahead.

    Example:
        >>> file = RangedFile(io.BytesIO(b"0123456789"))
        >>> file.ranges = [(2, 6)]
        >>> file.seek(2), file.read(1), file.read(3)
        (2, b'2', b'345')
    """

    def __init__(self, stream: Any) -> None:
        super().__init__()
        self.ranges: list[tuple[int, int]] = []
        self._stream = stream
        self._position = 0
        self._size = int(stream.seek(0, io.SEEK_END))
        self._start = 0
        self._window = b""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        start = self._position
        stop = self._size if size is None or size < 0 else min(start + size, self._size)
        if stop <= start:
            return b""
        if not self._start <= start <= stop <= self._start + len(self._window):
            self._fetch(start, stop)
        self._position = stop
        return self._window[start - self._start : stop - self._start]

    def _fetch(self, start: int, stop: int) -> None:
        """Make the window begin at `start` and reach `stop` at least."""
        end = self._start + len(self._window)
        kept = self._window[start - self._start :] if self._start <= start < end else b""
        first = start + len(kept)
        limit = next((limit for begin, limit in self.ranges if begin <= start < limit), stop)
        last = max(stop, min(first + PIECE_BYTES, limit))
        self._stream.seek(first)
        parts = [kept]
        while first < last:
            part = self._stream.read(last - first)
            if not part:
                break  # the file is shorter than it was; whoever reads it sees that
            parts.append(part)
            first += len(part)
        self._start, self._window = start, b"".join(parts)


__all__ = ["PIECE_BYTES", "RangedFile", "column_ranges"]
