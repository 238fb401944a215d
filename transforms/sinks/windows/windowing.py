"""Which windows can be written, and what they are called."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timezone
from typing import Any

from apache_beam.coders.coders import IntervalWindowCoder
from apache_beam.transforms.core import Windowing
from apache_beam.transforms.trigger import (
    AccumulationMode,
    AfterCount,
    AfterWatermark,
    DefaultTrigger,
)
from apache_beam.transforms.window import GlobalWindows, SlidingWindows
from apache_beam.utils.timestamp import Timestamp

from beam_distilabel.errors import DistilabelUserError

_HOW = "`rows | beam.WindowInto(FixedWindows(3600), allowed_lateness=86400)`"


def check_windowing(subsets: Mapping[str, Any]) -> Windowing:
    """The windowing of all subsets' rows, if they can be written window by window.

    Raises:
        DistilabelUserError: they can't; says what to do.
    """
    found: Windowing | None = None
    for name, rows in subsets.items():
        windowing = rows.windowing
        fn = windowing.windowfn
        who = f"WriteDistiset: the rows of subset {name!r}"
        if isinstance(fn, GlobalWindows):
            raise DistilabelUserError(
                f"{who} are unbounded and in one window that never ends, so there would never be "
                f"a result. Window them first, {_HOW}, as in `rows | beam.WindowInto(...) | "
                "pipeline | WriteDistiset(...)`: each window becomes files, and a commit."
            )
        if fn.is_merging() or not isinstance(fn.get_window_coder(), IntervalWindowCoder):
            raise DistilabelUserError(
                f"{who} are windowed by {type(fn).__name__}, whose windows have no bounds of their "
                f"own to be named by. Take windows of a fixed size, {_HOW}."
            )
        if isinstance(fn, SlidingWindows) and fn.period != fn.size:
            raise DistilabelUserError(
                f"{who} are in overlapping windows, and each row would be written once for each "
                f"of them. Take windows that don't overlap, {_HOW}."
            )
        if windowing.accumulation_mode == AccumulationMode.ACCUMULATING:
            raise DistilabelUserError(
                f"{who} are windowed with accumulation_mode=ACCUMULATING, which gives each row "
                "again whenever others come late. Take AccumulationMode.DISCARDING."
            )
        if found is not None and not _alike(windowing, found):
            raise DistilabelUserError(
                f"{who} are windowed by {fn}, and those of another subset by {found.windowfn}; all "
                "subsets of a window are published together, so window them alike."
            )
        found = found or windowing
    assert found is not None
    return found


def _alike(one: Windowing, other: Windowing) -> bool:
    return bool(one.windowfn == other.windowfn and one.allowed_lateness == other.allowed_lateness)


def late_trigger(windowing: Windowing) -> Any:
    """When a window is written: by the trigger that was chosen, else at its end and for late rows.

    Beam's default trigger says nothing of late rows that every runner would keep.
    """
    if isinstance(windowing.triggerfn, DefaultTrigger):
        return AfterWatermark(late=AfterCount(1))
    return windowing.triggerfn


def window_name(window: Any) -> str:
    """What a window is called in names of files and in commits: its bounds in UTC.

    Example:
        >>> from apache_beam.transforms.window import IntervalWindow
        >>> window_name(IntervalWindow(0, 3600))
        '19700101T000000Z_19700101T010000Z'
    """
    return f"{_time(window.start)}_{_time(window.end)}"


def _time(timestamp: Any) -> str:
    time = Timestamp.of(timestamp).to_utc_datetime().replace(tzinfo=timezone.utc)
    fraction = f".{time.microsecond:06d}" if time.microsecond else ""
    return f"{time:%Y%m%dT%H%M%S}{fraction}Z"
