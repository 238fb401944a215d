"""Routing: a function chooses which of a Step's successors each row goes to."""

from __future__ import annotations

import functools
import random
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, overload

import apache_beam as beam
import numpy as np
from apache_beam.pvalue import TaggedOutput

from beam_distilabel.errors import DistilabelError, DistilabelUserError, RowError
from beam_distilabel.failures import Failure, message_of
from beam_distilabel.metadata import METADATA
from beam_distilabel.progress import step_progress
from beam_distilabel.row import DRAW, ROW_ID, Row, compared, content, fork_id, seed_from

RoutingBatchFunc = Callable[[list[str]], list[str]]

_seeding = threading.Lock()


class RoutingBatchFunction:
    """Chooses, for each row, the Steps that it goes to.

    Args:
        routing_function: receives the names of the connected Steps and returns those to use. What
            it draws from `random` or `numpy.random` depends on what the Tasks below are asked about
            the row (on all its columns, where there are none): a retry repeats itself, and neither
            the order of the rows nor their other columns matter.
        description: for people.
        factory: (module, name, keyword arguments) of the function that made it, where one did.
    """

    def __init__(
        self,
        routing_function: RoutingBatchFunc,
        description: str | None = None,
        factory: tuple[str, str, dict[str, Any]] | None = None,
    ) -> None:
        self.routing_function = routing_function
        self.description = description
        self.factory = factory
        self._upstream: Any = None

    def route(self, steps: list[str], seed: int) -> list[str]:
        """The Steps that one row goes to, in the order of `steps`.

        Raises:
            DistilabelError: the function returned something that isn't connected, or nothing.
        """
        with _seeding:
            state, array_state = random.getstate(), np.random.get_state()
            random.seed(seed)
            np.random.seed(seed)
            try:
                chosen = list(self.routing_function(list(steps)))
            finally:
                random.setstate(state)
                np.random.set_state(array_state)
        unknown = [name for name in chosen if name not in steps]
        if unknown:
            raise DistilabelError(
                f"the routing function {self.name!r} returned {unknown[0]!r}, which is none of the "
                f"connected Steps {steps}."
            )
        if not chosen:
            raise DistilabelError(
                f"the routing function {self.name!r} returned no Step for a row, which would lose "
                f"it; return at least one of {steps}."
            )
        return [name for name in steps if name in chosen]

    @property
    def name(self) -> str:
        return getattr(self.routing_function, "__name__", type(self.routing_function).__name__)

    def __call__(self, steps: list[str]) -> list[str]:
        """The plain function."""
        return list(self.routing_function(steps))

    def __rshift__(self, steps: Any) -> Any:
        """`step >> router >> [a, b]`."""
        if self._upstream is None:
            raise DistilabelUserError(
                f"the routing function {self.name!r} has no Step before it; write "
                "`step >> router >> [a, b]`."
            )
        if not isinstance(steps, list):
            raise DistilabelUserError(
                f"the routing function {self.name!r} has to be followed by a list of Steps, got "
                f"{type(steps).__name__}; write `step >> router >> [a, b]`."
            )
        upstream, self._upstream = self._upstream, None
        upstream.connect(*steps, routing_batch_function=self)
        return steps


@overload
def routing_batch_function(description: RoutingBatchFunc) -> RoutingBatchFunction: ...
@overload
def routing_batch_function(
    description: str | None = None,
) -> Callable[[RoutingBatchFunc], RoutingBatchFunction]: ...
def routing_batch_function(
    description: str | RoutingBatchFunc | None = None,
) -> RoutingBatchFunction | Callable[[RoutingBatchFunc], RoutingBatchFunction]:
    """Make a routing function of a function; with or without parentheses.

    Example:
        >>> @routing_batch_function
        ... def first(steps): return steps[:1]
        >>> first(["a", "b"])
        ['a']
    """
    if callable(description):
        return RoutingBatchFunction(description)

    def decorate(function: RoutingBatchFunc) -> RoutingBatchFunction:
        return RoutingBatchFunction(function, description)

    return decorate


def sample_n_steps(n: int) -> RoutingBatchFunction:
    """A router that sends each row to `n` of the Steps, drawn at random.

    Raises:
        DistilabelUserError: `n` is less than 1.

    Example:
        >>> len(sample_n_steps(2)(["a", "b", "c"]))
        2
    """
    if n < 1:
        raise DistilabelUserError(f"sample_n_steps: n={n}, it has to be at least 1.")
    return RoutingBatchFunction(
        functools.partial(_sample, n=n),
        f"Sends each row to {n} of the Steps, drawn at random.",
        (__name__, "sample_n_steps", {"n": n}),
    )


def _sample(steps: list[str], n: int) -> list[str]:
    return random.sample(steps, min(n, len(steps)))


class MarkFork(beam.DoFn):
    """Appends a fork mark to every row's id."""

    def process(self, row: Row) -> Iterator[Row]:
        yield {**row, ROW_ID: fork_id(row[ROW_ID])}


ROUTING_FAILURES = "routing failures"
"""The output of rows that could not be routed; no Step can have this name."""


class RouteRows(beam.DoFn):
    """Sends each row to the outputs of the Steps that the router chose.

    A row for which the function raises, or returns something else than connected Steps, goes
    nowhere but to the failures.

    Args:
        router: the routing function.
        step: the Step that the rows come from.
        successors: the Steps that it is connected to.
        mark: whether ids get a fork mark with the choice.
        seed: the run's seed.
        columns: those by which rows are told apart, besides `DRAW`; None for all.
    """

    def __init__(
        self,
        router: RoutingBatchFunction,
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
            chosen = self._router.route(self._successors, self._seed_of(row))
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
