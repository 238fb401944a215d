"""What a whole run takes, judged by a few of its rows. Pure.

A total is the mean per row of the loader times its rows. Where it is known what each row took, the
range is the mean's 95 % confidence interval (Student's t, of a finite population), and never less
than what was seen. The rows seen are the loader's first ones and not drawn at random, which no
interval can tell.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Iterable, Sequence

_STUDENT = (
    (1, 12.706),
    (2, 4.303),
    (3, 3.182),
    (4, 2.776),
    (5, 2.571),
    (6, 2.447),
    (7, 2.365),
    (8, 2.306),
    (9, 2.262),
    (10, 2.228),
    (15, 2.131),
    (20, 2.086),
    (30, 2.042),
    (60, 2.0),
)
"""Degrees of freedom to the 97.5 % point of Student's t distribution."""


@dataclasses.dataclass(frozen=True)
class Range:
    """An estimate, and between what it lies.

    Attributes:
        value: the estimate.
        low: None where the spread isn't known.
        high: likewise.
    """

    value: float
    low: float | None = None
    high: float | None = None

    def times(self, factor: float) -> Range:
        """This many times as much."""
        low, high = (None if x is None else x * factor for x in (self.low, self.high))
        return Range(self.value * factor, low, high)


def added(ranges: Iterable[Range]) -> Range:
    """The sum; where one has no range, the sum has none.

    The ends are added as well: rows that are long for one Task are long for the others.

    Example:
        >>> added([Range(1, 0, 2), Range(2, 1, 4)])
        Range(value=3, low=1, high=6)
    """
    ranges = list(ranges)
    value = sum(one.value for one in ranges)
    if any(one.low is None or one.high is None for one in ranges):
        return Range(value)
    lows, highs = (one.low or 0 for one in ranges), (one.high or 0 for one in ranges)
    return Range(value, sum(lows), sum(highs))


def student(degrees: int) -> float:
    """The 97.5 % point of Student's t distribution, never too small.

    Example:
        >>> student(4), student(12), student(1000)
        (2.776, 2.228, 2.0)
    """
    return next(point for known, point in reversed(_STUDENT) if known <= degrees)


def total_of(seen: float, per_row: Sequence[float] | None, rows: int, whole: int) -> Range:
    """The total of `whole` rows, of which `rows` were seen.

    Args:
        seen: the total of the rows seen.
        per_row: what each of them took, zeros included; None where that isn't known.
        rows: how many were seen, at least one.
        whole: how many there are.

    Example:
        >>> total_of(30, [10, 20], rows=2, whole=2)
        Range(value=30.0, low=30, high=30)
        >>> total_of(30, [10, 20], rows=2, whole=100)
        Range(value=1500.0, low=30, high=7789.14...)
    """
    value = seen * whole / rows
    if whole <= rows:
        return Range(value, seen, seen)
    if per_row is None or len(per_row) < 2:
        return Range(value)
    # What was counted beside the rows' own numbers (attempts that failed) is spread like these.
    scale = seen / sum(per_row) if sum(per_row) else 1.0
    error = statistics.stdev(per_row) * scale / math.sqrt(rows) * math.sqrt(1 - rows / whole)
    margin = student(rows - 1) * error * whole
    return Range(value, max(seen, value - margin), value + margin)


__all__ = ["Range", "added", "student", "total_of"]
