"""How a source is cut into units that are read apart, and into which rows at most."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.utils import infer_compression

from beam_distilabel.transforms.sources.files import Source, SourceFile, reading

BLOCK_ROWS = 1000
"""Rows that are read at a time; among them equal rows are numbered."""

BLOCK_BYTES = 32 << 20
"""What a block of Parquet rows or text lines holds at most, unless a single row is larger."""

MAX_UNITS = 10_000
"""Above this, files aren't cut any more, so that the list of units stays small."""

_PARTS_OF_GROUP = 4  # each decodes the row group from its start
_REMOTE_BYTES = 64 << 20  # of row groups that are one unit together, compressed
_REMOTE_ROWS = 100_000
_LINES_BYTES = 16 << 20
_LISTING_THREADS = 16
_FILE_MAGIC = b"ARROW1"


class Unit(NamedTuple):
    """A part of one file.

    Attributes:
        file: position in `Source.files`.
        first_row: index in the file of the unit's first row.
        num_rows: how many rows it has, None if that isn't known before it is read.
        start: first row group, record batch or byte.
        stop: the one after the last, None for the file's end.
        skip: how many rows of the first row group or record batch come before the unit.
    """

    file: int
    first_row: int = 0
    num_rows: int | None = None
    start: int = 0
    stop: int | None = None
    skip: int = 0


class Survey(NamedTuple):
    """What a look at the files, of Parquet at their footers, tells of a source.

    Attributes:
        units: of all files, in source order.
        schemas: of every file in order, None where its type has none.
    """

    units: list[Unit]
    schemas: list[pa.Schema | None]


class Work(NamedTuple):
    """What one worker reads at a time: units in turn, up to `limit` rows in all."""

    units: tuple[Unit, ...]
    limit: int | None = None


def list_units(source: Source) -> list[Unit]:
    """The units of all files, in source order; reads Parquet and Arrow footers.

    Raises:
        DistilabelUserError: a file can't be opened.
    """
    return survey(source).units


def survey(source: Source) -> Survey:
    """The units and the schemas of all files; reads every Parquet footer once.

    Raises:
        DistilabelUserError: a file can't be opened.
    """
    with ThreadPoolExecutor(_LISTING_THREADS) as pool:
        found = list(pool.map(lambda i: _look_at(source, i), range(len(source.files))))
    units = [unit for units_of_file, _ in found for unit in units_of_file]
    if len(units) > MAX_UNITS:
        units = [_whole(units_of_file) for units_of_file, _ in found if units_of_file]
    return Survey(units, [schema for _, schema in found])


def distribute(units: Sequence[Unit], limit: int | None = None) -> list[Work]:
    """One piece of work per unit; with a limit, exactly the first `limit` rows.

    From the first unit on whose number of rows isn't known, a limited source is one piece of work.
    """
    if limit is None:
        return [Work((unit,)) for unit in units]
    work: list[Work] = []
    remaining = limit
    for position, unit in enumerate(units):
        if remaining <= 0:
            break
        if unit.num_rows is None:
            return [*work, Work(tuple(units[position:]), remaining)]
        work.append(Work((unit,), min(unit.num_rows, remaining)))
        remaining -= unit.num_rows
    return work


def count_rows(work: Iterable[Work]) -> int | None:
    """How many rows `work` yields, None if that isn't known."""
    total = 0
    for units, limit in work:
        for unit in units:
            if unit.num_rows is None:
                return None
            total += unit.num_rows if limit is None else min(unit.num_rows, limit)
    return total


