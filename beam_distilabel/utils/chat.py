"""`is_openai_format`, of distilabel 1.5."""

from __future__ import annotations

from typing import Any


def is_openai_format(input: Any) -> bool:
    """Whether `input` is a list of messages, each a dict with `role` and `content`.

    Example:
        >>> is_openai_format([{"role": "user", "content": "Hi"}]), is_openai_format("Hi")
        (True, False)
    """
    return isinstance(input, list) and all(
        isinstance(message, dict) and {"role", "content"} <= message.keys() for message in input
    )


__all__ = ["is_openai_format"]
