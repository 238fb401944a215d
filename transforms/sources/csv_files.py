"""CSV: types that are chosen once per source, and rows read block by block."""

from __future__ import annotations

import collections
import csv
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from beam_distilabel.row import Row
from beam_distilabel.transforms.sources.records import decoding

BLOCK_BYTES = 8 << 20
"""How much text is parsed at a time; a record of more than this can't be read."""

NULLS = ("", "#N/A", "N/A", "NA", "NULL", "NaN", "None", "nan", "null")
"""What stands for no value in a column of numbers or booleans; in a column of text only an empty,
unquoted field does."""

_TYPES = {"int64": pa.int64(), "double": pa.float64(), "bool": pa.bool_()}
_LEADING_ZERO = r"^[+-]?0[0-9]"


class BadRecord(NamedTuple):
    """A record with too few or many fields; `position` is its number from 0, header aside."""

    position: int
    message: str
    text: str


def read_header(stream: Any, delimiter: str) -> list[str]:
    """The column names, none for an empty file.

    Raises:
        ValueError: a name occurs twice, or it isn't UTF-8.
    """
    with decoding(stream, newline="") as text:
        names = next((line for line in csv.reader(text, delimiter=delimiter) if line), [])
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"the columns {', '.join(map(repr, repeated))} occur more than once")
    return names


def infer_types(stream: Any, names: list[str], delimiter: str) -> dict[str, str]:
    """Column name to "int64", "double", "bool" or "string", from a file's first block.

    A column of digits with leading zeros (post codes) is text.
    """
    block = next(iter(_open(stream, names, delimiter, collections.deque())), None)
    if block is None:
        return dict.fromkeys(names, "string")
    return {name: _infer(block.column(i)) for i, name in enumerate(names)}


def _infer(texts: Any) -> str:
    values = texts.filter(pc.invert(_is_null(texts)))
    if len(values) and not pc.any(pc.match_substring_regex(values, _LEADING_ZERO)).as_py():
        for name, kind in _TYPES.items():
            if name != "bool" or set(pc.unique(pc.utf8_lower(values)).to_pylist()) <= {
                "true",
                "false",
            }:
                try:
                    values.cast(kind)
                except pa.ArrowInvalid:
                    continue
                return name
    return "string"


def _is_null(texts: Any) -> Any:
    return pc.or_kleene(pc.is_null(texts), pc.is_in(texts, value_set=pa.array(NULLS)))


def read_blocks(
    stream: Any, names: list[str], delimiter: str, types: Mapping[str, str]
) -> Iterator[tuple[list[int], list[Row], list[BadRecord]]]:
    """(indices of the rows, rows, bad records) per block; bad records are counted in the indices.

    A value that doesn't fit its column's type stays text.

    Args:
        stream: a binary file.
        names: its header.
        delimiter: what separates fields.
        types: as `infer_types` returns them; other columns are text.

    Raises:
        ValueError: the text isn't UTF-8, or a record exceeds `BLOCK_BYTES`.
    """
    pending: collections.deque[BadRecord] = collections.deque()
    index = 0
    for block in _open(stream, names, delimiter, pending):
        columns = [
            _convert(column, types.get(name, "string"))
            for name, column in zip(names, block.columns, strict=True)
        ]
        rows = [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]
        indices: list[int] = []
        bad: list[BadRecord] = []
        while len(indices) < len(rows):
            # A block's bad records are known by now: the good ones lie between them.
            run = len(rows) - len(indices)
            if pending and pending[0].position < index + run:
                run = pending[0].position - index
                bad.append(pending.popleft())
            indices.extend(range(index, index + run))
            index += run + (len(indices) < len(rows))
        yield indices, rows, bad
    if pending:
        yield [], [], list(pending)


def _convert(texts: Any, kind: str) -> list[Any]:
    if kind == "string":
        return list(texts.to_pylist())
    values = pc.if_else(_is_null(texts), pa.scalar(None, pa.string()), texts)
    try:
        if not pc.any(pc.match_substring_regex(values, _LEADING_ZERO)).as_py():
            return list(values.cast(_TYPES[kind]).to_pylist())
    except pa.ArrowInvalid:
        pass
    return [_convert_one(value, kind) for value in values.to_pylist()]


def _convert_one(text: str | None, kind: str) -> Any:
    if text is None or re.match(_LEADING_ZERO, text):
        return text
    try:
        return pa.scalar(text).cast(_TYPES[kind]).as_py()
    except pa.ArrowInvalid:
        return text


def _open(stream: Any, names: list[str], delimiter: str, bad: collections.deque[BadRecord]) -> Any:
    """A reader of blocks in which every column is text."""

    def note(record: Any) -> str:
        reason = f"{record.actual_columns} fields instead of {record.expected_columns}"
        # Numbered from 1, the header included.
        bad.append(BadRecord(record.number - 2, reason, record.text))
        return "skip"

    return pyarrow.csv.open_csv(
        stream,
        read_options=pyarrow.csv.ReadOptions(block_size=BLOCK_BYTES, use_threads=False),
        parse_options=pyarrow.csv.ParseOptions(
            delimiter=delimiter, newlines_in_values=True, invalid_row_handler=note
        ),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            null_values=[""],
        ),
    )
