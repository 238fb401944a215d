"""From bytes to records: JSON lines, JSON documents. Pure.

Nothing is lost but this: a lone surrogate, which JSON can spell and UTF-8 can't hold, becomes its
escape as text, since neither a runner nor a file could carry it.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
from collections.abc import Iterator
from typing import Any

import orjson

from beam_distilabel.row import MAX_LEVELS, Row

CHUNK = 1 << 20
"""How much is read at a time, in bytes or characters."""

TOO_DEEP = f"the JSON is nested too deeply, in more than {MAX_LEVELS} levels"
_LONG_NUMBER = re.compile(rb"[0-9]{19}")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_NUMBER_REST = re.compile(r"[0-9.eE+-]*")
_SPACE = re.compile(r"[ \t\n\r]*")
_BOM = b"\xef\xbb\xbf"
_FIRST_LINE = 16 << 20
_LONGEST_ESCAPE = 12  # a surrogate pair, \ud83d\ude00


def parse_record(line: bytes) -> Row:
    """The JSON object in `line`; NaN and integers of any size are kept.

    Raises:
        ValueError: it is no JSON, or no object.

    Example:
        >>> parse_record(b'{"a": [1, NaN]}')
        {'a': [1, nan]}
    """
    try:
        try:
            # orjson reads integers of more than 64 bits as floats.
            record = None if _LONG_NUMBER.search(line) else orjson.loads(line)
        except orjson.JSONDecodeError:
            record = None
        if record is None:
            record = without_surrogates(json.loads(line))
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    if not isinstance(record, dict):
        raise ValueError(f"a record has to be a JSON object, this is {kind_of_json(record)}")
    return record


def is_deep(value: Any) -> bool:
    """Whether `value` is nested more deeply than what can be passed on and written.

    Example:
        >>> is_deep({"a": [[1]]})
        False
    """
    try:
        orjson.dumps(value)  # takes 254 levels, and less time than looking
        return False
    except TypeError:
        level = [value]
    for _ in range(MAX_LEVELS + 1):
        nested = [item for item in level if isinstance(item, (dict, list))]
        if not nested:
            return False
        level = [
            inner
            for item in nested
            for inner in (item.values() if isinstance(item, dict) else item)
        ]
    return True


def without_surrogates(value: Any) -> Any:
    """`value` with lone surrogates, in keys too, as their escapes.

    Example:
        >>> without_surrogates(["a", "\\ud800"])
        ['a', '\\\\ud800']
    """
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return value.encode("utf-8", "backslashreplace").decode()
    elif isinstance(value, list):
        return [without_surrogates(item) for item in value]
    elif isinstance(value, dict):
        return {without_surrogates(key): without_surrogates(item) for key, item in value.items()}
    return value


def kind_of_json(value: Any) -> str:
    """What JSON calls the type of `value`."""
    if value is None:
        return "null"
    names = {bool: "a boolean", int: "a number", float: "a number", str: "a string"}
    return names.get(type(value), "an object" if isinstance(value, dict) else "an array")


def split_lines(stream: Any, size: int | None = None) -> Iterator[bytes]:
    """The lines of `stream` without their ends; holds one chunk and one line at most.

    Args:
        stream: a binary file at the start of a line.
        size: how many bytes to read, None for all.
    """
    pieces: list[bytes] = []
    remaining = size
    while True:
        chunk = stream.read(CHUNK if remaining is None else min(CHUNK, remaining))
        if not chunk:
            break
        if remaining is not None:
            remaining -= len(chunk)
        first, *lines = chunk.split(b"\n")
        pieces.append(first)
        if lines:
            yield b"".join(pieces)
            pieces = [lines.pop()]
            yield from lines
    last = b"".join(pieces)
    if last:
        yield last


def without_bom(line: bytes) -> bytes:
    """`line` without the mark that some editors put at a file's start."""
    return line.removeprefix(_BOM)


def is_json_lines(stream: Any) -> bool:
    """Whether a JSON file's first line is a whole object, as in JSON lines."""
    head = b""
    # A first line of more than this isn't looked at: it may be a whole document.
    while len(head) < _FIRST_LINE and (chunk := stream.read(CHUNK)):
        head = without_bom(head + chunk).lstrip()
        if head and not head.startswith(b"{"):
            return False
        if b"\n" in head:
            break
    try:
        parse_record(head.split(b"\n", 1)[0])
    except ValueError:
        return False
    return True


def iter_json(stream: Any) -> Iterator[Any]:
    """The items of a document's top-level array, or the values that it is a sequence of.

    Holds one item and one chunk at most.

    Args:
        stream: a text file.

    Raises:
        ValueError: it is no JSON; says after how many items and where.

    Example:
        >>> import io
        >>> list(iter_json(io.StringIO('[{"a": 1}, {"a": 2}]')))
        [{'a': 1}, {'a': 2}]
    """
    text = _Text(stream)
    if text.peek() != "[":
        while text.peek():
            yield text.value()
        return
    text.skip()
    if text.peek() == "]":
        text.skip()
    else:
        while True:
            yield text.value()
            mark = text.peek()
            if mark not in (",", "]"):
                raise text.error("',' or ']' is expected")
            text.skip()
            if mark == "]":
                break
    if text.peek():
        raise text.error("nothing is expected after the array")


@contextlib.contextmanager
def decoding(stream: Any, newline: str | None = None) -> Iterator[io.TextIOWrapper]:
    """`stream` as UTF-8 text; it stays open."""
    text = io.TextIOWrapper(stream, "utf-8-sig", newline=newline)
    try:
        yield text
    finally:
        text.detach()


class _Text:
    """A text file that is decoded value by value."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._buffer = ""
        self._position = 0
        self._before = 0
        self._ended = False
        self._values = 0
        self._decoder = json.JSONDecoder()

    def peek(self) -> str:
        """The next character that isn't white space, "" at the end."""
        while True:
            match = _SPACE.match(self._buffer, self._position)
            assert match is not None
            self._position = match.end()
            if self._position < len(self._buffer):
                return self._buffer[self._position]
            if not self._read():
                return ""

    def skip(self) -> None:
        self._position += 1

    def value(self) -> Any:
        if not self.peek():
            raise self.error("the document ends early")
        while True:
            try:
                value, end = self._decoder.raw_decode(self._buffer, self._position)
            except json.JSONDecodeError as error:
                if self._is_cut(error) and self._read():
                    continue
                self._position = error.pos
                raise self.error(error.msg) from None
            except RecursionError:
                raise self.error("it is nested too deeply") from None
            # A number that touches the buffer's end may go on: "1", "1.", "1.5e".
            rest = _NUMBER_REST.match(self._buffer, end)
            assert rest is not None
            if rest.end() == len(self._buffer) and self._read():
                continue
            is_suspect = _SURROGATE.search(self._buffer, self._position, end)
            self._position = end
            self._values += 1
            return without_surrogates(value) if is_suspect else value

    def error(self, reason: str) -> ValueError:
        return ValueError(
            f"no valid JSON after {self._values} records, at character "
            f"{self._before + self._position}: {reason}"
        )

    def _is_cut(self, error: json.JSONDecodeError) -> bool:
        near_end = error.pos >= len(self._buffer) - _LONGEST_ESCAPE
        return near_end or error.msg.startswith("Unterminated string")

    def _read(self) -> bool:
        """Read more: as much as a value that didn't fit, so that each is decoded few times."""
        if self._ended:
            return False
        rest = self._buffer[self._position :]
        chunk = self._stream.read(max(CHUNK, len(rest)))
        self._ended = not chunk
        self._before += self._position
        self._buffer, self._position = rest + chunk, 0
        return not self._ended
