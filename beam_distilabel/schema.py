"""One Arrow schema for rows that were written apart: inference, unification, conversion. Pure.

Types are inferred by pyarrow, column by column; only a column that pyarrow refuses, or that it
would coerce silently (text among bytes, dates among datetimes), is walked value by value.

Two types unify to the smallest type that holds both: `null + T = T`; `bool + int = int`;
`int + float = float`; structs unite their fields; lists unify their items. What has no such type
(text and numbers, a struct and a list, an integer beyond 64 bits) becomes JSON text: the logical
type `JSON`, stored as a string. The rules are associative and commutative but for the order of
fields, so the schema depends neither on the order of rows nor on how they were cut into batches.

What changes on the way, and nothing else: `{}` becomes null (Parquet has no struct without fields)
or a struct of nulls; keys missing from some rows become null; an integer among floats becomes the
nearest float and a bool among numbers 0 or 1; keys that aren't text become text; a lone surrogate
becomes its escape, as in `"\\ud800"`; tuples, sets and arrays become lists; a dict of more than
`MAX_FIELDS` keys, and what lies deeper than `MAX_DEPTH` levels, becomes JSON text. In JSON text
bytes are base64, and the numbers that JSON lacks are the strings `"NaN"`, `"Infinity"` and
`"-Infinity"`.
"""

from __future__ import annotations

import base64
import datetime
import decimal
import json
import math
import uuid
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

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

_INT64 = range(-(2**63), 2**63)
_MAX_DECIMAL_INT_BITS = 14_000  # Python refuses to print integers of more than 4,300 digits
_ARROW_REFUSALS = (pa.ArrowException, OverflowError, UnicodeError, TypeError, ValueError)


# --- types --------------------------------------------------------------------------------------


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
    left, right = _plain(left), _plain(right)
    if left.equals(right):
        return left
    if pa.types.is_struct(left) and pa.types.is_struct(right):
        return _unify_structs(left, right)
    if _is_list(left) and _is_list(right):
        return _unify_lists(left, right)
    if _is_number(left) and _is_number(right):
        return _unify_numbers(left, right)
    if _is_text(left) and _is_text(right):
        return pa.large_string()
    if _is_bytes(left) and _is_bytes(right):
        large = pa.types.is_large_binary(left) or pa.types.is_large_binary(right)
        return pa.large_binary() if large else pa.binary()
    if pa.types.is_timestamp(left) and pa.types.is_timestamp(right) and left.tz == right.tz:
        units = ("s", "ms", "us", "ns")
        return pa.timestamp(max(left.unit, right.unit, key=units.index), left.tz)
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
            if _is_placeholder(field):
                has_placeholder = True
                continue
            known = types.get(field.name)
            types[field.name] = field.type if known is None else unify_types(known, field.type)
    if has_placeholder and not types:
        types[PLACEHOLDER] = pa.struct([])
    return pa.schema([pa.field(name, kind) for name, kind in types.items()], metadata=metadata)


def _is_placeholder(field: pa.Field) -> bool:
    return bool(field.name == PLACEHOLDER and field.type.equals(pa.struct([])))


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
    return {path for field in schema for path in _json_paths(field.name, field.type)}


def _json_paths(path: str, kind: pa.DataType) -> Iterator[str]:
    if kind == JSON:
        yield path
    elif pa.types.is_struct(kind):
        for field in kind:
            yield from _json_paths(f"{path}.{field.name}", field.type)
    elif _is_list(kind):
        yield from _json_paths(f"{path}[]", kind.value_type)


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


def _plain(kind: Any) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        return _plain(kind.value_type)
    return _plain(kind.storage_type) if isinstance(kind, pa.BaseExtensionType) else kind


