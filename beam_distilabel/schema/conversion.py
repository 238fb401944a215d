"""Arrays to arrays: from one logical type to a wider one."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_distilabel.schema.json_text import to_json
from beam_distilabel.schema.types import JSON, is_list, storage_schema, storage_type


def convert_table(table: pa.Table, source: pa.Schema, target: pa.Schema) -> pa.Table:
    """`table`, whose logical schema is `source`, in the storage types of `target`.

    Columns are matched by name; those that `source` lacks are null. `target` has to hold `source`:
    it comes from `unify_schemas` over it.
    """
    columns: list[Any] = []
    for field in target:
        stored = storage_type(field.type)
        position = source.get_field_index(field.name)
        if position < 0:
            columns.append(pa.nulls(table.num_rows, stored))
            continue
        kind = source.field(position).type
        chunks = table.column(field.name).chunks
        converted = [convert(chunk, kind, field.type) for chunk in chunks]
        columns.append(pa.chunked_array(converted, stored))
    return pa.Table.from_arrays(columns, schema=storage_schema(target))


def convert(array: Any, source: Any, target: Any) -> Any:
    """`array` of logical type `source` as one of logical type `target`, in its storage type."""
    if isinstance(array, pa.ChunkedArray):
        chunks = [convert(chunk, source, target) for chunk in array.chunks]
        return pa.chunked_array(chunks, storage_type(target))
    stored = storage_type(target)
    if source.equals(target):
        return array if array.type.equals(stored) else array.cast(stored)
    # Nulls alone have no type of their own, whatever a column was declared to be.
    if array.null_count == len(array) or pa.types.is_null(stored):
        return pa.nulls(len(array), stored)
    if target == JSON:
        values = (restore(value, source) for value in array.to_pylist())
        return pa.array([to_json(value) for value in values], stored)
    if isinstance(source, pa.BaseExtensionType):
        array, source = array.storage, source.storage_type
    if pa.types.is_dictionary(source):
        array, source = array.dictionary_decode(), source.value_type
    if pa.types.is_struct(target):
        return _convert_struct(array, source, target)
    if is_list(target):
        return _convert_list(array, source, target)
    if pa.types.is_boolean(source) and pa.types.is_decimal(target):
        array = array.cast(pa.int8())
    return array.cast(stored, safe=not pa.types.is_floating(target))


def _convert_struct(array: Any, source: Any, target: Any) -> Any:
    # Below a null struct a field may hold anything; flattened, it is null too.
    given = array.flatten()
    children = []
    for field in target:
        position = source.get_field_index(field.name)
        if position < 0:
            children.append(pa.nulls(len(array), storage_type(field.type)))
        else:
            kind = source.field(position).type
            children.append(convert(given[position], kind, field.type))
    fields = list(storage_type(target))
    return pa.StructArray.from_arrays(children, fields=fields, mask=array.is_null())


def _convert_list(array: Any, source: Any, target: Any) -> Any:
    values = convert(array.flatten(), source.value_type, target.value_type)
    if pa.types.is_fixed_size_list(target):
        # Null lists have no items in `flatten`, but have to have some in a fixed-size array.
        items = pa.array(array.to_pylist(), storage_type(target))
        return items
    offset_type = pa.int64() if pa.types.is_large_list(target) else pa.int32()
    lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)
    offsets = pa.array(np.concatenate(([0], np.cumsum(lengths, dtype=np.int64))), offset_type)
    kind = pa.LargeListArray if pa.types.is_large_list(target) else pa.ListArray
    return kind.from_arrays(offsets, values, type=storage_type(target), mask=array.is_null())


def restore(value: Any, kind: Any) -> Any:
    """`value` as read from storage, its JSON text parsed, so that it won't be quoted twice."""
    if value is None:
        return None
    if kind == JSON:
        return json.loads(value)
    if pa.types.is_struct(kind):
        return {field.name: restore(value[field.name], field.type) for field in kind}
    if is_list(kind):
        return [restore(item, kind.value_type) for item in value]
    return value
