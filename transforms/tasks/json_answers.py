"""JSON in what a model wrote: alone, in a code fence, or among words. Nothing is evaluated."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from beam_distilabel.errors import ParseError

_FENCE = re.compile(r"```[^\S\n]*\w*[^\S\n]*\n(.*?)```", re.DOTALL)
_MAX_STARTS = 50
_DECODER = json.JSONDecoder(strict=False)  # models write line breaks into strings


def json_answer(text: str | None, kind: type[dict] | type[list]) -> Any:
    """The first JSON object, or array, of an answer.

    Args:
        text: the answer; None when the model gave none.
        kind: `dict` or `list`.

    Raises:
        ParseError: there is no answer, or no such value in it.

    Example:
        >>> json_answer('Here it is:\\n```json\\n{"label": "good"}\\n```', dict)
        {'label': 'good'}
        >>> json_answer('["a"] and ["b"]', list)
        ['a']
    """
    if text is None:
        raise ParseError("the model gave no answer")
    for part in (*_FENCE.findall(text), text):
        for value in _values(part, "{" if kind is dict else "["):
            if isinstance(value, kind):
                return value
    name = "object" if kind is dict else "array"
    raise ParseError(f"expected a JSON {name}, got {text[:80]!r}")


def _values(text: str, opening: str) -> Iterator[Any]:
    """The JSON values that begin with one of the first openings."""
    start = text.find(opening)
    for _ in range(_MAX_STARTS):
        if start < 0:
            return
        try:
            value, _ = _DECODER.raw_decode(text, start)
        except (ValueError, RecursionError):
            start = text.find(opening, start + 1)
            continue
        yield value
        start = text.find(opening, start + 1)


def texts_under(found: dict[str, Any], keys: Sequence[str]) -> dict[str, str]:
    """The texts that a JSON object has under `keys`; numbers are written out.

    Raises:
        ParseError: one isn't there, or is no text.

    Example:
        >>> texts_under({"text": "How many?", "label": 3}, ["text", "label"])
        {'text': 'How many?', 'label': '3'}
    """
    texts = {}
    for key in keys:
        value = found.get(key)
        if isinstance(value, (bool, int, float)):
            value = json.dumps(value)
        if not isinstance(value, str):
            what = type(value).__name__ if key in found else "nothing"
            raise ParseError(f"expected text under {key!r}, got {what}")
        texts[key] = value
    return texts


__all__ = ["json_answer", "texts_under"]
