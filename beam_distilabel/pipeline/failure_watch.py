"""Stopping a run that goes wrong, and refusing the result of one that went wrong."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.pipeline.route_rows import routing_of
from beam_distilabel.progress import read_progress
from beam_distilabel.reasons import most_frequent

MIN_FAILURE_SAMPLE = 100
"""How many rows a Step has to have done before the share of those that failed says something."""

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class FailureLimit:
    """How many rows of a Step may fail.

    Attributes:
        max_ratio: the largest share of its rows, above 0 and up to 1; None for any.
        min_sample: how many rows it has to have done before that counts, at least 1.

    Raises:
        DistilabelUserError: a value is out of its range.
    """

    max_ratio: float | None = None
    min_sample: int = MIN_FAILURE_SAMPLE

    def __post_init__(self) -> None:
        ratio = self.max_ratio
        is_number = isinstance(ratio, (int, float)) and not isinstance(ratio, bool)
        if ratio is not None and not (is_number and 0 < ratio <= 1):
            raise DistilabelUserError(
                f"max_failure_ratio={self.max_ratio!r}: it is the share of a Step's rows that may "
                "fail, above 0 and up to 1; None allows any."
            )
        is_count = isinstance(self.min_sample, int) and not isinstance(self.min_sample, bool)
        if not is_count or self.min_sample < 1:
            raise DistilabelUserError(
                f"min_failure_sample={self.min_sample!r}: it is a number of rows, at least 1."
            )


def too_many_failed(
    counts: Mapping[str, Any], steps: Iterable[str], limit: FailureLimit
) -> str | None:
    """Why a run goes wrong; None where it doesn't.

    Args:
        counts: of the run so far, as `read_progress` gives them.
        steps: their names, predecessors first: what went wrong first is told.
        limit: how many may fail.

    Example:
        >>> counts = {"ask": {"rows_passed": 1, "rows_failed": 3, "reasons": {}}}
        >>> too_many_failed(counts, ["ask"], FailureLimit(0.5, min_sample=4))
        "75% of the rows of Step 'ask' failed: 3 of 4; max_failure_ratio is 0.5."
    """
    if limit.max_ratio is None:
        return None
    for what, own in _in_order(counts, steps):
        failed, done = own["rows_failed"], own["rows_failed"] + own["rows_passed"]
        if done < limit.min_sample or failed <= limit.max_ratio * done:
            continue
        share = f"{100 * failed / done:.3g}%"
        return (
            f"{share} of the rows of {what} failed: {failed:,} of {done:,}; max_failure_ratio is "
            f"{limit.max_ratio:g}.{_reason(own)}"
        )
    return None


def all_failed(counts: Mapping[str, Any], steps: Iterable[str]) -> str | None:
    """Why a run that has ended has no result: in a Step rows failed, and none got through.

    Args:
        counts: of the whole run, as `read_progress` gives them.
        steps: their names, predecessors first.

    Example:
        >>> counts = {"ask": {"rows_passed": 0, "rows_failed": 3, "reasons": {}}}
        >>> all_failed(counts, ["ask"])
        "All 3 rows of Step 'ask' failed."
    """
    for what, own in _in_order(counts, steps):
        failed = own["rows_failed"]
        if failed and not own["rows_passed"]:
            whole = f"All {failed:,} rows" if failed > 1 else "The only row"
            return f"{whole} of {what} failed.{_reason(own)}"
    return None


def _in_order(counts: Mapping[str, Any], steps: Iterable[str]) -> Iterable[tuple[str, Any]]:
    for step in steps:
        if step in counts:
            yield f"Step {step!r}", counts[step]
        if routing_of(step) in counts:
            yield f"the routing after Step {step!r}", counts[routing_of(step)]


def _reason(counts: Mapping[str, Any]) -> str:
    reason = most_frequent(counts.get("reasons", {}))
    return "" if reason is None else f" Most frequent reason: {reason.rstrip('.')}."


class FailureWatch:
    """Looks at what the workers of a run tell, and stops it where too many rows fail.

    Args:
        run_dir: the run directory.
        steps: the Steps' names, predecessors first.
        limit: how many rows may fail.
        stop: what stops the run; called once at most.

    Attributes:
        verdict: why the run was stopped; None while it isn't.
    """

    def __init__(
        self, run_dir: str, steps: Iterable[str], limit: FailureLimit, stop: Callable[[], None]
    ) -> None:
        self._run_dir = run_dir
        self._steps = list(steps)
        self._limit = limit
        self._stop = stop
        self.verdict: str | None = None

    def look(self) -> None:
        """Look at the counts now."""
        if self.verdict is not None or self._limit.max_ratio is None:
            return
        try:
            counts = read_progress(self._run_dir)
        except (OSError, ValueError) as error:  # the next look may have it
            logger.debug("The counts of the run can't be read: %s", error)
            return
        self.verdict = too_many_failed(counts, self._steps, self._limit)
        if self.verdict is not None:
            logger.error("%s The run is stopped.", self.verdict)
            self._stop()


__all__ = [
    "MIN_FAILURE_SAMPLE",
    "FailureLimit",
    "FailureWatch",
    "all_failed",
    "too_many_failed",
]
