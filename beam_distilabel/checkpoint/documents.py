"""Plain data as bytes and back: MessagePack, with a checksum for where it is kept.

MessagePack has no tuples and no integers beyond 64 bits; these are its extension types 1 and 2.
"""

from __future__ import annotations

import zlib
from typing import Any

import msgpack
import numpy as np

_CHECKSUM_BYTES = 4
_TUPLE = 1
_BIG_INT = 2


def encode(value: Any) -> bytes:
    """`value` as bytes; lone surrogates, tuples, and numbers of any kind and size are kept.

    Subclasses of plain types and numpy's values become what they stand for.

    Raises:
        TypeError: it has something that is no plain data.
        ValueError: it is nested too deep.

    Example:
        >>> decode(encode({"generations": ["a", None]}))
        {'generations': ['a', None]}
    """
    try:
        packed: bytes = msgpack.packb(
            value, default=_plain, strict_types=True, unicode_errors="surrogatepass"
        )
    except (RecursionError, OverflowError) as error:
        raise ValueError(str(error)) from None
    return packed


def decode(data: bytes | memoryview) -> Any:
    """What `encode` was given.

    Raises:
        ValueError: `data` doesn't come from `encode`.
    """
    try:
        return msgpack.unpackb(
            data, strict_map_key=False, unicode_errors="surrogatepass", ext_hook=_extended
        )
    except (TypeError, RecursionError, msgpack.UnpackException) as error:
        raise ValueError(f"no document: {error}") from None


def seal(key: bytes, value: Any) -> bytes:
    """`value` encoded, with a checksum over it and `key`.

    Raises:
        TypeError, ValueError: see `encode`.

    Example:
        >>> unseal(b"key", seal(b"key", [1, 2]))
        [1, 2]
    """
    document = encode(value)
    return zlib.crc32(document, zlib.crc32(key)).to_bytes(_CHECKSUM_BYTES, "big") + document


def unseal(key: bytes, data: bytes) -> Any:
    """What was sealed with `key`.

    Raises:
        ValueError: `data` is damaged, or was sealed with another key.
    """
    document = memoryview(data)[_CHECKSUM_BYTES:]
    if zlib.crc32(document, zlib.crc32(key)) != int.from_bytes(data[:_CHECKSUM_BYTES], "big"):
        raise ValueError("the checksum is wrong")
    return decode(document)


def _plain(value: Any) -> Any:
    """What MessagePack knows of `value`, which it doesn't know."""
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if isinstance(value, tuple):
        return msgpack.ExtType(_TUPLE, encode(list(value)))
    if isinstance(value, int):
        number = int(value)
        if -(2**63) <= number < 2**64:
            return number
        size = number.bit_length() // 8 + 1
        return msgpack.ExtType(_BIG_INT, number.to_bytes(size, "big", signed=True))
    if isinstance(value, str):
        return str.__str__(value)
    kinds: tuple[Any, ...] = (float, bytes, dict, list)
    for kind in kinds:
        if isinstance(value, kind):
            return kind(value)
    raise TypeError(f"{type(value).__name__} can't be kept in a checkpoint")


def _extended(code: int, data: bytes) -> Any:
    if code == _TUPLE:
        return tuple(decode(data))
    if code == _BIG_INT:
        return int.from_bytes(data, "big", signed=True)
    raise ValueError(f"unknown extension type {code}")