def _is_list(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _is_number(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(
        types.is_boolean(kind)
        or types.is_integer(kind)
        or types.is_floating(kind)
        or types.is_decimal(kind)
    )


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_bytes(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(
        types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind)
    )


# --- values to arrays ---------------------------------------------------------------------------


def encode_rows(
    rows: Sequence[dict[Any, Any]],
    known: pa.Schema | None = None,
    declared: pa.Schema | None = None,
    drop: Iterable[str] = (),
) -> tuple[pa.Table, pa.Schema]:
    """`rows` as a table in storage types, and its logical schema.

    Args:
        rows: plain dicts; keys may differ from row to row.
        known: the schema of rows before these: its columns come first, and the types of these rows
            are unified with its types.
        declared: types that someone chose: kept, though values may suggest a wider one (an int32),
            as long as they hold the values exactly or, for floats, as nearly as they can.
        drop: columns to leave out.

    Returns:
        A table of `len(rows)` rows, and the schema that tells JSON text from other text. Without
        any column there is one of nulls, `PLACEHOLDER`: Parquet can't count rows of no columns.

    Example:
        >>> table, schema = encode_rows([{"a": 1}, {"a": 0.5, "b": "x"}])
        >>> table.to_pylist()
        [{'a': 1.0, 'b': None}, {'a': 0.5, 'b': 'x'}]
    """
    names = dict.fromkeys(name for row in rows for name in row)
    if not all(type(name) is str and name.isascii() for name in names):
        rows = [dict(_items(row)) for row in rows]
        names = dict.fromkeys(name for row in rows for name in row)
    for name in drop:
        names.pop(name, None)
    chosen = {field.name: field.type for field in declared or ()}
    past = [field for field in known or () if not _is_placeholder(field)]
    types = {**chosen, **{field.name: field.type for field in past}}
    arrays: list[Any] = []
    fields = []
    for name in dict.fromkeys([*types, *names]):
        kind = types.get(name)
        is_declared = kind is not None and kind == chosen.get(name)
        array, kind = encode_column([row.get(name) for row in rows], kind, is_declared)
        arrays.append(array)
        fields.append(pa.field(name, kind))
    if not fields:
        arrays.append(pa.nulls(len(rows)))
        fields.append(pa.field(PLACEHOLDER, pa.struct([])))
    schema = pa.schema(fields, metadata=declared.metadata if declared is not None else None)
    return pa.Table.from_arrays(arrays, schema=storage_schema(schema)), schema


def encode_column(
    values: list[Any], known: pa.DataType | None = None, is_declared: bool = False
) -> tuple[Any, pa.DataType]:
    """`values` as an array in its storage type, and its logical type.

    Args:
        values: anything; what Arrow can't hold becomes JSON text.
        known: a type that the result's type has to hold.
        is_declared: keep `known` where it holds the values, though they suggest a wider type.
    """
    if known == JSON:
        return pa.array([to_json(value) for value in values], pa.string()), JSON
    array = _infer(values)
    if array is None:
        return _encode_by_walk(values, known)
    kind = array.type
    if known is None or known.equals(kind):
        return array, kind
    if is_declared and _can_hold(known, kind):
        try:
            return pa.array(values, storage_type(known)), known
        except _ARROW_REFUSALS:
            pass
    wider = unify_types(known, kind)
    return convert(array, kind, wider), wider


def type_of(value: Any, depth: int = 0) -> pa.DataType:
    """The logical type of one value, by walking it."""
    value = _unwrap(value)
    if value is None:
        return pa.null()
    if depth > MAX_DEPTH:
        return JSON
    if isinstance(value, dict):
        if len(value) > MAX_FIELDS:
            return JSON
        fields = [pa.field(name, type_of(item, depth + 1)) for name, item in _items(value)]
        return pa.struct(fields) if fields else pa.null()
    if isinstance(value, list):
        return pa.list_(_type_of_items(value, depth + 1))
    if isinstance(value, bool):
        return pa.bool_()
    if isinstance(value, int):
        return pa.int64() if value in _INT64 else JSON
    if isinstance(value, float):
        return pa.float64()
    if isinstance(value, (str, uuid.UUID)):
        return pa.string()
    if isinstance(value, bytes):
        return pa.binary()
    if isinstance(value, _SCALARS):
        try:
            return pa.scalar(value).type
        except _ARROW_REFUSALS:
            return JSON
    return JSON


_SCALARS = (
    datetime.datetime,
    datetime.date,
    datetime.time,
    datetime.timedelta,
    decimal.Decimal,
)


def _type_of_items(items: list[Any], depth: int) -> pa.DataType:
    array = _infer(items, depth)
    if array is not None:
        return array.type
    unified: pa.DataType = pa.null()
    for item in items:
        unified = unify_types(unified, type_of(item, depth))
        if unified == JSON:
            break
    return unified


def _encode_by_walk(values: list[Any], known: pa.DataType | None) -> tuple[Any, pa.DataType]:
    kind = known if known is not None else pa.null()
    for value in values:
        kind = unify_types(kind, type_of(value))
        if kind == JSON:
            break
    try:
        return pa.array([_conform(value, kind) for value in values], storage_type(kind)), kind
    except _ARROW_REFUSALS:
        # E.g. a datetime out of the range of its unit: still a value, so keep it as text.
        return pa.array([to_json(value) for value in values], pa.string()), JSON


def _conform(value: Any, kind: Any) -> Any:
    value = _unwrap(value)
    if value is None or pa.types.is_null(kind):
        return None
    if kind == JSON:
        return to_json(value)
    if value == {} and not pa.types.is_struct(kind):
        return None
    if pa.types.is_struct(kind):
        items = dict(_items(value))
        return {f.name: _conform(items[f.name], f.type) for f in kind if f.name in items}
    if _is_list(kind):
        return [_conform(item, kind.value_type) for item in value]
    if pa.types.is_floating(kind):
        return float(value)
    if pa.types.is_integer(kind):
        return int(value)
    if pa.types.is_decimal(kind):
        return decimal.Decimal(value)
    if _is_text(kind):
        return _clean(str(value))
    return value


def _infer(values: list[Any], depth: int = 0) -> Any:
    """`values` as pyarrow would have them, or None where it refuses, or might change a value."""
    try:
        array = pa.array(values)
    except _ARROW_REFUSALS:
        return None
    if not _is_trusted(array.type, depth):
        return None
    if _has_text_in_lists(array.type):
        # Behind a text in a list, pyarrow takes bytes for text, be they UTF-8 or not. This is the
        # fastest way to find any: orjson refuses them.
        try:
            orjson.dumps(values)
        except TypeError:
            return None
    return array


def _has_text_in_lists(kind: Any, in_list: bool = False) -> bool:
    if pa.types.is_struct(kind):
        return any(_has_text_in_lists(field.type, in_list) for field in kind)
    if pa.types.is_list(kind):
        return _has_text_in_lists(kind.value_type, True)
    return in_list and _is_text(kind)


def _is_trusted(kind: Any, depth: int = 0) -> bool:
    """Whether pyarrow infers `kind` only from values that it keeps as they are."""
    if depth > MAX_DEPTH:
        return False
    if pa.types.is_struct(kind):
        return 0 < kind.num_fields <= MAX_FIELDS and all(
            _is_trusted(field.type, depth + 1) for field in kind
        )
    if pa.types.is_list(kind):
        return _is_trusted(kind.value_type, depth + 1)
    # Text among bytes, dates among datetimes and naive among aware ones are coerced without a word.
    types = pa.types
    return not (
        _is_bytes(kind) or types.is_temporal(kind) or isinstance(kind, pa.BaseExtensionType)
    )


def _can_hold(declared: Any, kind: Any) -> bool:
    """Whether pyarrow, told to read values of `kind` as `declared`, either keeps or refuses them.

    Told to, it leaves out struct fields, and reads bytes as text and whole floats as integers.
    """
    if pa.types.is_null(kind):
        return True
    if pa.types.is_struct(kind):
        return pa.types.is_struct(declared) and all(
            declared.get_field_index(field.name) >= 0
            and _can_hold(declared.field(declared.get_field_index(field.name)).type, field.type)
            for field in kind
        )
    if _is_list(kind):
        return _is_list(declared) and _can_hold(declared.value_type, kind.value_type)
    if pa.types.is_floating(kind):
        return bool(pa.types.is_floating(declared))
    return bool(declared != JSON and unify_types(declared, kind) != JSON)


def _unwrap(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, (tuple, set, frozenset)):
        return list(value)
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value)
    return value


def _items(mapping: dict[Any, Any]) -> Iterator[tuple[str, Any]]:
    """The items of `mapping` under names that are distinct, valid text."""
    taken: set[str] = {key for key in mapping if type(key) is str}
    for key, value in mapping.items():
        name = key if type(key) is str else _clean(_text(key))
        if name is key:
            name = _clean(key)
            if name != key:
                while name in taken:
                    name += "_"
        else:
            while name in taken:
                name += "_"
        taken.add(name)
        yield name, value


def _text(key: Any) -> str:
    if isinstance(key, bytes):
        return key.decode("utf-8", "backslashreplace")
    return str(key)


def _clean(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()
    return text


def to_json(value: Any) -> str | None:
    """`value` as strict JSON text, None as None; never raises.

    Example:
        >>> to_json({"a": [1, float("nan"), b"x"]})
        '{"a": [1, "NaN", "eA=="]}'
    """
    if value is None:
        return None
    try:
        text = json.dumps(_jsonable(value), ensure_ascii=False)
    except (RecursionError, ValueError):
        text = json.dumps(f"<{type(value).__name__} that is nested too deeply or holds itself>")
    return _clean(text)


def _jsonable(value: Any) -> Any:
    value = _unwrap(value)
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, int):
        return int(value) if value.bit_length() < _MAX_DECIMAL_INT_BITS else hex(value)
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {name: _jsonable(item) for name, item in _items(value)}
    if isinstance(value, list):
        return [_jsonable(item) for item in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, (decimal.Decimal, uuid.UUID, datetime.timedelta)):
        return str(value)
    return repr(value)


def first_json_row(values: Sequence[Any], known: pa.DataType) -> int:
    """The index of the first value that makes JSON text of `known`; 0 if none does alone."""
    before = set(_json_paths("", known))
    for index, value in enumerate(values):
        known = unify_types(known, type_of(value))
        if set(_json_paths("", known)) - before:
            return index
    return 0


# --- arrays to arrays ---------------------------------------------------------------------------


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
    if pa.types.is_null(storage_type(source)) or pa.types.is_null(stored):
        return pa.nulls(len(array), stored)
    if target == JSON:
        values = (_restore(value, source) for value in array.to_pylist())
        return pa.array([to_json(value) for value in values], stored)
    if isinstance(source, pa.BaseExtensionType):
        array, source = array.storage, source.storage_type
    if pa.types.is_dictionary(source):
        array, source = array.dictionary_decode(), source.value_type
    if pa.types.is_struct(target):
        return _convert_struct(array, source, target)
    if _is_list(target):
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


def _restore(value: Any, kind: Any) -> Any:
    """`value` as read from storage, its JSON text parsed, so that it won't be quoted twice."""
    if value is None:
        return None
    if kind == JSON:
        return json.loads(value)
    if pa.types.is_struct(kind):
        return {field.name: _restore(value[field.name], field.type) for field in kind}
    if _is_list(kind):
        return [_restore(item, kind.value_type) for item in value]
    return value
