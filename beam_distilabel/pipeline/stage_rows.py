"""Rows as bytes and back, exactly: what crosses from one job of a run to the next.

The format is JSON, with a tagged list for each value that JSON doesn't have. Nothing is pickled:
what is read builds values of a fixed set of types, whoever wrote the file.
"""

from __future__ import annotations

import base64
import datetime
import decimal
import json
import math
import uuid
from collections.abc import Callable
from typing import Any

import numpy as np
import orjson

from beam_distilabel.errors import DistilabelTypeError

_TAG = "~"
_TAG_BYTES = b'"~"'
_SMALL = 2**53


def encode(value: Any) -> bytes:
    """`value` as bytes, of which `decode` makes an equal value of the same types.

    Kept are what JSON has, integers of any size, nan and infinities, bytes, tuples, sets, dicts
    with any keys and in their order, dates and times (a time zone as its offset), decimals, UUIDs,
    numpy's arrays and scalars. Subclasses of str, int, float, dict and list become those.

    Raises:
        DistilabelTypeError: something else; says what.

    Example:
        >>> decode(encode({"a": (1, 1.0, None), "b": b"x"}))
        {'a': (1, 1.0, None), 'b': b'x'}
    """
    plain = _plain(value)
    try:
        return orjson.dumps(plain)
    except TypeError:  # half of a surrogate pair in a text
        return json.dumps(plain).encode()


def decode(data: bytes) -> Any:
    """The value that `encode` made `data` of."""
    try:
        plain = orjson.loads(data)
    except orjson.JSONDecodeError:
        plain = json.loads(data)
    return _restored(plain) if _TAG_BYTES in data else plain


def _plain(value: Any) -> Any:
    kind = type(value)
    if kind is str or value is None or kind is bool:
        return value
    if kind is int:
        return value if -_SMALL < value < _SMALL else _tagged("int", str(value))
    if kind is float:
        return value if math.isfinite(value) else _tagged("float", str(value))
    if kind is dict:
        if all(type(name) is str for name in value) and _TAG not in value:
            return {name: _plain(item) for name, item in value.items()}
        return _tagged("dict", [[_plain(name), _plain(item)] for name, item in value.items()])
    if kind is list:
        return [_plain(item) for item in value]
    return _tagged_plain(value)


def _tagged_plain(value: Any) -> Any:
    if isinstance(value, (np.ndarray, np.generic)):
        return _plain_array(value)
    if isinstance(value, (bytes, bytearray)):
        name = "bytes" if isinstance(value, bytes) else "bytearray"
        return _tagged(name, base64.b64encode(value).decode())
    if type(value) in (tuple, set, frozenset):
        return _tagged(type(value).__name__, [_plain(item) for item in value])
    if type(value) in (datetime.datetime, datetime.date, datetime.time):
        return _tagged(type(value).__name__, value.isoformat())
    if isinstance(value, datetime.timedelta):
        return _tagged("timedelta", [value.days, value.seconds, value.microseconds])
    if isinstance(value, decimal.Decimal):
        return _tagged("Decimal", str(value))
    if isinstance(value, uuid.UUID):
        return _tagged("UUID", str(value))
    bases: tuple[Any, ...] = (str, int, float, dict, list, tuple)
    for base in bases:
        if isinstance(value, base):
            return _plain(base(value))
    raise DistilabelTypeError(
        f"a {type(value).__module__}.{type(value).__qualname__} can't be written: rows that go "
        "from one job of a run to the next hold what JSON has, bytes, dates, decimals and arrays"
    )


def _plain_array(value: Any) -> Any:
    array = np.asarray(value)
    name = "ndarray" if isinstance(value, np.ndarray) else "generic"
    if array.dtype.hasobject:
        items = [_plain(item) for item in array.ravel().tolist()]
        return _tagged("objects", [list(array.shape), items])
    if array.dtype.fields is not None:
        raise DistilabelTypeError("a numpy array with named fields can't be written; use columns")
    data = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
    return _tagged(name, [array.dtype.str, list(array.shape), data])


def _tagged(name: str, content: Any) -> dict[str, Any]:
    return {_TAG: [name, content]}


def _restored(plain: Any) -> Any:
    if type(plain) is list:
        return [_restored(item) for item in plain]
    if type(plain) is not dict:
        return plain
    if _TAG in plain:
        name, content = plain[_TAG]
        return _BUILD[name](content)
    return {name: _restored(item) for name, item in plain.items()}


def _array(content: Any) -> Any:
    kind, shape, data = content
    return np.frombuffer(base64.b64decode(data), np.dtype(kind)).reshape(shape).copy()


def _objects(content: Any) -> Any:
    shape, items = content
    array = np.empty(len(items), dtype=object)
    for i, item in enumerate(items):
        array[i] = _restored(item)
    return array.reshape(shape)


_BUILD: dict[str, Callable[[Any], Any]] = {
    "int": int,
    "float": float,
    "dict": lambda pairs: {_restored(name): _restored(item) for name, item in pairs},
    "bytes": base64.b64decode,
    "bytearray": lambda text: bytearray(base64.b64decode(text)),
    "tuple": lambda items: tuple(map(_restored, items)),
    "set": lambda items: set(map(_restored, items)),
    "frozenset": lambda items: frozenset(map(_restored, items)),
    "datetime": datetime.datetime.fromisoformat,
    "date": datetime.date.fromisoformat,
    "time": datetime.time.fromisoformat,
    "timedelta": lambda parts: datetime.timedelta(*parts),
    "Decimal": decimal.Decimal,
    "UUID": uuid.UUID,
    "ndarray": _array,
    "generic": lambda content: _array(content)[()],
    "objects": _objects,
}

__all__ = ["decode", "encode"]
