"""What the sections of Google-style docstrings say, such as those of attributes and arguments."""

from __future__ import annotations

import functools
import inspect
import itertools
import re
from collections.abc import Callable
from typing import Any

_ENTRY = re.compile(r"(?P<name>\*{0,2}\w+)\s*(?:\([^)]*\))?:\s*(?P<text>.*)")


def section_lines(docstring: str | None, section: str) -> list[str]:
    """The lines of a section: what is on its heading's, and those under it with their margins.

    Args:
        docstring: as it was written.
        section: its heading, such as "Attributes".

    Example:
        >>> section_lines("Sums.\\n\\nSource: Euclid,\\n    book VII.\\n\\nNote: old.", "Source")
        [' Euclid,', '    book VII.', '']
    """
    lines = inspect.cleandoc(docstring or "").splitlines()
    heading = f"{section}:"
    for number, line in enumerate(lines):
        if line.startswith(heading):
            under = itertools.takewhile(lambda x: not x or x.startswith(" "), lines[number + 1 :])
            return [line.removeprefix(heading), *under]
    return []


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
    name, margin = "", None
    for line in section_lines(docstring, section)[1:]:
        text = line.strip()
        indent = len(line) - len(line.lstrip())
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


__all__ = ["described", "described_arguments", "described_attributes", "section_lines"]
