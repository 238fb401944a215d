"""The in-memory runner's limit: what a run may hold in this process, looked at before and during.

Beam's in-memory runner keeps what goes through a shuffle in this process, encoded, then grouped,
then decoded. Without a join and without a global Step a run shuffles no rows: it holds those under
way. Measured (rows of two texts of 60 words and two numbers, Beam 2.77, resident memory at its
peak less that after a first run, by the bytes of the source's files):

| pipeline | JSON lines | Parquet, zstd |
|---|---|---|
| load, a Step; 160,000 rows | 0.8, and no more for more rows | 2.5, likewise |
| load, a global Step; 60,000 rows | 9.8 | |
| load, two branches that meet; 60,000 rows | 13.1 | 41.3 |

`LEAST_FACTOR` is half of the least of those that grow with the rows.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.models.host_memory import available_memory, memory_text, resident_memory
from beam_distilabel.pipeline.graph import Graph
from beam_distilabel.runners import RunnerSettings
from beam_distilabel.runners.direct import DirectSettings

AVAILABLE_SHARE = 0.8
"""Of the memory that is available at the start, how much a run may take."""

WARNING_SHARE = 0.75
"""Of what a run may take, how much it has when it is said."""

LEAST_FACTOR = 5
"""Bytes of memory per byte of the sources that a run takes at least, if it shuffles rows."""

LIKELY_FACTOR = 12
"""Those that it is likely to take."""

WAY_OUT = (
    "Run it with runner='flink' (Flink in a process of its own, which keeps on disk what doesn't "
    "fit), on a cluster, or with fewer rows."
)

logger = logging.getLogger(__name__)


def memory_limit(runner: RunnerSettings) -> int | None:
    """The bytes of memory that this process may have during a run.

    Args:
        runner: of the run.

    Returns:
        None where nothing limits it: rows aren't held here, or the system tells nothing.

    Raises:
        DistilabelUserError: the limit that the user gave is reached already.
    """
    if not runner.local:
        return None
    resident, available = resident_memory(), available_memory()
    given = runner.max_memory if isinstance(runner, DirectSettings) else None
    if given is not None:
        if resident is not None and resident >= given:
            raise DistilabelUserError(
                f"max_memory={int(given)} ({memory_text(given)}) of the runner 'direct': this "
                f"process has {memory_text(resident)} before the run begins; give it more, "
                "or leave it out."
            )
        return given
    if resident is None or available is None:
        return None
    return resident + int(AVAILABLE_SHARE * available)


def shuffles_rows(graph: Graph) -> bool:
    """Whether a run has to have all rows of a Step at once: for a join, or a global Step."""
    return any(
        step.is_global or len(graph.predecessors(name)) > 1 for name, step in graph.steps.items()
    )


def check_sources(source_bytes: int | None, limit: int | None) -> None:
    """Refuse a run whose sources alone don't fit into this process, and warn where it is near.

    Of a run that shuffles rows.

    Args:
        source_bytes: what the loaders read, as it is on disk; None if that isn't known.
        limit: see `memory_limit`.

    Raises:
        DistilabelUserError: they don't fit, whatever the Steps do.
    """
    resident = resident_memory()
    if source_bytes is None or limit is None or resident is None:
        return
    room = limit - resident
    least = int(LEAST_FACTOR * source_bytes)
    likely = int(LIKELY_FACTOR * source_bytes)
    if likely <= room:
        return
    said = (
        f"The sources have {memory_text(source_bytes)}, and the in-memory runner, which holds all "
        "rows that are joined, or go to a global Step, in this process, has "
        f"{memory_text(max(0, room))} for them"
    )
    if least <= room:
        logger.warning(
            "%s: they are likely to take about %s. When they don't fit, the run is stopped, and "
            "what is finished is kept. %s",
            said,
            memory_text(likely),
            WAY_OUT,
        )
        return
    raise DistilabelUserError(
        f"{said}: they take at least {memory_text(least)}. {WAY_OUT} If this is wrong: "
        "runner=DirectSettings(max_memory=...)."
    )


class MemoryWatch:
    """Looks at this process' memory during a run, and stops it before the system does.

    Args:
        limit: see `memory_limit`.
        stop: what stops the run; called once at most.
        resident: tells the bytes that the process has; the system if None.

    Attributes:
        verdict: why the run was stopped; None while it isn't.
    """

    def __init__(
        self,
        limit: int | None,
        stop: Callable[[], None],
        resident: Callable[[], int | None] | None = None,
    ) -> None:
        self._limit = limit
        self._stop = stop
        self._resident = resident or resident_memory
        began = self._resident()
        self._warn_from = (
            None if limit is None or began is None else began + WARNING_SHARE * (limit - began)
        )
        self.verdict: str | None = None

    def look(self) -> None:
        """Look at the memory now."""
        if self.verdict is not None or self._limit is None:
            return
        resident = self._resident()
        if resident is None:
            return
        if resident >= self._limit:
            self.verdict = (
                f"This process has {memory_text(resident)} of memory; its limit is "
                f"{memory_text(self._limit)} (max_memory of the runner 'direct'), and the "
                f"in-memory runner holds in it what joins and global Steps wait for. {WAY_OUT}"
            )
            logger.error("%s The run is stopped.", self.verdict)
            self._stop()
        elif self._warn_from is not None and resident >= self._warn_from:
            self._warn_from = None
            logger.warning(
                "This process has %s of memory; at %s the run is stopped. %s",
                memory_text(resident),
                memory_text(self._limit),
                WAY_OUT,
            )


__all__ = ["MemoryWatch", "check_sources", "memory_limit", "shuffles_rows"]
