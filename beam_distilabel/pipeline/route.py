"""Route: a column of the row, or a function of it, says which Steps the row goes to."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from beam_distilabel.errors import DistilabelError, DistilabelUserError
from beam_distilabel.pipeline.routing import Router, seeded
from beam_distilabel.problems import closest
from beam_distilabel.row import Row, content, copied
from beam_distilabel.step import _Step

_SHOWN = 80
"""How many characters of a row's value a message has."""


class Route(Router):
    """Sends each row to the Steps that are named for its value.

    The value is that of a column, or what a function makes of the row. A list of values sends the
    row to the Steps of each. The choice depends on nothing but the row.

    A row whose value no Step is named for goes to `default`; without one it is a
    `Failure(kind="user_code")`, and goes nowhere else.

    Args:
        by: a column, or a function that is given the row and returns the value. What the function
            draws from `random` or `numpy.random` is the same whenever it sees the row again.
        to: value (a text, a number, True, False or None) to the Step that rows with it go to, or
            to a list of Steps; Steps may be given by their names. It needs no list of Steps after
            it. If it is None, the values are the names of the Steps that follow:
            `load >> Route("language") >> [english, german]`.
        default: the Step, or the list of Steps, for rows with any other value.
        description: for people.

    Raises:
        DistilabelUserError: `by` is neither, a value can't be compared, or no Step is named for it.

    Example:
        >>> from beam_distilabel.pipeline import Pipeline
        >>> from beam_distilabel.steps import KeepColumns, LoadDataFromDicts
        >>> with Pipeline(name="doc-route") as pipeline:
        ...     load = LoadDataFromDicts(data=[{"n": 1, "kind": "a"}, {"n": 2, "kind": "?"}])
        ...     first = KeepColumns(name="first", columns=["n"])
        ...     rest = KeepColumns(name="rest", columns=["n", "kind"])
        ...     _ = load >> Route("kind", to={"a": first}, default=rest)
        >>> import tempfile
        >>> distiset = pipeline.run(output_dir=tempfile.mkdtemp(), logging_handlers=[])
        >>> distiset["first"]["train"].to_list(), distiset["rest"]["train"].to_list()
        ([{'n': 1}], [{'n': 2, 'kind': '?'}])
    """

    def __init__(
        self,
        by: str | Callable[[Row], Any],
        to: Mapping[Any, Any] | Sequence[Sequence[Any]] | None = None,
        default: Any = None,
        description: str | None = None,
    ) -> None:
        if isinstance(by, _Step):
            raise DistilabelUserError(
                f"Route: by={by.name!r} is a Step; `by` is a column or a function of the row, the "
                "Steps go into `to`."
            )
        if not (callable(by) or isinstance(by, str) and by):
            raise DistilabelUserError(
                f"Route: by={by!r} has to be the name of a column, or a function of the row."
            )
        if not isinstance(description, (str, type(None))):
            raise DistilabelUserError(f"Route: description={description!r} has to be a text.")
        self._by = by
        named: list[Any] = []
        self._routes = None if to is None else _routes(to, named)
        self._default = [] if default is None else _names("default", default, named)
        arguments = {
            "by": by,
            "to": None
            if self._routes is None
            else [[value, list(names)] for value, names in self._routes.values()],
            "default": self._default or None,
            "description": description,
        }
        super().__init__(
            description or f"Sends each row to the Steps for {self._described()}.",
            None if callable(by) else (__name__, "Route", arguments),
        )
        self.columns = None if callable(by) else frozenset((by,))
        self.draws = callable(by)
        # With `to` missing, the Steps are those that follow.
        self.targets = [] if to is None else named

    def __getstate__(self) -> dict[str, Any]:
        # Workers need the names of the Steps, not the Steps.
        return {**self.__dict__, "targets": [], "_upstream": None}

    @property
    def name(self) -> str:
        if isinstance(self._by, str):
            return f"Route({self._by})"
        return getattr(self._by, "__name__", type(self._by).__name__)

    def _described(self) -> str:
        if isinstance(self._by, str):
            return f"its value in the column {self._by!r}"
        return f"what {self.name!r} returns"

    # -- before a run ----------------------------------------------------------------------------

    def check_targets(self, steps: list[str]) -> None:
        reached = dict.fromkeys(self._default)
        for _, names in (self._routes or {}).values():
            reached.update(dict.fromkeys(names))
        unknown = [name for name in reached if name not in steps]
        if unknown:
            raise DistilabelUserError(
                f"{self.name} sends rows to {unknown[0]!r}, which isn't connected to it."
                f"{closest(unknown[0], steps)} Connected are: {', '.join(map(repr, steps))}."
            )
        idle = [name for name in steps if name not in reached]
        if self._routes is not None and idle:
            raise DistilabelUserError(
                f"{self.name} never sends a row to {idle[0]!r}, which is connected to it; name it "
                "in `to` or as `default`, or leave it out."
            )

    # -- for a row -------------------------------------------------------------------------------

    def choose(self, row: Row, steps: list[str], seed: int) -> list[str]:
        value = self._value_of(row, seed)
        chosen: set[str] = set()
        for one in value if isinstance(value, (list, tuple, set, frozenset)) else [value]:
            names = self._names_for(one, steps)
            if not names:
                raise DistilabelError(
                    f"{self.name}: no Step is named for {_shown(one)}, which is "
                    f"{self._described()}; name one in `to`, or give a `default`."
                )
            chosen.update(names)
        if not chosen:
            chosen.update(self._default)
        if not chosen:
            raise DistilabelError(
                f"{self.name}: {self._described()} is an empty list, so no Step gets the row; give "
                "a `default`."
            )
        return [name for name in steps if name in chosen]

    def _value_of(self, row: Row, seed: int) -> Any:
        if isinstance(self._by, str):
            return row.get(self._by)
        with seeded(seed):
            return self._by(copied(content(row)))

    def _names_for(self, value: Any, steps: list[str]) -> Iterable[str]:
        if self._routes is None:
            return [value] if isinstance(value, str) and value in steps else self._default
        key = _key(value)
        if key is None or key not in self._routes:
            return self._default
        return self._routes[key][1]


