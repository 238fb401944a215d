"""Values to arrays: rows as a table in storage types."""

from __future__ import annotations

import decimal
import itertools
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
    if array is None:
        return _encode_by_walk(values, known)
    kind = array.type
    if known is None or known.equals(kind):
        return array, kind
    if is_declared and can_hold(known, kind):
        try:
            return pa.array(values, storage_type(known)), known
        except ARROW_REFUSALS:
            pass
    wider = unify_types(known, kind)
    return convert(array, kind, wider), wider


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
