"""A row that people can look at: long values cut."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

MAX_CHARACTERS = 4_000
"""A row whose JSON is longer is cut further."""

_LIMITS = ((600, 10, 100), (200, 5, 100), (60, 3, 50), (20, 2, 20), (0, 0, 20))
"""Characters of a text, items of a list and fields of a struct: the first that are short enough."""


def sample_text(row: Mapping[str, Any], hide: Callable[[str], str] | None = None) -> str:
    """A row as JSON in at most about `MAX_CHARACTERS`.

    Args:
        row: the row.
        hide: what takes secrets out of a text; each text is passed to it whole, before JSON escapes
            what is in a secret, and before a part of one is cut off.

    Example:
        >>> print(sample_text({"a": 1}))
        {
          "a": 1
        }
    """
    text = ""
    shown = dict(row) if hide is None else _hidden(dict(row), hide)
    for max_text, max_items, max_fields in _LIMITS:
        record = cut(shown, max_text, max_items, max_fields)
        text = json.dumps(record, ensure_ascii=False, indent=2, default=str)
        if len(text) <= MAX_CHARACTERS:
            break
    # Still the same JSON, but nothing in it opens or ends a comment such as those of our section.
    return text.replace("<!--", "\\u003c!--")


def _hidden(value: Any, hide: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return hide(value)
    if isinstance(value, Mapping):
        return {_hidden(name, hide): _hidden(item, hide) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_hidden(item, hide) for item in value]
    return value


def cut(value: Any, max_text: int = 600, max_items: int = 10, max_fields: int = 100) -> Any:
    """`value` with long texts, lists, structs and bytes cut, so that a reader can look at it.

    Example:
        >>> cut({"a": list(range(100)), "b": b"123"})["b"]
        '<3 bytes>'
    """
    if isinstance(value, str):
        left_out = len(value) - max_text
        return value if left_out <= 0 else f"{value[:max_text]}... ({left_out} more characters)"
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    if isinstance(value, Mapping):
        fields = list(value.items())
        shown = {
            cut(str(name), 100): cut(item, max_text, max_items, max_fields)
            for name, item in fields[:max_fields]
        }
        left_out = len(fields) - max_fields
        return shown if left_out <= 0 else {**shown, "...": f"({left_out} more fields)"}
    if isinstance(value, (list, tuple)):
        items = [cut(item, max_text, max_items, max_fields) for item in value[:max_items]]
        left_out = len(value) - max_items
        return items if left_out <= 0 else [*items, f"... ({left_out} more items)"]
    return value
