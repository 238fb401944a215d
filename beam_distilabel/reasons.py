"""The most frequent reasons of failures, in bounded memory: messages that differ in numbers, ids or
quoted texts count as one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

MAX_REASONS = 64
"""How many different reasons are counted at once."""

_LENGTH = 200

_PARTS = re.compile(
    r"(?P<quoted>'[^'\n]{2,}'|\"[^\"\n]{2,}\")"
    r"|(?P<id>\b(?=[0-9a-fA-F-]*\d)[0-9a-fA-F]{8,}(?:-[0-9a-fA-F]{4,})*\b)"
    r"|(?P<number>\d+(?:[.,:/-]\d+)*)"
)
_STANDS_FOR = {"quoted": "'…'", "id": "<id>", "number": "<n>"}


def alike(message: str) -> str:
    """What messages of one reason have in common.

    Example:
        >>> alike("the prompt has 9,120 tokens, the model takes 4096")
        'the prompt has <n> tokens, the model takes <n>'
        >>> alike("KeyError: 'no 7 please'")
        "KeyError: '…'"
    """
    return _PARTS.sub(lambda found: _STANDS_FOR[str(found.lastgroup)], message[: 2 * _LENGTH])[
        :_LENGTH
    ]


class Reasons:
    """Counts messages by their reason.

    What is frequent is found whatever comes in between: where there is no room for a new reason,
    all counts shrink by one (Misra and Gries, "Finding repeated elements", 1982). So a count is
    never too large, and too small by at most the number of all messages / `MAX_REASONS`.

    Attributes:
        counts: the common part of the messages to [how many, one of them].

    Example:
        >>> reasons = Reasons()
        >>> for number in range(3):
        ...     reasons.add(f"{number} is odd")
        >>> most_frequent(reasons.counts)
        '0 is odd'
    """

    __slots__ = ("counts",)

    def __init__(self) -> None:
        self.counts: dict[str, list[Any]] = {}

    def add(self, message: str) -> None:
        """Count one message."""
        common = alike(message)
        known = self.counts.get(common)
        if known is not None:
            known[0] += 1
        elif len(self.counts) < MAX_REASONS:
            self.counts[common] = [1, message[:_LENGTH]]
        else:
            for other, entry in list(self.counts.items()):
                entry[0] -= 1
                if not entry[0]:
                    del self.counts[other]

    def snapshot(self) -> dict[str, list[Any]]:
        """A copy of the counts, also while another thread adds to them."""
        return {common: list(entry) for common, entry in list(self.counts.items())}


def add_reasons(total: dict[str, list[Any]], part: Mapping[str, Any]) -> None:
    """Add the counts of one process to `total` in place."""
    for common, (count, message) in part.items():
        known = total.setdefault(common, [0, message])
        known[0] += count


def most_frequent(counts: Mapping[str, Any]) -> str | None:
    """A message of the most frequent reason, None without any; of equals the first by its text."""
    if not counts:
        return None
    common = min(counts, key=lambda name: (-counts[name][0], name))
    message: str = counts[common][1]
    return message


__all__ = ["Reasons", "add_reasons", "alike", "most_frequent"]
