"""One schema for all windows: the first one fixes the types, later ones may add columns.

`datasets` reads files of different schemas as one dataset as long as the columns of each are among
those of the card, and their types can be cast to the card's. So a later window may bring a new
column, a new field of a struct, a value where there were nulls only, or a float among integers. A
value of another kind, a text in a column of numbers, would make the whole dataset unreadable. It is
set aside: its column is null, and `MISFITS` has it as JSON. Nothing is lost.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from beam_distilabel.filesystems import open_file, url_to_fs, write_file
from beam_distilabel.layout import WINDOWS_FOLDER, open_parquet
from beam_distilabel.manifest import read_schema_text, schema_text
from beam_distilabel.schema import (
    convert,
    encode_column,
    json_paths,
    storage_schema,
    storage_type,
    to_json,
    type_of,
    unify_types,
)
from beam_distilabel.schema.conversion import restore
from beam_distilabel.schema.features import fit_features
from beam_distilabel.transforms.sinks.shards import (
    ShardFile,
    ShardRecord,
    keys_path,
    new_path,
    read_schema,
)

MISFITS = "_misfits"
"""The column of values that don't fit the types that the first window has fixed: a JSON object of
column to value, null in rows all of whose values fit."""

_FILE = "schemas.json"


def read_schemas(path: str) -> dict[str, str]:
    """Subset to the schema of all windows so far, as text, in the result's folder `path`."""
    name = posixpath.join(path, WINDOWS_FOLDER, _FILE)
    filesystem, file = url_to_fs(name)
    if not filesystem.exists(file):
        return {}
    with open_file(name, "r") as stream:
        known: dict[str, str] = json.load(stream)
    return known


def write_schemas(path: str, schemas: dict[str, str]) -> None:
    """Replace what `read_schemas` reads."""
    write_file(posixpath.join(path, WINDOWS_FOLDER, _FILE), json.dumps(schemas))


def extended(fixed: pa.Schema, shards: Sequence[pa.Schema]) -> tuple[pa.Schema, list[str]]:
    """`fixed` with what the shards of a later window add to it, and the columns that don't fit.

    Args:
        fixed: of the windows before.
        shards: the schemas of this window's shards, each with the features that its values fit.

    Example:
        >>> fixed = pa.schema([("a", pa.int64()), ("b", pa.int64())])
        >>> extended(fixed, [pa.schema([("a", pa.string()), ("b", pa.float64())])])[1]
        ['a']
    """
    fields = {field.name: field.type for field in fixed}
    misfits = []
    for field in (field for shard in shards for field in shard):
        known = fields.get(field.name, pa.null())
        unified = unify_types(known, field.type)
        # JSON text where there was none: the values share no type.
        if (
            field.name in fields
            and not pa.types.is_null(known)
            and not _json(unified) <= _json(known)
        ):
            misfits.append(field.name)
        else:
            fields[field.name] = unified
    if misfits:
        fields.setdefault(MISFITS, pa.string())
    declared = fixed if fixed.metadata else next(iter(shards), fixed)
    schema = fit_features(pa.schema(list(fields.items())), declared, shards)
    return schema, list(dict.fromkeys(misfits))


def _json(kind: pa.DataType) -> set[str]:
    return json_paths(pa.schema([("value", kind)]))


def fit_record(record: ShardRecord, schema: pa.Schema, folder: str) -> ShardRecord:
    """The rows of a staged shard in a new one of `schema`; values that don't fit are set aside."""
    source = read_schema(record["schema"])
    misfits = [
        field.name
        for field in source
        if not unify_types(schema.field(field.name).type, field.type).equals(
            schema.field(field.name).type
        )
    ]
    shard = ShardFile(new_path(folder), schema, with_keys=bool(record["groups"]))
    keys = _read_keys(record)
    with open_parquet(record["path"]) as file:
        for number in range(file.num_row_groups):
            table = _fitted(file.read_row_group(number), source, schema, misfits)
            shard.write(table, next(keys, None))
    shard.close()
    return shard.record(record["subset"], record["first_row"])


def _read_keys(record: ShardRecord) -> Iterator[Any]:
    if record["groups"]:
        filesystem, name = url_to_fs(keys_path(record["path"]))
        with filesystem.open(name, "rb") as file:
            reader = pa.ipc.open_file(file)
            for number in range(reader.num_record_batches):
                yield reader.get_batch(number).column(0)


def _fitted(table: pa.Table, source: pa.Schema, schema: pa.Schema, misfits: list[str]) -> pa.Table:
    aside: list[dict[str, Any]] = [{} for _ in range(table.num_rows)]
    columns: dict[str, Any] = {}
    for name in misfits:
        kind = schema.field(name).type
        values = table.column(name).to_pylist()
        for i, value in enumerate(values):
            values[i] = value = restore(value, source.field(name).type)
            if not unify_types(kind, type_of(value)).equals(kind):
                aside[i][name], values[i] = value, None
        columns[name] = encode_column(values, kind, True)[0]
    for field in schema:
        stored = storage_type(field.type)
        if field.name in columns:
            continue
        if field.name == MISFITS:
            before = [None] * table.num_rows
            if MISFITS in table.column_names:
                before = table.column(MISFITS).to_pylist()
            texts = [to_json(a) if a else b for a, b in zip(aside, before, strict=True)]
            columns[MISFITS] = pa.array(texts, stored)
        elif field.name in source.names:
            kind = source.field(field.name).type
            columns[field.name] = convert(table.column(field.name), kind, field.type)
        else:
            columns[field.name] = pa.nulls(table.num_rows, stored)
    return pa.Table.from_arrays(
        [columns[field.name] for field in schema], schema=storage_schema(schema)
    )


__all__ = [
    "MISFITS",
    "extended",
    "fit_record",
    "read_schema_text",
    "read_schemas",
    "schema_text",
    "write_schemas",
]
