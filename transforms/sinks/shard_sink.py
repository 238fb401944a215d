"""Tables to shards: joined to row groups, and written within the bounds. No Beam in here."""

from __future__ import annotations

import pyarrow as pa

from beam_distilabel.transforms.sinks.shards import (
    ROW_GROUP_BYTES,
    ROW_GROUP_ROWS,
    ShardFile,
    new_path,
)


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
