"""Whether two answers to a problem are the same, however they are written."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

_CURRENCIES: Final = "$€£¥"
_AROUND: Final = f" \t\r\n*_`{_CURRENCIES}"
_WRAPPED: Final = re.compile(
    r"\\(?:boxed|text|mathbf|mathrm)[ \t]*\{(.*)\}|\\\((.*)\\\)|\\\[(.*)\\\]", re.DOTALL
)
_NUMBER: Final = re.compile(
    rf"([-+]?)[ \t]*[{_CURRENCIES}]?[ \t]*"
    r"((?:\d{1,3}(?:(?:,|\{,\}|\\,|[ \u00a0\u202f])\d{3})+|\d+)(?:\.\d*)?|\.\d+)",
    re.ASCII,
)


def normalised(answer: str) -> Decimal | str:
    """What an answer says: a number, or a text in lower case with single spaces.

    Markdown, currency signs, `\\boxed{}` and other LaTeX around it, thousands separators, zeros
    after the decimal point and the period at the end make no difference. Units do.

    Example:
        >>> normalised("**$1,000.00**.") == normalised(r"\\boxed{1000}") == 1000
        True
        >>> normalised("Half  of it."), normalised("50%")
        ('half of it', '50%')
    """
    text = answer.replace("\\$", "$").replace("\N{MINUS SIGN}", "-")
    while True:
        text = text.strip(_AROUND).rstrip(".").strip(_AROUND)
        wrapped = _WRAPPED.fullmatch(text)
        if not wrapped:
            break
        text = wrapped[wrapped.lastindex or 0]
    number = _NUMBER.fullmatch(text)
    if number:
        return Decimal(number[1] + re.sub(r"[^\d.]", "", number[2]))
    return " ".join(text.casefold().split())


__all__ = ["normalised"]
