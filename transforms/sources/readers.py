"""From units to rows, block by block; every row has its id and its draw."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.row import (
    DRAW,
    MAX_LEVELS,
    ROW_ID,
    Row,
    canonical_json,
    position_id,
    position_ids,
)
from beam_distilabel.schema.features import declared_schema, features_of, with_features
from beam_distilabel.transforms.sources import csv_files
from beam_distilabel.transforms.sources.files import Source, SourceFile, reading
from beam_distilabel.transforms.sources.ranges import RangedFile, column_ranges
from beam_distilabel.transforms.sources.records import (
    TOO_DEEP,
    decoding,
    is_deep,
    is_json_lines,
    iter_json,
    kind_of_json,
    parse_record,
    split_lines,
    without_bom,
)
from beam_distilabel.transforms.sources.staging import decode_row
from beam_distilabel.transforms.sources.units import (
    BLOCK_BYTES,
    BLOCK_ROWS,
    Unit,
    Work,
    block_rows,
    is_arrow_file,
)

_SHOWN = 10_000  # characters of a bad record that are kept
_HEAD_ROWS = 100
_FILES_AT_ONCE = 16


class BadRecord(NamedTuple):
    """A record that can't be read.

    Attributes:
        path: its file.
        row_id: the id that its row would have had.
        position: its index in the file, from 0.
        message: what is wrong, with file and line.
        text: the record, cut after `_SHOWN` characters.
    """

    path: str
    row_id: str
    position: int
    message: str
    text: str


class Block(NamedTuple):
    """Some rows of a source in order, and the records among them that can't be read."""

    rows: list[Row]
    bad: list[BadRecord]


class _RawBlock(NamedTuple):
    indices: Iterable[int]
    rows: list[Row]
    bad: list[BadRecord]


def read_work(source: Source, work: Work) -> Iterator[Block]:
    """The rows of all units of `work` in turn, up to its limit.

    Raises:
        DistilabelUserError: a file can't be read any more, or has changed; names it.
    """
    remaining = work.limit
    for unit in work.units:
        if remaining is not None and remaining <= 0:
            return
        for rows, bad in read_unit(source, unit):
            if remaining is not None:
                if len(rows) > remaining:
                    rows = rows[:remaining]
                    last = int(rows[-1][ROW_ID].rpartition("-")[2]) if rows else -1
                    bad = [record for record in bad if record.position < last]
                remaining -= len(rows)
            yield Block(rows, bad)
            if remaining is not None and remaining <= 0:
                return


def read_unit(source: Source, unit: Unit) -> Iterator[Block]:
    """The rows of one unit, in order."""
    file = source.files[unit.file]
    # All staged files together are one list.
    number = 0 if file.filetype == "staged" else unit.file
    with reading(file.path):
        for indices, rows, bad in _READERS[file.filetype](source, file, unit):
            if file.filetype != "staged":
                _number_equal(rows)
            for row, row_id in zip(rows, position_ids(number, indices), strict=True):
                row[ROW_ID] = row_id
            yield Block(rows, [r._replace(row_id=position_id(number, r.position)) for r in bad])


def _number_equal(rows: list[Row]) -> None:
    """`number_equal_rows` for rows that have no identity yet, without a copy of each."""
    for row in rows:
        row.pop(ROW_ID, None)
        row.pop(DRAW, None)
    if differ_in_a_column(rows):
        return
    seen: dict[bytes, int] = {}
    for row in rows:
        key = canonical_json(row)
        draw = seen[key] = seen.get(key, -1) + 1
        if draw:
            row[DRAW] = draw


_TESTED_COLUMNS = 4
_SAMPLED_ROWS = 16
_TOLD_APART = frozenset((str, int, type(None)))  # values of these are equal if their JSON is


