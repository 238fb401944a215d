"""How wide a text will be, about: what draws it has fonts of its own."""

from __future__ import annotations

import unicodedata

_NARROW = frozenset("iIjl.,:;'|!()[]{}ftr ")
_WIDE = frozenset("mwMW@%")


def width_of(text: str, size: float) -> float:
    """The width of `text` in a sans serif of `size`, rather too much than too little.

    Example:
        >>> width_of("ill", 10) < width_of("www", 10)
        True
    """
    return size * sum(map(_share, text))


def _share(character: str) -> float:
    if character in _NARROW:
        return 0.38
    if character in _WIDE:
        return 0.92
    if unicodedata.east_asian_width(character) in "WF":
        return 1.05
    return 0.7 if character.isupper() else 0.6


def cut(text: str, limit: int) -> str:
    """`text` on one line of at most `limit` characters.

    Example:
        >>> cut("a very long name", 9)
        'a very l…'
    """
    line = "".join(character if character.isprintable() else "\ufffd" for character in text)
    return line if len(line) <= limit else line[: limit - 1] + "…"


__all__ = ["cut", "width_of"]