def block_rows(num_rows: int, num_bytes: int) -> int:
    """How many rows of a row group of this size are read at a time."""
    return max(1, min(BLOCK_ROWS, BLOCK_BYTES * num_rows // max(num_bytes, 1)))


def is_arrow_file(stream: object) -> bool:
    """Whether an Arrow file has a footer (the file format), else it is a stream."""
    magic = stream.read(len(_FILE_MAGIC))  # type: ignore[attr-defined]
    stream.seek(0)  # type: ignore[attr-defined]
    return bytes(magic) == _FILE_MAGIC


def _look_at(source: Source, position: int) -> tuple[list[Unit], pa.Schema | None]:
    """The units of one file, and its schema."""
    file = source.files[position]
    if file.filetype in ("parquet", "staged"):
        remote = file.filetype == "parquet" and source.local_path(file) is None
        with source.open(file) as stream:
            parquet = pq.ParquetFile(stream)
            schema, metadata = parquet.schema_arrow, parquet.metadata
        groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
        if remote:
            return list(_units_of_runs(position, groups)), schema
        sizes = [(g.num_rows, block_rows(g.num_rows, g.total_byte_size)) for g in groups]
        return list(_units_of_groups(position, sizes)), schema
    if file.filetype == "arrow":
        return _look_at_arrow(source, file, position)
    with source.open(file) as stream:
        del stream  # it is there and may be read
    if file.filetype == "jsonl":
        return list(_units_of_lines(source, file, position)), None
    return [Unit(position)], None


def _units_of_runs(position: int, groups: Sequence[Any]) -> Iterator[Unit]:
    """Units of whole row groups of a file elsewhere, small ones together.

    Parts of a group would fetch it several times, and every unit fetches the footer.
    """
    start = first_row = rows = num_bytes = 0
    for number, group in enumerate(groups):
        size = sum(group.column(i).total_compressed_size for i in range(group.num_columns))
        full = num_bytes + size > _REMOTE_BYTES or rows + group.num_rows > _REMOTE_ROWS
        if rows and full:
            yield Unit(position, first_row, rows, start, number)
            start, first_row, rows, num_bytes = number, first_row + rows, 0, 0
        rows += group.num_rows
        num_bytes += size
    if rows:
        yield Unit(position, first_row, rows, start, len(groups))


def _units_of_groups(position: int, sizes: Iterable[tuple[int, int]]) -> Iterator[Unit]:
    """Units of row groups, each given by its rows and the rows of its blocks."""
    first_row = 0
    for group, (num_rows, block) in enumerate(sizes):
        blocks = -(-num_rows // block)
        rows = -(-blocks // _PARTS_OF_GROUP) * block
        for skip in range(0, num_rows, rows or 1):
            count = min(rows, num_rows - skip)
            yield Unit(position, first_row + skip, count, group, group + 1, skip)
        first_row += num_rows


def _look_at_arrow(source: Source, file: SourceFile, position: int) -> tuple[list[Unit], pa.Schema]:
    path = source.local_path(file)
    if path is None:
        with source.open(file) as stream:
            opened = pa.ipc.open_file if is_arrow_file(stream) else pa.ipc.open_stream
            return [Unit(position)], opened(stream).schema
    # Mapped into memory, going over the batches reads their headers only.
    with reading(file.path), pa.memory_map(path) as stream:
        if is_arrow_file(stream):
            reader = pa.ipc.open_file(stream)
            sizes = [reader.get_batch(i).num_rows for i in range(reader.num_record_batches)]
        else:
            reader = pa.ipc.open_stream(stream)
            sizes = [batch.num_rows for batch in reader]
        schema = reader.schema
    return list(_units_of_groups(position, ((size, BLOCK_ROWS) for size in sizes))), schema


def _units_of_lines(source: Source, file: SourceFile, position: int) -> Iterator[Unit]:
    """Ranges of lines of a large local file; elsewhere counting would mean reading it twice."""
    path = source.local_path(file)
    if (
        path is None
        or infer_compression(path) is not None
        or os.path.getsize(path) < 2 * _LINES_BYTES
    ):
        yield Unit(position)
        return
    start = first_row = 0
    with reading(path), open(path, "rb") as stream:
        while chunk := stream.read(_LINES_BYTES):
            chunk += stream.readline()
            stop = start + len(chunk)
            yield Unit(position, first_row, None, start, stop)
            start, first_row = stop, first_row + chunk.count(b"\n")


def _whole(units: Sequence[Unit]) -> Unit:
    """One unit for a file that was cut into `units`."""
    counts = [unit.num_rows for unit in units]
    total = sum(count for count in counts if count is not None)
    return units[0]._replace(num_rows=None if None in counts else total, stop=units[-1].stop)
