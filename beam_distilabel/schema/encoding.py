"""Values to arrays: rows as a table in storage types."""

from __future__ import annotations

import datetime
import decimal
import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa

from beam_distilabel.schema.conversion import convert
from beam_distilabel.schema.inference import ARROW_REFUSALS, can_hold, infer_array, type_of
from beam_distilabel.schema.json_text import clean_text, text_items, to_json, unwrap
from beam_distilabel.schema.types import (
    JSON,
    PLACEHOLDER,
    is_list,
    is_placeholder,
    is_text,
    json_paths_below,
    storage_schema,
    storage_type,
)
from beam_distilabel.schema.unification import unify_types


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
    names = dict.fromkeys(itertools.chain.from_iterable(rows))
    if not all(type(name) is str and name.isascii() for name in names):
        rows = [dict(text_items(row)) for row in rows]
        names = dict.fromkeys(itertools.chain.from_iterable(rows))
    for name in drop:
        names.pop(name, None)
    chosen = {field.name: field.type for field in declared or ()}
    past = [field for field in known or () if not is_placeholder(field)]
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
    array = infer_array(values)
    kind = None if array is None else array.type
    if kind is not None and (known is None or known.equals(kind)):
        return array, kind
    if is_declared and known is not None:
        declared = _encode_as_declared(values, known, kind)
        if declared is not None:
            return declared, known
    if kind is None:
        return _encode_by_walk(values, known)
    if known is None:
        return array, kind
    wider = unify_types(known, kind)
    return convert(array, kind, wider), wider


def _encode_as_declared(values: list[Any], known: Any, kind: pa.DataType | None) -> Any:
    """`values` as an array of type `known`, None if that doesn't keep them.

    Args:
        values: anything.
        known: the type that was declared.
        kind: what pyarrow infers; None if it isn't to be trusted with the values.
    """
    is_certain = kind is not None and can_hold(known, kind)
    if not is_certain and any(json_paths_below("", known)):
        return None
    try:
        array = pa.array(values, storage_type(known))
        if is_certain or all(map(_is_kept, values, array.to_pylist())):
            return array
    except ARROW_REFUSALS:
        pass
    return None


def _is_kept(value: Any, found: Any) -> bool:
    """Whether `found`, read from an array, is what was given, of a type as good as its own."""
    value = unwrap(value)
    if value is None or found is None:
        return value is found
    if isinstance(value, dict):
        return isinstance(found, dict) and all(
            name in found and _is_kept(item, found[name]) for name, item in value.items()
        )
    if isinstance(value, list):
        return (
            isinstance(found, list)
            and len(value) == len(found)
            and all(map(_is_kept, value, found))
        )
    if isinstance(value, bool) or isinstance(found, bool):
        return value is found
    if isinstance(value, float):
        # As near as the declared type can; infinities and NaN as they are.
        return isinstance(found, float) and (
            math.isfinite(found) if math.isfinite(value) else str(value) == str(found)
        )
    if isinstance(value, int):
        return isinstance(found, (int, float, decimal.Decimal)) and value == found
    if isinstance(value, datetime.datetime):
        return (
            isinstance(found, datetime.datetime)
            and value == found
            and value.utcoffset() == found.utcoffset()
        )
    return any(isinstance(value, t) and isinstance(found, t) for t in _EXACT) and value == found


_EXACT = (
    str,
    bytes,
    datetime.date,
    datetime.time,
    datetime.timedelta,
    decimal.Decimal,
)


def _encode_by_walk(values: list[Any], known: pa.DataType | None) -> tuple[Any, pa.DataType]:
    kind = known if known is not None else pa.null()
    for value in values:
        kind = unify_types(kind, type_of(value))
        if kind == JSON:
            break
    try:
        return pa.array([_conform(value, kind) for value in values], storage_type(kind)), kind
    except ARROW_REFUSALS:
        # E.g. a datetime out of the range of its unit: still a value, so keep it as text.
        return pa.array([to_json(value) for value in values], pa.string()), JSON


def _conform(value: Any, kind: Any) -> Any:
    value = unwrap(value)
    if value is None or pa.types.is_null(kind):
        return None
    if kind == JSON:
        return to_json(value)
    if value == {} and not pa.types.is_struct(kind):
        return None
    if pa.types.is_struct(kind):
        items = dict(text_items(value))
        return {f.name: _conform(items[f.name], f.type) for f in kind if f.name in items}
    if is_list(kind):
        return [_conform(item, kind.value_type) for item in value]
    if pa.types.is_floating(kind):
        return float(value)
    if pa.types.is_integer(kind):
        return int(value)
    if pa.types.is_decimal(kind):
        return decimal.Decimal(value)
    if is_text(kind):
        return clean_text(str(value))
    return value
