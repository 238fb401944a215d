"""What Google-style docstrings say of attributes and arguments."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from typing import Any

_ENTRY = re.compile(r"(?P<name>\*{0,2}\w+)\s*(?:\([^)]*\))?:\s*(?P<text>.*)")


def described(docstring: str | None, section: str) -> dict[str, str]:
    """Name to description of the entries of a section, each as one line.

    Args:
        docstring: as it was written.
        section: its heading, such as "Attributes".

    Example:
        >>> described(described.__doc__, "Args")["section"]
        'its heading, such as "Attributes".'
    """
    found: dict[str, str] = {}
    lines = inspect.cleandoc(docstring or "").splitlines()
    starts = [i for i, line in enumerate(lines) if line.rstrip() == f"{section}:"]
    if not starts:
        return found
    name, margin = "", None
    for line in lines[starts[0] + 1 :]:
        text = line.strip()
        indent = len(line) - len(line.lstrip())
        if text and indent == 0:
            break
        if not text:
            continue
        margin = indent if margin is None else margin
        entry = _ENTRY.fullmatch(text) if indent <= margin else None
        if entry is not None:
            name = entry["name"].lstrip("*")
            found[name] = entry["text"]
        elif name:
            found[name] = f"{found[name]} {text}".strip()
    return found


@functools.cache
def described_attributes(cls: type) -> dict[str, str]:
    """What the docstrings of a class and those that it derives from say of its attributes."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        found.update(described(base.__dict__.get("__doc__"), "Attributes"))
    return found


def described_arguments(function: Callable[..., Any]) -> dict[str, str]:
    """What the docstring of a function says of its arguments."""
    return described(function.__doc__, "Args")


__all__ = ["described", "described_arguments", "described_attributes"]