def differ_in_a_column(rows: list[Row], columns: Iterable[str] | None = None) -> bool:
    """Whether one of the first columns proves that no two rows are equal; quick, may miss it.

    Args:
        rows: the rows.
        columns: those by which they are compared; all if None.
    """
    if not rows:
        return True
    for name in itertools.islice(rows[0] if columns is None else columns, _TESTED_COLUMNS):
        # Most columns with repeated values show it at once.
        for count in (_SAMPLED_ROWS, len(rows)):
            values = [row.get(name) for row in rows[:count]]
            if not _TOLD_APART.issuperset(map(type, values)) or len(set(values)) < len(values):
                break
        else:
            return True
    return False


def read_columns(source: Source, schemas: Sequence[pa.Schema | None] | None = None) -> list[str]:
    """The columns of all files that have a schema, else of the first file that has records.

    Args:
        source: the files.
        schemas: of every file, where they have been read already.
    """
    schemas = read_schemas(source) if schemas is None else schemas
    names = list(dict.fromkeys(name for schema in schemas if schema for name in schema.names))
    for position, file in enumerate(source.files):
        if names:
            break
        if file.filetype in ("csv", "tsv"):
            with source.open(file) as stream:
                names = csv_files.read_header(stream, _delimiter(source, file))
        elif schemas[position] is None:
            block = next(read_work(source, Work((Unit(position),), _HEAD_ROWS)), Block([], []))
            names = list(dict.fromkeys(name for row in block.rows for name in row))
        names = [name for name in names if name not in (ROW_ID, DRAW)]
    return [name for name in names if name not in (ROW_ID, DRAW)]


def read_schemas(source: Source) -> list[pa.Schema | None]:
    """The Arrow schema of every file, None of one whose type has none."""
    with ThreadPoolExecutor(_FILES_AT_ONCE) as pool:
        return list(pool.map(lambda file: _schema(source, file), source.files))


def union_schema(schemas: Sequence[pa.Schema | None]) -> pa.Schema | None:
    """All columns of several files, with the type and the feature that the files agree on.

    Where files disagree on a column its type is null, which stands for an unknown one. None where
    a file isn't typed.
    """
    types: dict[str, pa.DataType] = {}
    features: dict[str, Any] = {}
    unknown: set[str] = set()
    for schema in schemas:
        if schema is None:
            return None
        plain = declared_schema(schema)
        declared = features_of(plain)
        for field in schema:
            name, kind = field.name, plain.field(field.name).type
            if pa.types.is_null(field.type):  # nulls alone fit every type
                types.setdefault(name, kind)
                continue
            if pa.types.is_null(kind) or types.get(name) not in (None, pa.null(), kind):
                unknown.add(name)
            types[name] = kind
            if features.setdefault(name, declared.get(name)) != declared.get(name):
                features[name] = None
    for name in unknown:
        types[name], features[name] = pa.null(), None
    named = {name: feature for name, feature in features.items() if feature is not None}
    return declared_schema(with_features(pa.schema(list(types.items())), named))


def infer_text_columns(source: Source) -> dict[str, str]:
    """The types of CSV columns by the first file that has rows; see `Source.text_columns`."""
    for file in source.files:
        if file.filetype in ("csv", "tsv"):
            delimiter = _delimiter(source, file)
            with source.open(file) as stream:
                names = csv_files.read_header(stream, delimiter)
            if names:
                with source.open(file) as stream:
                    return csv_files.infer_types(stream, names, delimiter)
    return {}


def _delimiter(source: Source, file: SourceFile) -> str:
    return source.delimiter or ("\t" if file.filetype == "tsv" else ",")


def _schema(source: Source, file: SourceFile) -> Any:
    if file.filetype not in ("parquet", "arrow"):
        return None
    with source.open(file) as stream:
        if file.filetype == "parquet":
            return pq.ParquetFile(stream).schema_arrow
        return _arrow_reader(stream).schema


def _read_parquet(source: Source, file: SourceFile, unit: Unit) -> Iterator[_RawBlock]:
    for index, batch in _parquet_batches(source, file, unit, source.columns):
        yield _RawBlock(range(index, index + batch.num_rows), batch.to_pylist(), [])


