"""Parquet shards: staged by workers, described by records, made final by few. No Beam in here.

A worker writes the rows of a subset to staged shards. Each has a schema of its own, a name that no
other attempt uses, and a record that tells what it holds. Only shards with a record exist: what an
attempt that failed has left behind is never looked at, and goes with the staging folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import posixpath
import uuid
from collections.abc import Iterator
from typing import Any, TypedDict

import pyarrow as pa
import pyarrow.parquet as pq

from beam_distilabel.filesystems import persistently, url_to_fs
from beam_distilabel.layout import open_parquet
from beam_distilabel.schema import storage_schema

ROW_GROUP_ROWS = 8_192
"""Rows that are buffered, and written as one row group, at most."""

ROW_GROUP_BYTES = 64 * 2**20
"""Bytes of memory that buffered rows take at most, by `memory_of`; one row may take more."""


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
        filesystem, name = url_to_fs(path)
        self._path = path
        self._file = persistently(f"Opening {path}", lambda: filesystem.open(name, "wb"))
        self._length = 0
        self.closed = False
        self.digest = hashlib.sha256()

    def write(self, data: Any) -> int:
        self.digest.update(data)
        with self._named():
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
            with self._named():
                self._file.close()

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        """Errors name the file: that a disk is full is of use to those who know which."""
        try:
            yield
        except OSError as error:
            if error.errno is None or error.filename is not None:
                raise
            raise OSError(error.errno, error.strerror, self._path) from error


def new_path(folder: str) -> str:
    """A path for a shard in `folder`, made if need be, that no other attempt will use."""
    filesystem, name = url_to_fs(folder)
    filesystem.makedirs(name, exist_ok=True)
    return posixpath.join(folder, f"{uuid.uuid4().hex}.parquet")


def read_schema(message: bytes) -> pa.Schema:
    """The schema in an Arrow IPC message, such as that of a record."""
    return pa.ipc.read_schema(pa.py_buffer(message))


def read_tables(path: str) -> Iterator[pa.Table]:
    """The row groups of the Parquet file at `path`, one at a time."""
    with open_parquet(path) as file:
        for index in range(file.num_row_groups):
            yield file.read_row_group(index)
