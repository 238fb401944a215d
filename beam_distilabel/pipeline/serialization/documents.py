"""YAML and JSON as data, whoever wrote it: bounded in size, depth and time, without side effects.

A document becomes dicts with texts as keys, lists, texts, numbers, True, False and None; bytes and
nothing else where YAML's `!!binary` says so, and a `NamedClass` where distilabel has written a
pydantic class as the schema of answers. What PyYAML writes of tuples and sets are lists.
"""

from __future__ import annotations

import codecs
import dataclasses
import json
import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

import yaml
from yaml.constructor import SafeConstructor
from yaml.resolver import Resolver

MAX_BYTES = 4 * 2**20
"""The largest document that is read; a pipeline of a thousand Steps has less."""

MAX_DEPTH = 100
"""How deep lists and dicts may be within each other."""

MAX_VALUES = 500_000
"""How many values a document may have, those that YAML's aliases repeat counted each time."""

_LARGEST_INT = 2**64 - 1
_LONGEST_NUMBER = 100

_TAGS = "tag:yaml.org,2002:"
_SEQUENCES = {_TAGS + "seq", _TAGS + "python/tuple", None, "!"}
_MAPPINGS = {_TAGS + "map", None, "!"}
_SET = _TAGS + "set"
_MERGE = _TAGS + "merge"
_OBJECT = _TAGS + "python/object:"
_SECRET_TAG = _OBJECT + "pydantic.types.Secret"
_CLASS = _TAGS + "python/name:"
"""How distilabel's YAML has a pydantic class in `structured_output`."""
_SCALARS = {_TAGS + name for name in ("str", "int", "float", "bool", "null", "binary", "timestamp")}

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)


@dataclasses.dataclass(frozen=True)
class NamedClass:
    """A pydantic class that a file names as the schema of answers; nothing is imported for it."""

    module: str
    name: str


class DocumentError(ValueError):
    """A document can't be read; says what is wrong with it and where."""


def parse(content: bytes, format: str | None) -> Any:
    """The data in a document.

    Args:
        content: UTF-8.
        format: "json" or "yaml"; None to tell by the first character, "{" or "[" of JSON.

    Raises:
        DocumentError: it can't be read, is too large, or has what no such file needs.

    Example:
        >>> parse(b"steps: [{name: one}]", "yaml")
        {'steps': [{'name': 'one'}]}
        >>> parse(b"!!python/object/apply:os.getcwd []", "yaml")
        Traceback (most recent call last):
        ...
        beam_distilabel.pipeline.serialization.documents.DocumentError: line 1: the tag \
'!!python/object/apply:os.getcwd' is none of plain data; nothing that a file names is made or called
    """
    text = _decoded(content)
    if format is None:
        format = "json" if text.lstrip()[:1] in ("{", "[") else "yaml"
    return plain(_parse_json(text) if format == "json" else _parse_yaml(text))


def plain(data: Any) -> Any:
    """A copy of data without shared parts, checked to be of reasonable size.

    Objects of other types than those of JSON are left as they are.

    Raises:
        DocumentError: it is too large or too deep, or has a number that no field can use.

    Example:
        >>> plain({"a": {"b": float("nan")}})
        Traceback (most recent call last):
        ...
        beam_distilabel.pipeline.serialization.documents.DocumentError: a.b is no number (NaN)
    """
    return _Copy().made(data, ())


def yaml_text(data: Any) -> str:
    """JSON-like data as YAML.

    Example:
        >>> print(yaml_text({"name": "é", "steps": []}), end="")
        name: é
        steps: []
    """
    return str(yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True))


class _Dumper(yaml.SafeDumper):
    """PyYAML's, but for U+0085: it writes that as it is, and reads a space there."""


