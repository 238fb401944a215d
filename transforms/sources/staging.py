"""Rows in files of their own: in-memory data that is too large for a job graph.

A row is one JSON text, in Parquet (compressed, cut into row groups that are read apart) beside its
index. JSON text keeps what typed columns would not: missing keys, empty dicts, mixed types. What
JSON lacks is an object with the one key `TAG`.
"""

from __future__ import annotations

import atexit
import base64
import datetime
import decimal
import json
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.filesystems import url_to_fs
from beam_distilabel.row import DRAW, Row, compared, content, fingerprint
from beam_distilabel.transforms.sources.records import parse_record

TAG = "$beam_distilabel"
"""The key of an object that stands for a value that JSON lacks: `{TAG: [type, text]}`."""

GROUP_ROWS = 1000
"""Rows per row group, at most: what one worker reads at a time."""

GROUP_BYTES = 8 << 20
FILE_BYTES = 256 << 20

_SCHEMA = pa.schema([("index", pa.int64()), ("row", pa.large_string())])

_TO_TEXT: dict[type, tuple[str, Callable[[Any], str]]] = {
    bytes: ("bytes", lambda value: base64.b64encode(value).decode()),
    bytearray: ("bytes", lambda value: base64.b64encode(value).decode()),
    datetime.datetime: ("datetime", lambda value: value.isoformat()),
    datetime.date: ("date", lambda value: value.isoformat()),
    datetime.time: ("time", lambda value: value.isoformat()),
    decimal.Decimal: ("decimal", str),
    uuid.UUID: ("uuid", str),
}
_FROM_TEXT: dict[str, Callable[[Any], Any]] = {
    "bytes": base64.b64decode,
    "datetime": datetime.datetime.fromisoformat,
    "date": datetime.date.fromisoformat,
    "time": datetime.time.fromisoformat,
    "decimal": decimal.Decimal,
    "uuid": uuid.UUID,
    "object": lambda items: {key: _restore(value) for key, value in items},
}


def encode_row(row: Row) -> str:
    """`row` as one line of ASCII; `decode_row` gives it back.

    Kept are JSON-like values, NaN and infinities, integers of any size, bytes, dates and times,
    Decimal and UUID. Tuples, sets and arrays become lists, keys text, lone surrogates escapes.

    Raises:
        TypeError: a value is of another type; names it.

    Example:
        >>> decode_row(encode_row({"a": b"x", "b": [1.5, None]}))
        {'a': b'x', 'b': [1.5, None]}
    """
    tagged = 0

    def tag(value: Any) -> Any:
        nonlocal tagged
        if isinstance(value, np.generic):
            return value.item()
        if isinstance(value, np.ndarray):
            return value.tolist()
        if isinstance(value, (set, frozenset)):
            return list(value)
        known = next((_TO_TEXT[kind] for kind in type(value).__mro__ if kind in _TO_TEXT), None)
        if known is None:
            raise TypeError(f"a value of type {type(value).__name__} can't be stored")
        if value != value:  # pandas' NaT
            return None
        tagged += 1
        return {TAG: [known[0], known[1](value)]}

    text = json.dumps(row, default=tag, separators=(",", ":"))
    if text.count(TAG) > tagged:
        # The user's own data has the tag in it: keys that could be taken for one are spelled out.
        text = json.dumps(_escape(row), default=tag, separators=(",", ":"))
    return text


def decode_row(text: str | bytes) -> Row:
    """The row that `encode_row` made `text` of."""
    line = text.encode() if isinstance(text, str) else text
    row = parse_record(line)
    if TAG.encode() in line:
        restored = _restore(row)
        assert isinstance(restored, dict)
        return restored
    return row


def _escape(value: Any) -> Any:
    if isinstance(value, Mapping):
        items = [(key, _escape(item)) for key, item in value.items()]
        return {TAG: ["object", items]} if TAG in value else dict(items)
    if isinstance(value, (list, tuple)):
        return [_escape(item) for item in value]
    return value


def _restore(value: Any) -> Any:
    if isinstance(value, list):
        return [_restore(item) for item in value]
    if isinstance(value, dict):
        if TAG in value:
            kind, text = value[TAG]
            return _FROM_TEXT[kind](text)
        return {key: _restore(item) for key, item in value.items()}
    return value


def encode_rows(rows: Iterable[Row], columns: Sequence[str] | None = None) -> Iterator[str]:
    """`rows` encoded, those that are equal numbered (`DRAW`) in order.

    Args:
        rows: the rows.
        columns: those by which rows count as equal; None for all.

    Raises:
        DistilabelUserError: a value can't be stored; names row and column.
    """
    seen: dict[str, int] = {}
    for index, row in enumerate(rows):
        row = content(row)
        digest = fingerprint(compared(row, columns))
        draw = seen.get(digest, 0)
        seen[digest] = draw + 1
        try:
            yield encode_row({**row, DRAW: draw} if draw else row)
        except (TypeError, ValueError, RecursionError) as error:
            column = next((name for name in row if not _is_storable(row[name])), None)
            raise DistilabelUserError(
                f"row {index}, column {column!r}: {error}. Use JSON-like values or bytes (an image "
                "as its PNG bytes, say)."
            ) from None


def _is_storable(value: Any) -> bool:
    try:
        encode_row({"": value})
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def stage_rows(rows: Iterable[Row], folder: str) -> list[str]:
    """Write `rows` to new files in `folder`, which is emptied first.

    Args:
        rows: may be any number; one row group is held at a time.
        folder: local, or on any filesystem that fsspec knows.

    Returns:
        The files, in order; they are read as the file type "staged".

    Raises:
        DistilabelUserError: a value can't be stored; names row and column.
    """
    return stage_texts(encode_rows(rows), folder)


def stage_texts(texts: Iterable[str], folder: str) -> list[str]:
    """`stage_rows` for rows that are encoded already."""
    filesystem, path = url_to_fs(folder)
    empty_folder(folder)
    files: list[str] = []
    writer: pq.ParquetWriter | None = None
    written = index = 0
    try:
        for group in _groups(texts):
            if writer is None or written >= FILE_BYTES:
                if writer is not None:
                    writer.close()
                name = f"rows-{len(files):05d}.parquet"
                files.append(f"{folder.rstrip('/')}/{name}")
                writer = pq.ParquetWriter(
                    f"{path.rstrip('/')}/{name}", _SCHEMA, filesystem=filesystem, compression="zstd"
                )
                written = 0
            indices = range(index, index + len(group))
            writer.write_table(
                pa.table(
                    [pa.array(indices, pa.int64()), pa.array(group, pa.large_string())], _SCHEMA
                )
            )
            index += len(group)
            written += sum(map(len, group))
    finally:
        if writer is not None:
            writer.close()
    return files


def _groups(texts: Iterable[str]) -> Iterator[list[str]]:
    group: list[str] = []
    size = 0
    for text in texts:
        group.append(text)
        size += len(text)
        if len(group) >= GROUP_ROWS or size >= GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def empty_folder(folder: str) -> None:
    """Make `folder`, without what an earlier run left in it."""
    filesystem, path = url_to_fs(folder)
    if filesystem.exists(path):
        filesystem.rm(path, recursive=True)
    filesystem.makedirs(path, exist_ok=True)


def staging_folder(run_dir: str | None, step: str) -> str:
    """Where the rows of `step` are staged; without a run a local folder until the exit."""
    if run_dir is not None:
        return f"{run_dir.rstrip('/')}/staged/{step}"
    folder = tempfile.mkdtemp(prefix="beam-distilabel-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return f"{folder}/{step}"
