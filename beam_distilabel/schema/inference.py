"""Values to types: by pyarrow where it keeps values as they are, else value by value."""

from __future__ import annotations

import datetime
import decimal
import uuid
from collections.abc import Sequence
from typing import Any

import orjson
import pyarrow as pa

from beam_distilabel.schema.json_text import text_items, unwrap
from beam_distilabel.schema.types import (
    JSON,
    MAX_DEPTH,
    MAX_FIELDS,
    is_bytes,
    is_list,
    is_text,
    json_paths_below,
)
from beam_distilabel.schema.unification import unify_types

ARROW_REFUSALS = (pa.ArrowException, OverflowError, UnicodeError, TypeError, ValueError)
"""What pyarrow raises for values that it can't hold."""

_INT64 = range(-(2**63), 2**63)
_SCALARS = (
    datetime.datetime,
    datetime.date,
    datetime.time,
    datetime.timedelta,
    decimal.Decimal,
)


def type_of(value: Any, depth: int = 0) -> pa.DataType:
    """The logical type of one value, by walking it."""
    value = unwrap(value)
    if value is None:
        return pa.null()
    if depth > MAX_DEPTH:
        return JSON
    if isinstance(value, dict):
        if len(value) > MAX_FIELDS:
            return JSON
        fields = [pa.field(name, type_of(item, depth + 1)) for name, item in text_items(value)]
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
        except ARROW_REFUSALS:
            return JSON
    return JSON


def _type_of_items(items: list[Any], depth: int) -> pa.DataType:
    array = infer_array(items, depth)
    if array is not None:
        return array.type
    unified: pa.DataType = pa.null()
    for item in items:
        unified = unify_types(unified, type_of(item, depth))
        if unified == JSON:
            break
    return unified


def first_json_row(values: Sequence[Any], known: pa.DataType) -> int:
    """The index of the first value that makes JSON text of `known`; 0 if none does alone."""
    before = set(json_paths_below("", known))
    for index, value in enumerate(values):
        known = unify_types(known, type_of(value))
        if set(json_paths_below("", known)) - before:
            return index
    return 0


def infer_array(values: list[Any], depth: int = 0) -> Any:
    """`values` as pyarrow would have them, or None where it refuses, or might change a value."""
    try:
        array = pa.array(values)
    except ARROW_REFUSALS:
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
    return in_list and is_text(kind)


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
    return not (is_bytes(kind) or types.is_temporal(kind) or isinstance(kind, pa.BaseExtensionType))


def can_hold(declared: Any, kind: Any) -> bool:
    """Whether pyarrow, told to read values of `kind` as `declared`, either keeps or refuses them.

    Told to, it leaves out struct fields, and reads bytes as text and whole floats as integers.
    """
    if pa.types.is_null(kind):
        return True
    if pa.types.is_struct(kind):
        return pa.types.is_struct(declared) and all(
            declared.get_field_index(field.name) >= 0
            and can_hold(declared.field(declared.get_field_index(field.name)).type, field.type)
            for field in kind
        )
    if is_list(kind):
        return is_list(declared) and can_hold(declared.value_type, kind.value_type)
    if pa.types.is_floating(kind):
        return bool(pa.types.is_floating(declared))
    return bool(declared != JSON and unify_types(declared, kind) != JSON)