_Routes = dict[tuple[str, Any], tuple[Any, list[str]]]
"""By what a value is compared: the value as it was given, and the names of its Steps."""


def _key(value: Any) -> tuple[str, Any] | None:
    """By what a value is compared with others; None where it can't be. 1 is 1.0, but not True."""
    if value is None:
        return ("none", None)
    if isinstance(value, bool):
        return ("bool", value)
    if isinstance(value, (int, float)):
        return None if isinstance(value, float) and math.isnan(value) else ("number", value)
    return ("text", value) if isinstance(value, str) else None


def _routes(to: Any, named: list[Any]) -> _Routes:
    pairs = list(to.items()) if isinstance(to, Mapping) else to
    if not isinstance(pairs, (list, tuple)) or not pairs:
        raise DistilabelUserError(
            f'Route: to={to!r} has to be a dict of values and Steps, {{"math": solver}}.'
        )
    routes: _Routes = {}
    for pair in pairs:
        if not isinstance(pair, (list, tuple)) or len(pair) != 2:
            raise DistilabelUserError(f"Route: to has {pair!r}; expected a value and its Steps.")
        value, steps = pair
        key = _key(value)
        if key is None:
            raise DistilabelUserError(
                f"Route: to has the value {value!r}, which no row can be compared with; values are "
                "texts, numbers, True, False and None."
            )
        if key in routes:
            raise DistilabelUserError(f"Route: to has the value {value!r} twice.")
        routes[key] = (value, _names(f"to[{value!r}]", steps, named))
    return routes


def _names(field: str, steps: Any, named: list[Any]) -> list[str]:
    """The names of `steps`; those that aren't in `named` yet are added to it."""
    names: list[str] = []
    for step in steps if isinstance(steps, (list, tuple)) else [steps]:
        name = step.unique_name if isinstance(step, _Step) else step
        if not isinstance(name, str) or not name:
            raise DistilabelUserError(
                f"Route: {field} has {step!r}; expected a Step, the name of one, or a list of them."
            )
        if name not in names:
            names.append(name)
        same = [i for i, other in enumerate(named) if _name(other) == name]
        if not same:
            named.append(step)
        elif isinstance(step, _Step):
            named[same[0]] = step
    if not names:
        raise DistilabelUserError(f"Route: {field} names no Step.")
    return names


def _name(step: Any) -> Any:
    return step.unique_name if isinstance(step, _Step) else step


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