def _read_staged(source: Source, file: SourceFile, unit: Unit) -> Iterator[_RawBlock]:
    for _, batch in _parquet_batches(source, file, unit):
        indices, texts = (column.to_pylist() for column in batch.columns)
        yield _RawBlock(indices, [decode_row(text) for text in texts], [])


def _parquet_batches(
    source: Source, file: SourceFile, unit: Unit, columns: Collection[str] | None = None
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """(index of its first row, batch) of a unit, with the named columns only."""
    local = source.local_path(file) is not None
    with source.open(file, exact=True) as stream:
        ranged = None if local else RangedFile(stream)
        parquet = pq.ParquetFile(stream if ranged is None else ranged, buffer_size=BLOCK_BYTES)
        if unit.stop is not None and unit.stop > parquet.num_row_groups:
            raise DistilabelUserError(
                f"the file {file.path!r} has changed since the run began: it has "
                f"{parquet.num_row_groups} row groups."
            )
        stop = parquet.num_row_groups if unit.stop is None else unit.stop
        if ranged is not None:
            groups = range(unit.start, stop)
            ranged.ranges = column_ranges(parquet.metadata, groups, columns)
        present = parquet.schema_arrow.names
        names = None if columns is None else [name for name in present if name in columns]
        batches = (
            _only(batch, columns)
            for group in range(unit.start, stop)
            for batch in parquet.iter_batches(
                block_rows(
                    parquet.metadata.row_group(group).num_rows,
                    parquet.metadata.row_group(group).total_byte_size,
                ),
                row_groups=[group],
                columns=names,
            )
        )
        yield from _cut(file, unit, batches)


def _cut(
    file: SourceFile, unit: Unit, batches: Iterable[pa.RecordBatch]
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """The rows of `batches` that belong to `unit`, in slices of at most `BLOCK_ROWS`."""
    skip, index = unit.skip, unit.first_row
    end = None if unit.num_rows is None else unit.first_row + unit.num_rows
    for batch in batches:
        taken = min(skip, batch.num_rows)
        skip -= taken
        for start in range(taken, batch.num_rows, BLOCK_ROWS):
            part = batch.slice(start, BLOCK_ROWS)
            if end is not None:
                part = part.slice(0, end - index)
            if part.num_rows:
                yield index, part
            index += part.num_rows
        if index == end:
            return
    if end is not None:
        raise DistilabelUserError(
            f"the file {file.path!r} has changed since the run began: rows {index} to {end} are "
            "missing."
        )


def _only(batch: pa.RecordBatch, columns: Collection[str] | None) -> pa.RecordBatch:
    """`batch` with the named columns only: by name a reader may find others too (`a` in `a.b`)."""
    if columns is None:
        return batch
    return batch.select([i for i, name in enumerate(batch.schema.names) if name in columns])


def _arrow_reader(stream: Any, columns: Collection[str] | None = None) -> Any:
    """A reader of the named columns; of all where none is there, which Arrow takes for all."""
    opened = pa.ipc.open_file if is_arrow_file(stream) else pa.ipc.open_stream
    reader = opened(stream)
    if columns is None:
        return reader
    included = [i for i, name in enumerate(reader.schema.names) if name in columns]
    stream.seek(0)
    return opened(stream, options=pa.ipc.IpcReadOptions(included_fields=included))


def _read_arrow(source: Source, file: SourceFile, unit: Unit) -> Iterator[_RawBlock]:
    path = source.local_path(file)
    opened: contextlib.AbstractContextManager[Any] = (
        source.open(file) if path is None else pa.memory_map(path)
    )
    with opened as stream:
        reader = _arrow_reader(stream, source.columns)
        if hasattr(reader, "get_batch"):
            stop = reader.num_record_batches if unit.stop is None else unit.stop
            batches = (reader.get_batch(i) for i in range(unit.start, stop))
        else:
            batches = (
                batch
                for i, batch in enumerate(reader)
                if i >= unit.start and (unit.stop is None or i < unit.stop)
            )
        for index, batch in _cut(file, unit, batches):
            batch = _only(batch, source.columns)
            yield _RawBlock(range(index, index + batch.num_rows), batch.to_pylist(), [])


def _read_lines(source: Source, file: SourceFile, unit: Unit) -> Iterator[_RawBlock]:
    with source.open(file) as stream:
        if unit.start:
            stream.seek(unit.start)
        size = None if unit.stop is None else unit.stop - unit.start
        lines = enumerate(split_lines(stream, size), unit.first_row)
        yield from _parsed_lines(file, lines)


def _parsed_lines(file: SourceFile, lines: Iterable[tuple[int, bytes]]) -> Iterator[_RawBlock]:
    block = _RawBlock([], [], [])
    seen = num_bytes = 0
    for index, line in lines:
        if index == 0:
            line = without_bom(line)
        try:
            row = parse_record(line)
            if line.count(b"[") + line.count(b"{") > MAX_LEVELS and is_deep(row):
                raise ValueError(TOO_DEEP)
        except ValueError as error:
            # Blank lines are no records.
            if line.strip():
                message = f"{file.path}, line {index + 1}: {error}"
                block.bad.append(_bad(file, index, message, line))
        else:
            block.indices.append(index)  # type: ignore[attr-defined]
            block.rows.append(row)
        seen += 1
        num_bytes += len(line)
        if seen >= BLOCK_ROWS or num_bytes >= BLOCK_BYTES:
            yield block
            block = _RawBlock([], [], [])
            seen = num_bytes = 0
    if block.rows or block.bad:
        yield block


def _bad(file: SourceFile, index: int, message: str, text: str | bytes) -> BadRecord:
    if isinstance(text, bytes):
        text = text[:_SHOWN].decode("utf-8", "backslashreplace")
    return BadRecord(file.path, "", index, message, text[:_SHOWN])


def _read_json(source: Source, file: SourceFile, unit: Unit) -> Iterator[_RawBlock]:
    with source.open(file) as stream:
        lines = is_json_lines(stream)
    if lines:
        yield from _read_lines(source, file, unit)
        return
    with source.open(file) as stream, decoding(stream) as text:
        block = _RawBlock([], [], [])
        for index, value in enumerate(iter_json(text)):
            if isinstance(value, dict) and is_deep(value):
                message = f"{file.path}, record {index + 1}: {TOO_DEEP}"
                block.bad.append(_bad(file, index, message, json.dumps(value)))
            elif isinstance(value, dict):
                block.indices.append(index)  # type: ignore[attr-defined]
                block.rows.append(value)
            else:
                message = (
                    f"{file.path}, record {index + 1}: a record has to be a JSON object, this is "
                    f"{kind_of_json(value)}"
                )
                block.bad.append(_bad(file, index, message, repr(value)))
            if len(block.rows) + len(block.bad) >= BLOCK_ROWS:
                yield block
                block = _RawBlock([], [], [])
        if block.rows or block.bad:
            yield block


def _read_csv(source: Source, file: SourceFile, unit: Unit) -> Iterator[_RawBlock]:
    del unit  # CSV isn't cut: a line's end may be inside a field
    delimiter = _delimiter(source, file)
    with source.open(file) as stream:
        names = csv_files.read_header(stream, delimiter)
    if not names:
        return
    with source.open(file) as stream:
        for indices, rows, bad in csv_files.read_blocks(
            stream, names, delimiter, source.text_columns
        ):
            for start in range(0, max(len(rows), 1), BLOCK_ROWS):
                stop = start + BLOCK_ROWS
                records = [
                    _bad(
                        file,
                        r.position,
                        f"{file.path}, record {r.position + 1}: {r.message}",
                        r.text,
                    )
                    for r in bad
                    if start == 0 or r.position >= indices[start]
                    if stop >= len(rows) or r.position < indices[stop]
                ]
                yield _RawBlock(indices[start:stop], rows[start:stop], records)


_READERS = {
    "parquet": _read_parquet,
    "staged": _read_staged,
    "arrow": _read_arrow,
    "jsonl": _read_lines,
    "json": _read_json,
    "csv": _read_csv,
    "tsv": _read_csv,
}
