"""Types to types: the smallest one that holds the values of several."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from beam_distilabel.schema.types import (
    JSON,
    MAX_FIELDS,
    PLACEHOLDER,
    is_bytes,
    is_list,
    is_number,
    is_placeholder,
    is_text,
    plain_type,
)

_UNITS = ("s", "ms", "us", "ns")


def unify_types(left: pa.DataType, right: pa.DataType) -> pa.DataType:
    """The smallest type that holds the values of both, `JSON` where there is none.

    Example:
        >>> unify_types(pa.list_(pa.null()), pa.list_(pa.int64()))
        ListType(list<item: int64>)
    """
    if left.equals(right) or pa.types.is_null(right):
        return left
    if pa.types.is_null(left):
        return right
    if left == JSON or right == JSON:
        return JSON
    left, right = plain_type(left), plain_type(right)
    if left.equals(right):
        return left
    if pa.types.is_struct(left) and pa.types.is_struct(right):
        return _unify_structs(left, right)
    if is_list(left) and is_list(right):
        return _unify_lists(left, right)
    if is_number(left) and is_number(right):
        return _unify_numbers(left, right)
    if is_text(left) and is_text(right):
        return pa.large_string()
    if is_bytes(left) and is_bytes(right):
        large = pa.types.is_large_binary(left) or pa.types.is_large_binary(right)
        return pa.large_binary() if large else pa.binary()
    if pa.types.is_timestamp(left) and pa.types.is_timestamp(right) and left.tz == right.tz:
        return pa.timestamp(max(left.unit, right.unit, key=_UNITS.index), left.tz)
    if pa.types.is_date(left) and pa.types.is_date(right):
        return pa.date64()
    if pa.types.is_time(left) and pa.types.is_time(right):
        return max(left, right, key=lambda kind: _UNITS.index(kind.unit))
    return JSON


def unify_schemas(schemas: Iterable[pa.Schema]) -> pa.Schema:
    """One schema of all columns, by name, in order of first appearance, every one nullable.

    The first schema's metadata is kept. `PLACEHOLDER` is left out where there are other columns.
    """
    types: dict[str, pa.DataType] = {}
    has_placeholder = False
    metadata = None
    for number, schema in enumerate(schemas):
        if number == 0:
            metadata = schema.metadata
        for field in schema:
            if is_placeholder(field):
                has_placeholder = True
                continue
            known = types.get(field.name)
            types[field.name] = field.type if known is None else unify_types(known, field.type)
    if has_placeholder and not types:
        types[PLACEHOLDER] = pa.struct([])
    return pa.schema([pa.field(name, kind) for name, kind in types.items()], metadata=metadata)


def _unify_structs(left: pa.StructType, right: pa.StructType) -> pa.DataType:
    types = {field.name: field.type for field in left}
    for field in right:
        known = types.get(field.name)
        types[field.name] = field.type if known is None else unify_types(known, field.type)
    if len(types) > MAX_FIELDS:
        return JSON
    return pa.struct([pa.field(name, kind) for name, kind in types.items()])


def _unify_lists(left: Any, right: Any) -> pa.DataType:
    item = unify_types(left.value_type, right.value_type)
    if pa.types.is_large_list(left) or pa.types.is_large_list(right):
        return pa.large_list(item)
    fixed = pa.types.is_fixed_size_list
    if fixed(left) and fixed(right) and left.list_size == right.list_size:
        return pa.list_(item, left.list_size)
    return pa.list_(item)


def _unify_numbers(left: Any, right: Any) -> pa.DataType:
    if pa.types.is_boolean(left):
        return right
    if pa.types.is_boolean(right):
        return left
    if pa.types.is_decimal(left) or pa.types.is_decimal(right):
        return _unify_decimals(left, right)
    if pa.types.is_floating(left) and pa.types.is_floating(right):
        return left if left.bit_width > right.bit_width else right
    if pa.types.is_floating(left) or pa.types.is_floating(right):
        return pa.float64()
    signed = pa.types.is_signed_integer
    if signed(left) == signed(right):
        return left if left.bit_width > right.bit_width else right
    integer, natural = (left, right) if signed(left) else (right, left)
    if natural.bit_width == 64:
        return JSON
    bits = max(integer.bit_width, 2 * natural.bit_width)
    return {16: pa.int16(), 32: pa.int32(), 64: pa.int64()}[bits]


def _unify_decimals(left: Any, right: Any) -> pa.DataType:
    if pa.types.is_floating(left) or pa.types.is_floating(right):
        return JSON
    shapes = [
        (kind.precision, kind.scale) if pa.types.is_decimal(kind) else (20, 0)
        for kind in (left, right)
    ]
    scale = max(scale for _, scale in shapes)
    precision = max(precision - scale for precision, scale in shapes) + scale
    if precision > 76:
        return JSON
    return pa.decimal128(precision, scale) if precision <= 38 else pa.decimal256(precision, scale)
