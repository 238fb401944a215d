"""What an engine server and its users say to each other: lists in MessagePack, over a Unix socket.

A user says `["ask", number, input, structure, num_generations, generation_kwargs, seed]`,
`["cancel", number]` and `["bye"]`. The server says `["hello", about]` first, then, in any order,
`["load", name, summary]` of its engine's statistics now and then, and
`["answer", number, output]`, `["failed", number, kind, message]`, `["wrong", number, message]` and
`["error", number, message, dead]`.
"""

from __future__ import annotations

import asyncio
import functools
import socket
import struct
from typing import Any

_LENGTH = struct.Struct(">I")
_MAX_BYTES = 2**30


@functools.cache
def _codec() -> tuple[Any, Any]:
    import msgspec  # comes with vLLM

    return msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder()


def packed(message: list[Any]) -> bytes:
    """The bytes of a message.

    Raises:
        TypeError, ValueError, OverflowError: something in it is no data, or it is too long.
    """
    body: bytes = _codec()[0].encode(message)
    if len(body) > _MAX_BYTES:
        raise ValueError(f"a message of {len(body):,} bytes is too long (at most {_MAX_BYTES:,})")
    return _LENGTH.pack(len(body)) + body


async def read_message(reader: asyncio.StreamReader) -> Any:
    """The next message; None where the other side is gone."""
    try:
        (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        return _codec()[1].decode(await reader.readexactly(length))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


def receive_message(connection: socket.socket) -> Any:
    """The next message of a blocking socket, and not a byte more; None where the other is gone."""
    try:
        head = _receive_exactly(connection, _LENGTH.size)
        body = head and _receive_exactly(connection, _LENGTH.unpack(head)[0])
    except ConnectionError:
        return None
    return _codec()[1].decode(body) if body else None


def _receive_exactly(connection: socket.socket, count: int) -> bytes | None:
    chunks = bytearray()
    while len(chunks) < count:
        chunk = connection.recv(count - len(chunks))
        if not chunk:
            return None
        chunks += chunk
    return bytes(chunks)