def _text_node(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = '"' if "\x85" in text else None
    return dumper.represent_scalar(_TAGS + "str", text, style=style)


_Dumper.add_representer(str, _text_node)


class _Copy:
    def __init__(self) -> None:
        self._values = 0

    def made(self, value: Any, path: tuple[str, ...]) -> Any:
        self._values += 1
        if self._values > MAX_VALUES:
            raise DocumentError(f"it has more than {MAX_VALUES:,} values, repeated ones included")
        if len(path) > MAX_DEPTH:
            raise DocumentError(f"it is more than {MAX_DEPTH} levels deep")
        if isinstance(value, str):
            _check_text(value, path)
        elif isinstance(value, Mapping):
            made: dict[str, Any] = {}
            for key, item in value.items():
                name = str(key)
                _check_text(name, path)
                made[name] = self.made(item, (*path, name))
            return made
        elif isinstance(value, (list, tuple)):
            return [self.made(item, (*path, str(i))) for i, item in enumerate(value)]
        elif isinstance(value, int):
            if abs(value) > _LARGEST_INT:
                raise DocumentError(f"{_at(path)} is a number of more than 64 bits")
        elif isinstance(value, float) and not math.isfinite(value):
            what = "is no number (NaN)" if math.isnan(value) else "is infinite, or too large"
            raise DocumentError(f"{_at(path)} {what}")
        return value


def _at(path: tuple[str, ...]) -> str:
    text = ".".join(path) or "it"
    return text if len(text) <= 200 else f"{text[:200]}..."


def _check_text(text: str, path: tuple[str, ...]) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise DocumentError(f"{_at(path)} has half of a character (a lone surrogate)") from None


def _decoded(content: bytes) -> str:
    if len(content) > MAX_BYTES:
        raise DocumentError(f"it is larger than {MAX_BYTES // 2**20} MB")
    for mark, encoding in _BYTE_ORDER_MARKS:
        if content.startswith(mark):
            raise DocumentError(f"it is {encoding} text; save it as UTF-8")
    if b"\0" in content:
        raise DocumentError("it has NUL bytes, so it is no UTF-8 text")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DocumentError(f"it is no UTF-8 text: byte {error.start}: {error.reason}") from None


# -- JSON ------------------------------------------------------------------------------------------


def _parse_json(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_without_doubles, parse_int=_int)
    except RecursionError:
        raise DocumentError(f"it is more than {MAX_DEPTH} levels deep") from None
    except json.JSONDecodeError as error:
        raise DocumentError(str(error)) from None


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        double = next(name for name, count in counts.items() if count > 1)
        raise DocumentError(f"the key {double[:80]!r} is there twice in one object")
    return made


def _int(text: str) -> int:
    if len(text) > _LONGEST_NUMBER:
        raise DocumentError(f"a number of {len(text)} digits")
    return int(text)


# -- YAML ------------------------------------------------------------------------------------------


class _Open:
    """A list or dict whose end is still to come."""

    def __init__(self, items: list[Any] | dict[str, Any], anchor: str | None, tag: Any) -> None:
        self.items = items
        self.anchor = anchor
        self.is_set = tag == _SET
        self.key: str | None = None
        self.merged: list[Any] = []
        self.merges = False
        """Whether the value to come is one of `<<`."""


_UNFINISHED = object()


class _Builder:
    """Makes data of YAML's events, one after the other: recursion would end the process."""

    def __init__(self) -> None:
        self.documents = 0
        self.data: Any = None
        self._open: list[_Open] = []
        self._anchors: dict[str, Any] = {}
        self._resolver = Resolver()
        self._constructor = SafeConstructor()
        self._line = 0
        self._merged = 0

    def take(self, event: Any) -> None:
        """Take the next event.

        Raises:
            DocumentError: plain data has no such thing.
        """
        self._line = event.start_mark.line + 1
        if isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                raise self._error("a second document begins; a file has one")
        elif isinstance(event, yaml.ScalarEvent):
            self._scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            if event.tag not in _SEQUENCES:
                raise self._no_data(event.tag)
            self._begin([], event)
        elif isinstance(event, yaml.MappingStartEvent):
            if event.tag not in _MAPPINGS and event.tag != _SET:
                raise self._no_data(event.tag)
            self._begin({}, event)
        elif isinstance(event, (yaml.SequenceEndEvent, yaml.MappingEndEvent)):
            self._end()
        elif isinstance(event, yaml.AliasEvent):
            known = self._anchors.get(str(event.anchor), self)
            if known is self:
                raise self._error(f"the alias {event.anchor!r} has no anchor before it")
            if known is _UNFINISHED:
                raise self._error(f"the alias {event.anchor!r} is within what it stands for")
            self._add(known)

    def _scalar(self, event: Any) -> None:
        if event.tag in (None, "!"):
            tag = self._resolver.resolve(yaml.ScalarNode, event.value, event.implicit)
            if event.tag == "!":
                tag = _TAGS + "str"
        elif event.tag in _SCALARS:
            tag = event.tag
        elif event.tag.startswith(_CLASS) and not event.value and self._at_schema():
            module, _, name = event.tag.removeprefix(_CLASS).rpartition(".")
            self._add(NamedClass(module[:200], name[:200]))
            return
        else:
            raise self._no_data(event.tag)
        if self._expects_key():
            self._key(event.value, merges=tag == _MERGE, anchor=event.anchor)
            return
        value = self._value(tag, event.value)
        if event.anchor is not None:
            self._anchors[event.anchor] = value
        self._add(value)

    def _at_schema(self) -> bool:
        """Whether the value to come is a `schema` within `structured_output`."""
        keys = [one.key for one in self._open[-2:]]
        return keys == ["structured_output", "schema"]

    def _value(self, tag: str, text: str) -> Any:
        name = tag.removeprefix(_TAGS)
        if name not in ("int", "float", "bool", "null", "binary"):
            return text  # a date, too: fields of dates take texts
        if name in ("int", "float") and len(text) > _LONGEST_NUMBER:
            raise self._error(f"a number of {len(text)} digits")
        node = yaml.ScalarNode(tag, text)
        try:
            return getattr(self._constructor, f"construct_yaml_{name}")(node)
        except (ValueError, KeyError, IndexError, yaml.YAMLError):
            raise self._error(f"{text[:80]!r} is no {name}") from None

    def _expects_key(self) -> bool:
        inner = self._open[-1] if self._open else None
        return (
            inner is not None
            and isinstance(inner.items, dict)
            and inner.key is None
            and not inner.merges
        )

    def _key(self, text: str, merges: bool, anchor: str | None) -> None:
        inner = self._open[-1]
        if merges and inner.merged:
            raise self._error("the key '<<' is there twice in one mapping; give it a list")
        if merges:
            inner.merges = True
        elif text in inner.items:
            raise self._error(f"the key {text[:80]!r} is there twice in one mapping")
        else:
            inner.key = text
        if anchor is not None:
            self._anchors[anchor] = text

    def _begin(self, items: list[Any] | dict[str, Any], event: Any) -> None:
        if self._expects_key():
            raise self._error("a key has to be a text, not a list or a mapping")
        if len(self._open) >= MAX_DEPTH:
            raise self._error(f"it is more than {MAX_DEPTH} levels deep")
        if event.anchor is not None:
            self._anchors[event.anchor] = _UNFINISHED
        self._open.append(_Open(items, event.anchor, event.tag))

    def _end(self) -> None:
        ended = self._open.pop()
        items: Any = ended.items
        for more in ended.merged:
            self._merged += len(more)
            if self._merged > MAX_VALUES:
                raise self._error(f"more than {MAX_VALUES:,} values come from '<<'")
            items.update({name: value for name, value in more.items() if name not in items})
        if ended.is_set:
            items = list(items)
        if ended.anchor is not None:
            self._anchors[ended.anchor] = items
        self._add(items)

    def _add(self, value: Any) -> None:
        """Put a value where it belongs."""
        if not self._open:
            self.data = value
            return
        inner = self._open[-1]
        if isinstance(inner.items, list):
            inner.items.append(value)
        elif inner.merges:
            inner.merged = value if isinstance(value, list) else [value]
            inner.merges = False
            if not inner.merged or not all(isinstance(item, dict) for item in inner.merged):
                raise self._error("'<<' takes a mapping or a list of mappings")
        elif inner.key is None:
            if not isinstance(value, str):
                raise self._error("a key has to be a text, not a list or a mapping")
            self._key(value, merges=False, anchor=None)
        else:
            inner.items[inner.key] = value
            inner.key = None

    def _error(self, text: str) -> DocumentError:
        return DocumentError(f"line {self._line}: {text}")

    def _no_data(self, tag: str | None) -> DocumentError:
        text = str(tag)
        if text.startswith(_SECRET_TAG):
            key = next((one.key for one in reversed(self._open) if one.key is not None), "it")
            return self._error(
                f"a secret is here as plain text, under {key[:80]!r} with the tag "
                f"'!!python/object:{text.removeprefix(_OBJECT)}'. Delete this line and the lines "
                "indented below it, give the secret by an environment variable or with the run, "
                "and replace it where it was issued: whoever has had the file knows it"
            )
        shown = f"!!{text.removeprefix(_TAGS)}" if text.startswith(_TAGS) else text
        return self._error(
            f"the tag {shown[:200]!r} is none of plain data; nothing that a file names is made or "
            "called"
        )


def _parse_yaml(text: str) -> Any:
    builder = _Builder()
    try:
        for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            builder.take(event)
    except yaml.YAMLError as error:
        raise DocumentError(str(error)) from None
    return builder.data


__all__ = ["MAX_BYTES", "MAX_DEPTH", "MAX_VALUES", "DocumentError", "NamedClass", "parse", "plain", "yaml_text"]
