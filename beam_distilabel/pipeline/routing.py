"""Routing: which of a Step's successors each row goes to."""

from __future__ import annotations

import contextlib
import functools
import random
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, overload

import numpy as np

from beam_distilabel.errors import DistilabelError, DistilabelUserError
from beam_distilabel.failures import message_of
from beam_distilabel.problems import closest
from beam_distilabel.row import Row

RoutingBatchFunc = Callable[[list[str]], list[str]]

_seeding = threading.Lock()


TRIES = 8
"""How often a routing function is asked before a run, with different random numbers."""


class WrongRoute(DistilabelError):
    """A router's answer is none of the connected Steps."""


class Router:
    """Chooses, for each row, which of a Step's successors it goes to.

    Attributes:
        description: for people.
        factory: (module, name, keyword arguments) of what makes it anew, where something does.
        columns: the columns of the row that it looks at; None where that can't be known.
        targets: the Steps, or their names, that it sends rows to, where it names them itself.
        draws: whether its choice may be random, so that it needs a seed.
    """

    columns: frozenset[str] | None = frozenset()
    targets: Sequence[Any] = ()
    draws: bool = True

    def __init__(
        self,
        description: str | None = None,
        factory: tuple[str, str, dict[str, Any]] | None = None,
    ) -> None:
        self.description = description
        self.factory = factory
        self._upstream: Any = None

    @property
    def name(self) -> str:
        """What messages call it."""
        raise NotImplementedError

    def choose(self, row: Row, steps: list[str], seed: int) -> list[str]:
        """The Steps that `row` goes to, in the order of `steps`, at least one.

        Args:
            row: the row.
            steps: the names of the connected Steps.
            seed: of what is random about the choice.

        Raises:
            DistilabelError: there is none.
        """
        raise NotImplementedError

    def check_targets(self, steps: list[str]) -> None:
        """Raise a DistilabelUserError where it can't be followed by these Steps."""

    def check(self, steps: list[str]) -> None:
        """Raise a DistilabelUserError where it can be known before a run that it won't work."""

    def follow(self, step: Any) -> None:
        """`step >> router`."""
        self._upstream = step

    def __rshift__(self, steps: Any) -> Any:
        """`step >> router >> [a, b]`."""
        if self._upstream is None:
            raise DistilabelUserError(
                f"the router {self.name!r} has no Step before it; write `step >> router >> [a, b]`."
            )
        if not isinstance(steps, list):
            raise DistilabelUserError(
                f"the router {self.name!r} has to be followed by a list of Steps, got "
                f"{type(steps).__name__}; write `step >> router >> [a, b]`."
            )
        self._upstream.connect(*steps, routing_batch_function=self)
        self._upstream = None
        return StepList(steps)

    def __rrshift__(self, steps: Any) -> Any:
        raise DistilabelUserError(
            f"the router {self.name!r} can't follow {steps!r}; it follows one Step: "
            "`step >> router >> [a, b]`."
        )


class StepList(list[Any]):
    """The Steps that were just connected; `>> step` makes them meet there."""

    def __rshift__(self, other: Any) -> Any:
        if isinstance(other, list):
            raise DistilabelUserError(
                "a list of Steps can't be connected to a list, since that may mean two things: "
                "write `[a, b] >> c` and `[a, b] >> d` where each of them gets the rows of all, "
                "`a >> c` and `b >> d` where they go on in pairs. A `Route(..., to=...)` is "
                "followed by no list: it names its Steps."
            )
        return NotImplemented


class RoutingBatchFunction(Router):
    """Chooses, for each row, the Steps that it goes to, by their names.

    Args:
        routing_function: receives the names of the connected Steps and returns those to use. What
            it draws from `random` or `numpy.random` depends on what the Tasks below are asked about
            the row (on all its columns, where there are none): a retry repeats itself, and neither
            the order of the rows nor their other columns matter. Before a run it is called a few
            times, to see whether it knows the Steps.
        description: for people.
        factory: (module, name, keyword arguments) of the function that made it, where one did.
    """

    def __init__(
        self,
        routing_function: RoutingBatchFunc,
        description: str | None = None,
        factory: tuple[str, str, dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(description, factory)
        self.routing_function = routing_function

    def choose(self, row: Row, steps: list[str], seed: int) -> list[str]:
        return self.route(steps, seed)

    def route(self, steps: list[str], seed: int) -> list[str]:
        """The Steps that one row goes to, in the order of `steps`.

        Raises:
            WrongRoute: the function returned something that isn't connected, or nothing.
        """
        with seeded(seed):
            answer = self.routing_function(list(steps))
            chosen = list(answer) if _is_several(answer) else None
        if chosen is None:
            raise WrongRoute(
                f"the routing function {self.name!r} returned {answer!r}; it has to return a list "
                f"of the names of Steps, some of {steps}."
            )
        unknown = [name for name in chosen if name not in steps]
        if unknown:
            raise WrongRoute(
                f"the routing function {self.name!r} returned {unknown[0]!r}, which is none of the "
                f"connected Steps {steps}.{closest(str(unknown[0]), steps)}"
            )
        if not chosen:
            raise WrongRoute(
                f"the routing function {self.name!r} returned no Step for a row, which would lose "
                f"it; return at least one of {steps}."
            )
        return [name for name in steps if name in chosen]

    def check(self, steps: list[str]) -> None:
        # It sees no row, so a wrong answer now is one that rows would get. Where it raises, that
        # may be by chance, and costs the rows that meet it; unless it raises every time.
        raised: list[Exception] = []
        for seed in range(TRIES):
            try:
                self.route(steps, seed)
            except WrongRoute as error:
                raise DistilabelUserError(str(error)) from None
            except Exception as error:
                raised.append(error)
        if len(raised) == TRIES:
            raise DistilabelUserError(
                f"the routing function {self.name!r} raised {message_of(raised[0])} each time it "
                f"was tried with the Steps {steps}."
            ) from raised[0]

    @property
    def name(self) -> str:
        if self.factory is not None:
            return self.factory[1]
        return getattr(self.routing_function, "__name__", type(self.routing_function).__name__)

    def __call__(self, steps: list[str]) -> list[str]:
        """The plain function."""
        return list(self.routing_function(steps))


def _is_several(answer: Any) -> bool:
    return isinstance(answer, Iterable) and not isinstance(answer, (str, bytes, dict))


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """`random` and `numpy.random` begin at `seed`; afterwards they are as they were."""
    with _seeding:
        state, array_state = random.getstate(), np.random.get_state()
        random.seed(seed)
        np.random.seed(seed)
        try:
            yield
        finally:
            random.setstate(state)
            np.random.set_state(array_state)


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
        DistilabelUserError: `n` is no whole number above 0.

    Example:
        >>> len(sample_n_steps(2)(["a", "b", "c"]))
        2
    """
    if not isinstance(n, int) or isinstance(n, bool) or n < 1:
        raise DistilabelUserError(f"sample_n_steps: n={n!r} has to be a whole number, at least 1.")
    return RoutingBatchFunction(
        functools.partial(_sample, n=n),
        f"Sends each row to {n} of the Steps, drawn at random.",
        (__name__, "sample_n_steps", {"n": n}),
    )


def _sample(steps: list[str], n: int) -> list[str]:
    if n > len(steps):
        raise WrongRoute(
            f"sample_n_steps: n={n}, but only {len(steps)} Steps are connected: {steps}."
        )
    return random.sample(steps, n)
