"""Texts in what a job sends, through the layers that Beam and others wrap around them."""

from __future__ import annotations

import base64
import binascii
import bz2
import gzip
import json
import re
import urllib.parse
import zlib
from collections.abc import Callable, Iterator

from beam_distilabel.secret_texts import TOKENS

_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{11,}={0,2}")
_PACKED: tuple[tuple[re.Pattern[bytes], Callable[[bytes], bytes]], ...] = (
    (re.compile(rb"BZh[1-9]1AY&SY"), lambda data: bz2.BZ2Decompressor().decompress(data)),
    (re.compile(rb"\x1f\x8b\x08"), lambda data: zlib.decompressobj(31).decompress(data)),
    (re.compile(rb"x[\x01\x5e\x9c\xda]"), lambda data: zlib.decompressobj().decompress(data)),
)
_TOKENS = re.compile(TOKENS.pattern.encode(), TOKENS.flags & ~re.UNICODE)
_DEPTH = 12
_ERRORS = (binascii.Error, EOFError, OSError, ValueError, zlib.error, gzip.BadGzipFile)


def holds(data: bytes, text: str) -> bool:
    """Whether `text` is in `data`: plainly, escaped, in base64, or compressed, however deep.

    Example:
        >>> import base64, bz2
        >>> holds(base64.b64encode(bz2.compress(b"... s3cret-token ...")), "s3cret-token")
        True
        >>> holds(b"... s3cret ...", "s3cret-token")
        False
    """
    forms = _forms(text)
    return any(form in layer for layer in layers(data) for form in forms)


def first_held(data: bytes, texts: list[str]) -> int | None:
    """The index of the first of `texts` that is in `data`, None if none is; see `holds`."""
    forms = [_forms(text) for text in texts]
    for layer in layers(data):
        for index, known in enumerate(forms):
            if any(form in layer for form in known):
                return index
    return None


def first_token(data: bytes) -> str | None:
    """The first text in `data` whose form says that it is a token, None without any.

    Example:
        >>> first_token(b"... key=hf_" + b"a1" * 15 + b" ...") == "hf_" + "a1" * 15
        True
    """
    for layer in layers(data):
        for match in _TOKENS.finditer(layer):
            return match[0].decode(errors="replace")
    return None


def layers(data: bytes, depth: int = _DEPTH) -> Iterator[bytes]:
    """`data`, and what it decodes to in places, and what that decodes to."""
    yield data
    if not depth:
        return
    for pattern, unpack in _PACKED:
        for match in pattern.finditer(data):
            try:
                unpacked = unpack(data[match.start() :])
            except _ERRORS:
                continue  # bytes that look like a beginning by chance
            if unpacked:
                yield from layers(unpacked, depth - 1)
    for match in _BASE64.finditer(data):
        run = match[0].rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/"))
        # What stands before it may look like a part of it.
        for start in range(4):
            decoded = _decoded(run[start:])
            if decoded and decoded != data:
                yield from layers(decoded, depth - 1 if len(decoded) < len(data) else 0)


def _decoded(run: bytes) -> bytes:
    run = run[: len(run) - (len(run) % 4 == 1)]
    try:
        return base64.b64decode(run + b"=" * (-len(run) % 4))
    except _ERRORS:
        return b""


def _forms(text: str) -> set[bytes]:
    """How `text` may be written in bytes."""
    texts = {
        text,
        json.dumps(text)[1:-1],
        json.dumps(text, ensure_ascii=False)[1:-1],
        urllib.parse.quote(text),
        urllib.parse.quote(text, safe=""),
        urllib.parse.quote_plus(text),
    }
    encoded = {one.encode(errors="surrogatepass") for one in texts}
    whole = text.encode(errors="surrogatepass")
    wide = {text.encode(code, errors="surrogatepass") for code in ("utf-16-le", "utf-16-be")}
    return encoded | wide | {whole.hex().encode(), whole.hex().upper().encode()}


__all__ = ["first_held", "first_token", "holds", "layers"]
