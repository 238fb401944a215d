"""JSON in what a model wrote: alone, in a code fence, among words, after thoughts.

Nothing is evaluated.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from beam_distilabel.errors import ParseError

_BEGINNING = re.compile(r'\{(?=\s*["}])|\[(?=\s*[\[\]{"\w-])')
_JSON_OR_FENCE = ("{", "[", "```")
_THOUGHTS = re.compile(r"\A.*</think>|<think>.*\Z", re.DOTALL | re.IGNORECASE)
_MAX_FAILURES = 100  # each may cost as much time as the answer is long
_DECODER = json.JSONDecoder(strict=False)  # models write line breaks into strings


def _any(value: Any) -> bool:
    return True


def json_answer(
    text: str | None,
    kind: type[dict] | type[list] | tuple[type[dict], type[list]],
    fits: Callable[[Any], bool] = _any,
) -> Any:
    """The JSON object, or array, that an answer comes to.

    Models think, quote the form and try before they decide, so the last one that fits is the
    answer. What stands in `<think>` is none, also where the model didn't end its thoughts. What is
    part of another object or array is looked at only where there is nothing else.

    Args:
        text: the answer; None when the model gave none.
        kind: `dict` or `list`, or both.
        fits: whether a value has the form that was asked for. Where none does it is the last one,
            so that the caller can tell what is wrong with it.

    Raises:
        ParseError: there is no answer, or no such value in it.

    Example:
        >>> json_answer('Here it is:\\n```json\\n{"label": "good"}\\n```', dict)
        {'label': 'good'}
        >>> json_answer('<think>["a"]? No.</think>["b"], as [1] says.', list, lambda of: "b" in of)
        ['b']
    """
    if text is None:
        raise ParseError("the model gave no answer")
    values = list(_values(without_thoughts(text)))
    found = [value for value in values if isinstance(value, kind)] or [
        part for value in values for part in _parts(value) if isinstance(part, kind)
    ]
    if not found:
        names = {dict: "object", list: "array"}
        kinds = kind if isinstance(kind, tuple) else (kind,)
        what = " or ".join(names[one] for one in kinds)
        raise ParseError(f"expected a JSON {what}, got {text[:80]!r}")
    return next((value for value in reversed(found) if fits(value)), found[-1])


def without_thoughts(text: str) -> str:
    """An answer without what a reasoning model thought before it.

    Its opening tag is often a part of the prompt. Where the closing one is missing there is no
    answer. An answer that is JSON from its first character has no thoughts, only texts about them.

    Example:
        >>> without_thoughts("Let me see.</think>Yes."), without_thoughts("<think>Let me see.")
        ('Yes.', '')
    """
    if text.lstrip().startswith(_JSON_OR_FENCE):
        return text
    return _THOUGHTS.sub("", text)


def _values(text: str) -> Iterator[Any]:
    """The JSON objects and arrays of a text that are no part of one another."""
    at = failures = 0
    while failures < _MAX_FAILURES and (beginning := _BEGINNING.search(text, at)):
        try:
            value, at = _DECODER.raw_decode(text, beginning.start())
        except (ValueError, RecursionError):
            at = beginning.end()
            failures += 1
            continue
        yield value


def _parts(value: Any) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else value


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


__all__ = ["json_answer", "texts_under", "without_thoughts"]
