"""Parquet shards: staged by workers, described by records, made final by few. No Beam in here.

A worker writes the rows of a subset to staged shards. Each has a schema of its own, a name that no
other attempt uses, and a record that tells what it holds. Only shards with a record exist: what an
attempt that failed has left behind is never looked at, and goes with the staging folder.
"""

from __future__ import annotations

import hashlib
import logging
import posixpath
import uuid
from collections.abc import Iterator
from typing import Any, TypedDict

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from beam_distilabel.layout import open_parquet
from beam_distilabel.row import RESERVED, ROW_ID, Row, sort_key
from beam_distilabel.schema import encode_rows, first_json_row, json_paths, storage_schema

logger = logging.getLogger(__name__)

ROW_GROUP_ROWS = 32_768
"""Rows that are buffered, and written as one row group, at most."""

ROW_GROUP_BYTES = 64 * 2**20
"""Bytes of memory that buffered rows take at most, by `memory_of`; one row may take more."""

LAST_KEY = "\U0010ffff"
"""Sorts after every row id: the key of rows that have none."""


class Group(TypedDict):
    """One row group of an ordered shard: a sorted run of rows."""

    first: str
    last: str
    rows: int


class ShardRecord(TypedDict):
    """What a worker reports of a shard that it has closed.

    Keys:
        path: the Parquet file; the sort keys of an ordered shard are in `keys_path(path)`.
        schema: its logical schema, as an Arrow IPC message.
        bytes: the file's size.
        groups: one entry per row group, only for ordered shards.
        first_row: the id of its first row, for messages.
    """

    subset: str
    path: str
    schema: bytes
    rows: int
    bytes: int
    sha256: str
    groups: list[Group]
    first_row: str


def keys_path(path: str) -> str:
    """Where the sort keys of the rows of the shard at `path` are."""
    return f"{path}.keys"


def memory_of(value: Any) -> int:
    """About how many bytes of memory a row's values take."""
    kind = type(value)
    if kind is str or kind is bytes:
        return len(value) + 56
    if kind is dict:
        size = 184
        for item in value.values():
            size += memory_of(item)
        return size
    if kind is list or kind is tuple:
        if value and type(value[0]) in (float, int):
            return 56 + 32 * len(value)
        size = 56
        for item in value:
            size += memory_of(item)
        return size
    size = getattr(value, "nbytes", 32)
    return size if isinstance(size, int) else 32


class ShardFile:
    """One Parquet file that is being written: hashed on the way, with its sort keys beside it.

    Args:
        path: where; any filesystem that fsspec knows.
        schema: the logical schema of the tables that will be written.
        with_keys: also write the sort keys that `write` gets to `keys_path(path)`.
    """

    def __init__(self, path: str, schema: pa.Schema, *, with_keys: bool = False) -> None:
        self.path = path
        self.schema = schema
        self.rows = 0
        self.groups: list[Group] = []
        self._file = _HashingFile(path)
        self._parquet = pq.ParquetWriter(self._file, storage_schema(schema), compression="zstd")
        self._keys_file = _HashingFile(keys_path(path)) if with_keys else None
        self._keys: Any = None
        if self._keys_file is not None:
            options = pa.ipc.IpcWriteOptions(compression="zstd")
            self._keys = pa.ipc.new_file(self._keys_file, _KEYS_SCHEMA, options=options)

    @property
    def bytes(self) -> int:
        """Bytes written so far."""
        return self._file.tell()

    @property
    def sha256(self) -> str:
        """Of the bytes written so far, in hex."""
        return self._file.digest.hexdigest()

    def write(self, table: pa.Table, keys: pa.Array | None = None) -> None:
        """Append one row group; `keys` are its rows' sort keys, in ascending order."""
        self._parquet.write_table(table, row_group_size=max(1, table.num_rows))
        self.rows += table.num_rows
        if self._keys is not None and keys is not None:
            self._keys.write_batch(pa.record_batch([keys], schema=_KEYS_SCHEMA))
            first, last = keys[0].as_py(), keys[-1].as_py()
            self.groups.append(Group(first=first, last=last, rows=len(keys)))

    def close(self) -> None:
        """Finish the file."""
        self._parquet.close()
        self._file.close()
        if self._keys is not None and self._keys_file is not None:
            self._keys.close()
            self._keys_file.close()

    def record(self, subset: str, first_row: str = "") -> ShardRecord:
        """What there is to know about the file, once it is closed."""
        return ShardRecord(
            subset=subset,
            path=self.path,
            schema=self.schema.serialize().to_pybytes(),
            rows=self.rows,
            bytes=self.bytes,
            sha256=self.sha256,
            groups=self.groups,
            first_row=first_row,
        )


_KEYS_SCHEMA = pa.schema([pa.field("key", pa.string())])


