"""Values to JSON text: strict, and possible for every value."""

from __future__ import annotations

import base64
import datetime
import decimal
import json
import math
import uuid
from collections.abc import Iterator
from typing import Any

import numpy as np

_MAX_DECIMAL_INT_BITS = 14_000  # Python refuses to print integers of more than 4,300 digits


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
    return clean_text(text)


def _jsonable(value: Any) -> Any:
    value = unwrap(value)
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, int):
        return int(value) if value.bit_length() < _MAX_DECIMAL_INT_BITS else hex(value)
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {name: _jsonable(item) for name, item in text_items(value)}
    if isinstance(value, list):
        return [_jsonable(item) for item in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, (decimal.Decimal, uuid.UUID, datetime.timedelta)):
        return str(value)
    try:
        return repr(value)
    except Exception:  # of someone's class, whose row is to be written all the same
        return f"<{type(value).__name__}>"


def unwrap(value: Any) -> Any:
    """`value` with arrays, tuples, sets and the like as plain Python."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, (tuple, set, frozenset)):
        return list(value)
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value)
    return value


def text_items(mapping: dict[Any, Any]) -> Iterator[tuple[str, Any]]:
    """The items of `mapping` under names that are distinct, valid text."""
    taken: set[str] = {key for key in mapping if type(key) is str}
    for key, value in mapping.items():
        name = key if type(key) is str else clean_text(_text(key))
        if name is key:
            name = clean_text(key)
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


def clean_text(text: str) -> str:
    """`text` with lone surrogates as their escapes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()
    return text
