"""Sending rows to the Steps that a router chooses, and marking where branches part."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput

from beam_distilabel.errors import DistilabelError, RowError
from beam_distilabel.failures import Failure, message_of
from beam_distilabel.metadata import METADATA
from beam_distilabel.pipeline.routing import Router
from beam_distilabel.progress import step_progress
from beam_distilabel.row import DRAW, ROW_ID, Row, compared, content, fork_id, seed_from


class MarkFork(beam.DoFn):
    """Appends a fork mark to every row's id."""

    def process(self, row: Row) -> Iterator[Row]:
        yield {**row, ROW_ID: fork_id(row[ROW_ID])}


ROUTING_FAILURES = "routing failures"
"""The output of rows that could not be routed; no Step can have this name."""


class RouteRows(beam.DoFn):
    """Sends each row to the outputs of the Steps that the router chose.

    A row for which the router raises, or chooses something else than connected Steps, goes nowhere
    but to the failures.

    Args:
        router: chooses among them.
        step: the Step that the rows come from.
        successors: the Steps that it is connected to.
        mark: whether ids get a fork mark with the choice.
        seed: the run's seed.
        columns: those by which rows are told apart, besides `DRAW`; None for all.
    """

    def __init__(
        self,
        router: Router,
        step: Any,
        successors: list[str],
        mark: bool,
        seed: int,
        columns: Iterable[str] | None = None,
    ) -> None:
        self._router = router
        self._step = step.name
        self._described = step._described()
        self._raises = step.on_failure == "raise"
        self._run_dir = step._context.run_dir
        self._successors = successors
        self._mark = mark
        self._seed = seed
        self._columns = None if columns is None else sorted(columns)

    def setup(self) -> None:
        self._progress = step_progress(self._run_dir, routing_of(self._step))

    def finish_bundle(self) -> None:
        self._progress.end_bundle()

    def process(self, row: Row) -> Iterator[TaggedOutput]:
        try:
            seed = self._seed_of(row) if self._router.draws else 0
            chosen = self._router.choose(row, self._successors, seed)
        except Exception as error:
            yield self._failed(row, error)
            return
        self._progress.rows_passed += 1
        if self._mark:
            mask = sum(1 << i for i, name in enumerate(self._successors) if name in chosen)
            row = {**row, ROW_ID: fork_id(row[ROW_ID], mask)}
        for name in chosen:
            yield TaggedOutput(name, row)

    def _seed_of(self, row: Row) -> int:
        # By what models are asked about, not by position: where rows are inserted or put in another
        # order, or get another column, each goes where it went, and its answers are found again.
        if self._columns is None:
            told: Any = {name: value for name, value in content(row).items() if name != METADATA}
        else:
            told = compared(row, self._columns)
        return seed_from(self._seed, told, row.get(DRAW, 0), self._step)

    def _failed(self, row: Row, error: Exception) -> TaggedOutput:
        message = message_of(error)
        if not isinstance(error, DistilabelError):
            message = f"the routing function {self._router.name!r} raised {message}"
        if self._raises:
            raise RowError(
                f"{self._described}: a row could not be routed: {message} With "
                "on_failure='null' or 'drop' the run goes on."
            )
        failure = Failure(self._step, "user_code", message, row)
        self._progress.failed(failure.kind, message)
        self._progress.rows_failed += 1
        return TaggedOutput(ROUTING_FAILURES, failure)


def routing_of(step: str) -> str:
    """What the routing after a Step is called among the counts of a run."""
    return f"{step}: routing"
