"""Rows to shards: buffered, encoded, and written group by group. No Beam in here."""

from __future__ import annotations

import logging
from typing import Any

import pyarrow as pa

from beam_distilabel.row import RESERVED, ROW_ID, Row, sort_key
from beam_distilabel.schema import first_json_row, json_paths
from beam_distilabel.schema.declared import DeclaredColumns
from beam_distilabel.transforms.sinks.shards import (
    ROW_GROUP_BYTES,
    ROW_GROUP_ROWS,
    ShardFile,
    ShardRecord,
    new_path,
)

logger = logging.getLogger(__name__)

LAST_KEY = "\U0010ffff"
"""Sorts after every row id: the key of rows that have none."""


class ShardWriter:
    """Writes the rows of one subset to as few shards as the bounds and the schema allow.

    Rows are buffered until they make a row group, so memory is bounded by `ROW_GROUP_BYTES`, not by
    the size of a shard. A row group that the open shard's schema can't hold starts a new shard.

    Args:
        folder: where shards are staged; created when needed.
        subset: the rows' subset, for records and messages.
        max_shard_bytes: a shard that has reached it is closed.
        max_shard_rows: a shard never has more rows.
        ordered: sort every row group by row id, and keep the sort keys.
        keep_row_ids: write the reserved columns too.
        declared: columns with known types, as far as rows have them and values fit them.

    Example:
        >>> import tempfile
        >>> writer = ShardWriter(tempfile.mkdtemp(), "default")
        >>> writer.add({"a": 1})
        >>> [record["rows"] for record in writer.close()]
        [1]
    """

    def __init__(
        self,
        folder: str,
        subset: str,
        *,
        max_shard_bytes: int = 256_000_000,
        max_shard_rows: int = 1_000_000,
        ordered: bool = False,
        keep_row_ids: bool = False,
        declared: pa.Schema | None = None,
    ) -> None:
        self._folder = folder
        self._subset = subset
        self._max_shard_bytes = max_shard_bytes
        self._max_shard_rows = max_shard_rows
        self._ordered = ordered
        self._drop = () if keep_row_ids else RESERVED
        self._declared = DeclaredColumns(declared)
        self._known: pa.Schema | None = None
        self._group_bytes = min(ROW_GROUP_BYTES, max_shard_bytes)
        self._group_rows = min(ROW_GROUP_ROWS, max_shard_rows)
        self._rows: list[Row] = []
        self._size = 0
        self._shard: ShardFile | None = None
        self._first_row = ""
        self._records: list[ShardRecord] = []

    def add(self, row: Row) -> None:
        """Take a row; it must not be changed afterwards."""
        self._rows.append(row)
        self._size += memory_of(row)
        if self._size >= self._group_bytes or len(self._rows) >= self._group_rows:
            self._flush()

    def close(self) -> list[ShardRecord]:
        """Write what is buffered; the records of all shards."""
        if self._rows:
            self._flush()
        self._close_shard()
        records, self._records = self._records, []
        return records

    def _flush(self) -> None:
        rows, self._rows, self._size = self._rows, [], 0
        keys: list[str] | None = None
        if self._ordered:
            rows, keys = _sorted_rows(rows)
        table, schema = self._declared.encode(rows, self._known, drop=self._drop)
        if self._known is None or not schema.equals(self._known):
            self._warn_of_json(schema, rows)
            self._known = schema
        if self._shard is not None and not schema.equals(self._shard.schema, check_metadata=True):
            self._close_shard()
        if self._shard is None:
            self._shard = ShardFile(new_path(self._folder), schema, with_keys=self._ordered)
            self._first_row = str(rows[0].get(ROW_ID, ""))
        self._shard.write(table, None if keys is None else pa.array(keys, pa.string()))
        room = self._max_shard_rows - self._shard.rows
        if room <= 0 or self._shard.bytes >= self._max_shard_bytes:
            self._close_shard()
            room = self._max_shard_rows
        self._group_rows = min(ROW_GROUP_ROWS, room)

    def _close_shard(self) -> None:
        if self._shard is not None:
            self._shard.close()
            self._records.append(self._shard.record(self._subset, self._first_row))
            self._shard = None
            self._group_rows = min(ROW_GROUP_ROWS, self._max_shard_rows)

    def _warn_of_json(self, schema: pa.Schema, rows: list[Row]) -> None:
        before = json_paths(self._known) if self._known is not None else set()
        for path in sorted(json_paths(schema) - before):
            column = next(name for name in schema.names if path.startswith(name))
            known = pa.null()
            if self._known is not None and column in self._known.names:
                known = self._known.field(column).type
            row = rows[first_json_row([row.get(column) for row in rows], known)]
            logger.warning(
                "subset %r: column %r holds values that share no type, so it is written as JSON "
                "text (first seen at row %s)",
                self._subset,
                path,
                row.get(ROW_ID) or f"with the value {str(row.get(column))[:80]!r}",
            )


def _sorted_rows(rows: list[Row]) -> tuple[list[Row], list[str]]:
    keys = [sort_key(row[ROW_ID]) if ROW_ID in row else LAST_KEY for row in rows]
    order = sorted(range(len(rows)), key=keys.__getitem__)
    return [rows[i] for i in order], [keys[i] for i in order]


_SMALL = frozenset((int, float, bool, type(None)))


def memory_of(value: Any) -> int:
    """About how many bytes of memory a row's values take."""
    kind = type(value)
    if kind is str or kind is bytes:
        return len(value) + 56
    if kind is dict:
        size = 184
        for item in value.values():
            # The most frequent ones, without a call.
            kind = type(item)
            if kind is str:
                size += len(item) + 56
            elif kind in _SMALL:
                size += 32
            else:
                size += memory_of(item)
        return size
    if kind is list or kind is tuple:
        if value and type(value[0]) in (float, int):
            return 56 + 32 * len(value)
        size = 56
        for item in value:
            size += memory_of(item)
        return size
    if kind in _SMALL:
        return 32
    size = getattr(value, "nbytes", 32)
    return size if isinstance(size, int) else 32
