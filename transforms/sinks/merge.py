"""From staged shards to final ones: which to keep, which to join, which to merge by row id.

A staged shard that already has the subset's schema and a good size is kept: only its name changes.
Others are rewritten, row group by row group. To order rows, row groups (each sorted when it was
written) are chained wherever one ends before the next begins; if one chain in file order is enough,
nothing is merged, else chains are merged block by block. Memory is bounded by `FAN_IN` row groups,
whatever the number of rows.
"""

from __future__ import annotations

import heapq
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from beam_distilabel.filesystems import url_to_fs
from beam_distilabel.layout import open_parquet
from beam_distilabel.row import sort_key
from beam_distilabel.schema import convert_table, json_paths, unify_schemas
from beam_distilabel.schema.features import fit_features
from beam_distilabel.transforms.sinks.shard_sink import ShardSink
from beam_distilabel.transforms.sinks.shards import (
    ShardFile,
    ShardRecord,
    keys_path,
    read_schema,
    read_tables,
)

logger = logging.getLogger(__name__)

FAN_IN = 16
"""Chains that are merged at once."""

_OPEN_FILES = 64
_SMALL = 8  # shards below an eighth of the bound are joined with their neighbours


@dataclass(frozen=True)
class Bounds:
    """The size of a shard, at most: bytes may be exceeded by one row group, rows never."""

    bytes: int
    rows: int


class Block(NamedTuple):
    """One row group of an ordered shard; its keys lie between `first` and `last`."""

    first: str
    last: str
    path: str
    number: int
    schema: bytes


Chain = list[Block]
"""Blocks of which each ends before the next begins."""


# --- planning: records only, no data ------------------------------------------------------------