class _HashingFile:
    """A file to write to that knows its length and its sha256."""

    def __init__(self, path: str) -> None:
        filesystem, name = fsspec.core.url_to_fs(path)
        self._file = filesystem.open(name, "wb")
        self._length = 0
        self.closed = False
        self.digest = hashlib.sha256()

    def write(self, data: Any) -> int:
        self.digest.update(data)
        self._file.write(data)
        self._length += len(data)
        return len(data)

    def tell(self) -> int:
        return self._length

    def flush(self) -> None:
        pass  # Nobody reads a file before it is closed.

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._file.close()


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
        declared: columns with known types.

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
        self._declared = declared
        self._known = declared
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
        table, schema = encode_rows(rows, self._known, self._declared, drop=self._drop)
        if self._known is None or not schema.equals(self._known):
            self._warn_of_json(schema, rows)
            self._known = schema
        if self._shard is not None and not schema.equals(self._shard.schema):
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
                row.get(ROW_ID, "without id"),
            )


def _sorted_rows(rows: list[Row]) -> tuple[list[Row], list[str]]:
    keys = [sort_key(row[ROW_ID]) if ROW_ID in row else LAST_KEY for row in rows]
    order = sorted(range(len(rows)), key=keys.__getitem__)
    return [rows[i] for i in order], [keys[i] for i in order]


def new_path(folder: str) -> str:
    """A path for a shard in `folder`, made if need be, that no other attempt will use."""
    filesystem, name = fsspec.core.url_to_fs(folder)
    filesystem.makedirs(name, exist_ok=True)
    return posixpath.join(folder, f"{uuid.uuid4().hex}.parquet")


def read_schema(record: ShardRecord) -> pa.Schema:
    """A record's logical schema."""
    return pa.ipc.read_schema(pa.py_buffer(record["schema"]))


class ShardSink:
    """Takes tables of one schema and writes them to shards within the bounds.

    Small tables are joined to row groups of up to `ROW_GROUP_ROWS`.

    Args:
        folder: where shards are staged.
        schema: the logical schema of all tables.
        max_shard_bytes: a shard that has reached it is closed.
        max_shard_rows: a shard never has more rows.
        with_keys: keep the sort keys of the rows.
    """

    def __init__(
        self,
        folder: str,
        schema: pa.Schema,
        *,
        max_shard_bytes: int,
        max_shard_rows: int,
        with_keys: bool = False,
    ) -> None:
        self._folder = folder
        self._schema = schema
        self._max_shard_bytes = max_shard_bytes
        self._max_shard_rows = max_shard_rows
        self._with_keys = with_keys
        self._tables: list[pa.Table] = []
        self._keys: list[pa.Array] = []
        self._shard: ShardFile | None = None
        self._done: list[ShardFile] = []

    def add(self, table: pa.Table, keys: pa.Array | None = None) -> None:
        """Append rows, in storage types; with their sort keys where these are kept."""
        if not table.num_rows:
            return
        self._tables.append(table)
        if keys is not None:
            self._keys.append(keys)
        rows = sum(table.num_rows for table in self._tables)
        if rows >= ROW_GROUP_ROWS or sum(t.nbytes for t in self._tables) >= ROW_GROUP_BYTES:
            self._flush()

    def close(self, *, at_least_one: bool = False) -> list[ShardFile]:
        """Write what is buffered; the closed shards, in order.

        Args:
            at_least_one: write a shard without rows where there were no rows at all.
        """
        self._flush()
        if at_least_one and not self._done and self._shard is None:
            # No row group either: `datasets` can't read one that is empty.
            self._shard = ShardFile(new_path(self._folder), self._schema)
        self._close_shard()
        return self._done

    def _flush(self) -> None:
        if not self._tables:
            return
        table = pa.concat_tables(self._tables)
        keys = pa.concat_arrays(self._keys) if self._with_keys else None
        self._tables, self._keys = [], []
        offset = 0
        while offset < table.num_rows:
            if self._shard is None:
                path = new_path(self._folder)
                self._shard = ShardFile(path, self._schema, with_keys=self._with_keys)
            room = min(self._max_shard_rows - self._shard.rows, ROW_GROUP_ROWS)
            part = table.slice(offset, room)
            part_keys = None if keys is None else keys.slice(offset, room)
            self._shard.write(part, part_keys)
            offset += part.num_rows
            full = self._shard.rows >= self._max_shard_rows
            if full or self._shard.bytes >= self._max_shard_bytes:
                self._close_shard()

    def _close_shard(self) -> None:
        if self._shard is not None:
            self._shard.close()
            self._done.append(self._shard)
            self._shard = None


def read_tables(path: str) -> Iterator[pa.Table]:
    """The row groups of the Parquet file at `path`, one at a time."""
    with open_parquet(path) as file:
        for index in range(file.num_row_groups):
            yield file.read_row_group(index)
