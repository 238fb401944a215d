"""Logical types: Arrow types and `JSON`, how they are stored, and what kind they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

JSON = pa.json_(pa.string())
"""The logical type of values that share no Arrow type; stored as JSON text."""

MAX_FIELDS = 1000
"""A struct of more fields is a mapping in disguise and becomes JSON text."""

MAX_DEPTH = 32
"""Levels of nesting that are kept as Arrow types."""

PLACEHOLDER = "_empty"
"""The column of nulls that stands for rows without any column.

Its logical type is a struct without fields, which no value has, so a column that really has this
name is another one.
"""


def storage_type(kind: pa.DataType) -> pa.DataType:
    """The type that a logical type is written as: `JSON` as string, empty structs as null."""
    if kind == JSON:
        return pa.string()
    if pa.types.is_struct(kind):
        if not kind.num_fields:
            return pa.null()
        return pa.struct([pa.field(f.name, storage_type(f.type)) for f in kind])
    if pa.types.is_large_list(kind):
        return pa.large_list(storage_type(kind.value_type))
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(storage_type(kind.value_type), kind.list_size)
    if pa.types.is_list(kind):
        return pa.list_(storage_type(kind.value_type))
    return kind


def storage_schema(schema: pa.Schema) -> pa.Schema:
    """`schema` with every type as it is written; metadata is kept."""
    fields = [pa.field(field.name, storage_type(field.type)) for field in schema]
    return pa.schema(fields, metadata=schema.metadata)


def json_paths(schema: pa.Schema) -> set[str]:
    """The dotted paths of what is JSON text in `schema`; `[]` stands for a list's items."""
    return {path for field in schema for path in json_paths_below(field.name, field.type)}


def json_paths_below(path: str, kind: pa.DataType) -> Iterator[str]:
    """The paths of what is JSON text in `kind`, which lies at `path`."""
    if kind == JSON:
        yield path
    elif pa.types.is_struct(kind):
        for field in kind:
            yield from json_paths_below(f"{path}.{field.name}", field.type)
    elif is_list(kind):
        yield from json_paths_below(f"{path}[]", kind.value_type)


def is_placeholder(field: pa.Field) -> bool:
    """Whether `field` stands for rows without any column."""
    return bool(field.name == PLACEHOLDER and field.type.equals(pa.struct([])))


def plain_type(kind: Any) -> pa.DataType:
    """`kind` without dictionaries and extensions: the type of the values themselves."""
    if pa.types.is_dictionary(kind):
        return plain_type(kind.value_type)
    return plain_type(kind.storage_type) if isinstance(kind, pa.BaseExtensionType) else kind


def is_list(kind: pa.DataType) -> bool:
    """Whether `kind` is a list: of any offsets, or of a fixed size."""
    types = pa.types
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def is_number(kind: pa.DataType) -> bool:
    """Whether `kind` is boolean, integer, floating or decimal."""
    types = pa.types
    return bool(
        types.is_boolean(kind)
        or types.is_integer(kind)
        or types.is_floating(kind)
        or types.is_decimal(kind)
    )


def is_text(kind: pa.DataType) -> bool:
    """Whether `kind` is text, and not `JSON`."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def is_bytes(kind: pa.DataType) -> bool:
    """Whether `kind` is bytes of any length."""
    types = pa.types
    return bool(
        types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind)
    )