def plan(
    records: Sequence[ShardRecord], bounds: Bounds, *, ordered: bool, most: int | None = None
) -> tuple[list[list[ShardRecord]], Bounds]:
    """The staged shards that make each final one, or, ordered, what has to be merged together.

    Without `ordered`, or where the shards already follow one another, every inner list is one final
    shard: a single staged one, or several small ones to be joined. Where rows have to be merged
    there is one inner list of all records.

    Args:
        records: of the staged shards.
        bounds: of a final shard.
        ordered: whether rows are written in order.
        most: how many final shards there may be: with more, they grow beyond `bounds`.

    Returns:
        The lists, and the bounds that hold for writing them.
    """
    if ordered:
        arranged = sorted(
            records, key=lambda record: (record["groups"][0]["first"], record["path"])
        )
        if not follow_one_another(arranged):
            return [list(records)], bounds if most is None else _grown(records, bounds, most)
    else:
        arranged = sorted(records, key=lambda r: (sort_key(r["first_row"]), r["path"]))
    parts = _join_neighbours(arranged, bounds, _SMALL)
    if most is not None and len(parts) > most:
        bounds = _grown(records, bounds, most)
        parts = _join_neighbours(arranged, bounds, 1)
        # Rows that are written again don't compress as they did; a list stays one shard.
        bounds = Bounds(bounds.bytes + bounds.bytes // 8, bounds.rows)
    return parts, bounds


def _grown(records: Sequence[ShardRecord], bounds: Bounds, most: int) -> Bounds:
    """Bounds in bytes alone that let `records` become `most` shards at most."""
    sizes = [record["bytes"] for record in records]
    # A list is closed when the next record doesn't fit: it lacks less than one of the bound.
    share = -(-sum(sizes) // max(1, most - 1)) + max(sizes, default=0)
    return Bounds(max(bounds.bytes, share), max(bounds.rows, sum(r["rows"] for r in records)))


def follow_one_another(records: Sequence[ShardRecord]) -> bool:
    """Whether `records`, one after the other, are in the order of the sort keys they have."""
    groups = [group for record in records for group in record["groups"]]
    return all(
        left["last"] <= right["first"] for left, right in zip(groups, groups[1:], strict=False)
    )


def _join_neighbours(
    records: Sequence[ShardRecord], bounds: Bounds, share: int
) -> list[list[ShardRecord]]:
    """Records in lists that fit `bounds`; those of at least one `share`-th of it are alone."""
    bins: list[list[ShardRecord]] = []
    size = rows = 0
    joinable = False
    for record in records:
        small = record["bytes"] * share < bounds.bytes and record["rows"] * share < bounds.rows
        fits = size + record["bytes"] <= bounds.bytes and rows + record["rows"] <= bounds.rows
        if bins and joinable and small and fits:
            bins[-1].append(record)
            size, rows = size + record["bytes"], rows + record["rows"]
        else:
            bins.append([record])
            size, rows = record["bytes"], record["rows"]
        joinable = small
    return bins


def unify_shards(
    subset: str, records: list[ShardRecord], declared: pa.Schema | None = None
) -> pa.Schema:
    """One schema for all shards of a subset; warns of columns that become JSON text by it.

    Args:
        subset: its name, for the warning.
        records: its shards.
        declared: the columns of a subset without shards; of others their features, as far as they
            fit what was written.
    """
    if not records:
        return pa.schema([]) if declared is None else fit_features(declared, declared)
    # In the order of the rows, so that the columns are too.
    records = sorted(records, key=lambda record: (sort_key(record["first_row"]), record["path"]))
    schemas = [read_schema(record["schema"]) for record in records]
    if declared is not None:
        schemas = _without_empty_declarations(records, schemas, declared)
    schema = fit_features(_without_null_arrays(unify_schemas(schemas), schemas), declared, schemas)
    known = set().union(*(json_paths(s) for s in schemas)) if schemas else set()
    for path in sorted(json_paths(schema) - known):
        column = next(name for name in schema.names if path.startswith(name))
        seen = {
            str(s.field(column).type): record["first_row"]
            for s, record in zip(schemas, records, strict=True)
            if column in s.names
        }
        logger.warning(
            "subset %r: column %r has types that can't be unified, so it becomes JSON text: %s",
            subset,
            path,
            "; ".join(f"{kind} (shard that starts at row {row})" for kind, row in seen.items()),
        )
    return schema


def _without_empty_declarations(
    records: Sequence[ShardRecord], schemas: Sequence[pa.Schema], declared: pa.Schema
) -> list[pa.Schema]:
    """`schemas` with the type null where a type is that of the declaration, and of no value.

    Other shards' values have shown that the declaration doesn't fit.
    """
    found = list(schemas)
    for field in declared:
        has = [i for i, schema in enumerate(found) if field.name in schema.names]
        as_declared = [i for i in has if found[i].field(field.name).type.equals(field.type)]
        if len(as_declared) == len(has):
            continue
        for i in as_declared:
            if not _has_values(records[i]["path"], field.name):
                position = found[i].get_field_index(field.name)
                found[i] = found[i].set(position, pa.field(field.name, pa.null()))
    return found


def _without_null_arrays(schema: pa.Schema, schemas: Sequence[pa.Schema]) -> pa.Schema:
    """`schema` with lists in place of lists of a fixed size that some shards lack.

    Arrow writes null ones to Parquet, and can't read them again.
    """
    for position, field in enumerate(schema):
        if pa.types.is_fixed_size_list(field.type):
            if not all(
                field.name in s.names and s.field(field.name).type != pa.null() for s in schemas
            ):
                schema = schema.set(position, pa.field(field.name, pa.list_(field.type.value_type)))
    return schema


def _has_values(path: str, column: str) -> bool:
    with open_parquet(path) as file:
        return any(
            batch.column(column).null_count < batch.num_rows
            for batch in file.iter_batches(columns=[column])
        )


# --- doing --------------------------------------------------------------------------------------


def join(
    records: Sequence[ShardRecord], schema: pa.Schema, folder: str, bounds: Bounds
) -> list[ShardFile]:
    """Write the rows of `records`, in this order, to new shards of `schema` in `folder`.

    Without any record: one shard without rows.
    """
    sink = ShardSink(folder, schema, max_shard_bytes=bounds.bytes, max_shard_rows=bounds.rows)
    for record in records:
        source = read_schema(record["schema"])
        for table in read_tables(record["path"]):
            sink.add(convert_table(table, source, schema))
    return sink.close(at_least_one=not records)


def merge(
    records: Sequence[ShardRecord], schema: pa.Schema, folder: str, bounds: Bounds
) -> list[ShardFile]:
    """Write the rows of `records`, sorted by row id, to new shards of `schema` in `folder`."""
    chains = chain_blocks(
        Block(group["first"], group["last"], record["path"], index, record["schema"])
        for record in records
        for index, group in enumerate(record["groups"])
    )
    while len(chains) > FAN_IN:
        # Merge the chains that overlap least with others first: neighbours by their first key.
        chains.sort(key=lambda chain: chain[0])
        merged: list[Block] = []
        for start in range(0, len(chains), FAN_IN):
            files = _merge_chains(chains[start : start + FAN_IN], schema, folder, bounds, True)
            merged.extend(
                Block(g["first"], g["last"], file.path, i, schema.serialize().to_pybytes())
                for file in files
                for i, g in enumerate(file.groups)
            )
        chains = chain_blocks(merged)
    return _merge_chains(chains, schema, folder, bounds, False)


def chain_blocks(blocks: Iterable[Block]) -> list[Chain]:
    """The fewest chains that hold all blocks."""
    chains: list[Chain] = []
    ends: list[tuple[str, int]] = []
    for block in sorted(blocks):
        if ends and ends[0][0] <= block.first:
            number = ends[0][1]
            chains[number].append(block)
            heapq.heapreplace(ends, (block.last, number))
        else:
            chains.append([block])
            heapq.heappush(ends, (block.last, len(chains) - 1))
    return chains


def _merge_chains(
    chains: Sequence[Chain], schema: pa.Schema, folder: str, bounds: Bounds, with_keys: bool
) -> list[ShardFile]:
    sink = ShardSink(
        folder,
        schema,
        max_shard_bytes=bounds.bytes,
        max_shard_rows=bounds.rows,
        with_keys=with_keys,
    )
    with _BlockReader(schema) as reader:
        cursors = [_Cursor(chain, reader) for chain in chains]
        while cursors:
            threshold = min(cursor.last for cursor in cursors)
            parts = [part for cursor in cursors for part in cursor.take(threshold)]
            table = pa.concat_tables([table for table, _ in parts])
            keys = pa.concat_arrays([keys for _, keys in parts])
            if len(parts) > 1:
                order = pc.array_sort_indices(keys)
                table, keys = table.take(order), keys.take(order)
            sink.add(table, keys if with_keys else None)
            cursors = [cursor for cursor in cursors if not cursor.done]
    return sink.close()


class _Cursor:
    """A position in a chain. A block is read when its first rows are due, not before."""

    def __init__(self, chain: Chain, reader: _BlockReader) -> None:
        self._blocks = iter(chain)
        self._reader = reader
        self._block: Block | None = next(self._blocks)
        self._rest: tuple[pa.Table, pa.Array] | None = None

    @property
    def done(self) -> bool:
        return self._block is None

    @property
    def last(self) -> str:
        assert self._block is not None
        return self._block.last

    def take(self, threshold: str) -> Iterator[tuple[pa.Table, pa.Array]]:
        """The rows that are due: with keys up to `threshold`, at most this block's last."""
        block = self._block
        if block is None or (self._rest is None and block.first > threshold):
            return
        table, keys = self._rest or self._reader.read(block)
        due = pc.sum(pc.less_equal(keys, threshold)).as_py() or 0
        if due < len(keys):
            self._rest = (table.slice(due), keys.slice(due))
        else:
            self._rest, self._block = None, next(self._blocks, None)
        if due:
            yield table.slice(0, due), keys.slice(0, due)


class _BlockReader:
    """Reads blocks in the storage types of one schema; keeps some files open."""

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._open: dict[str, tuple[pq.ParquetFile, Any, Any]] = {}

    def __enter__(self) -> _BlockReader:
        return self

    def __exit__(self, *error: object) -> None:
        for path in list(self._open):
            self._close(path)

    def read(self, block: Block) -> tuple[pa.Table, pa.Array]:
        files = self._open.pop(block.path, None) or self._start(block.path)
        self._open[block.path] = files  # last used last
        parquet, keys, _ = files
        source = read_schema(block.schema)
        table = convert_table(parquet.read_row_group(block.number), source, self._schema)
        return table, keys.get_batch(block.number).column(0)

    def _start(self, path: str) -> tuple[pq.ParquetFile, Any, Any]:
        if len(self._open) >= _OPEN_FILES:
            self._close(next(iter(self._open)))
        filesystem, name = url_to_fs(keys_path(path))
        file = filesystem.open(name, "rb")
        return open_parquet(path), pa.ipc.open_file(file), file

    def _close(self, path: str) -> None:
        parquet, _, file = self._open.pop(path)
        parquet.close()
        file.close()
