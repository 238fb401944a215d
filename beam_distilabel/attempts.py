"""Asking a Task's row again: which answers are worth it, how often, and putting answers together.

The first attempt is number 0. Each further one has a key, and so a seed, of its own, and is kept
and found again like the first. Pure.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from beam_distilabel.failures import TRANSIENT
from beam_distilabel.typing import GenerateOutput

UNUSABLE = frozenset(("parse", "schema"))
"""Kinds of an answer that another one, with another seed, may be better than."""


@dataclasses.dataclass
class Tries:
    """What was tried for one generation, or for one row whose rollout is repeated as a whole.

    Attributes:
        attempts: how often the model was asked in vain, also in earlier runs.
        rounds: how often the Task has got an answer or an error.
        fresh: how many of these this run has asked the engine for.
        number: of the current attempt.
        ended: whether no further attempt is left.
    """

    attempts: int = 1
    rounds: int = 1
    fresh: int = 0
    number: int = 0
    ended: bool = False

    def count(self, reason: Mapping[str, Any] | None, is_fresh: bool) -> None:
        """Count one more attempt; `reason` says why it was in vain, if it was."""
        self.attempts += reason["attempts"] if reason else 1
        self.rounds += 1
        self.fresh += is_fresh


@dataclasses.dataclass(frozen=True)
class RetryRule:
    """Which failures of a Task are asked again.

    Attributes:
        max_retries: attempts after the first one.
        retries_failures: whether the run is one that asks again what failed before: then there are
            `1 + max_retries` attempts in this run, whatever there was before.
    """

    max_retries: int = 0
    retries_failures: bool = False

    def may_ask(self, reason: Mapping[str, Any], tries: Tries) -> bool:
        """Whether the engine may be asked once more after a failure.

        Args:
            reason: the failure's `kind`, and `attempts`: how often the LLM itself has tried.
            tries: what was tried so far.

        Example:
            >>> rule = RetryRule(max_retries=1)
            >>> rule.may_ask({"kind": "parse", "attempts": 1}, Tries(rounds=1))
            True
            >>> rule.may_ask({"kind": "parse", "attempts": 1}, Tries(rounds=2))
            False
            >>> rule.may_ask({"kind": "too_long", "attempts": 1}, Tries(rounds=1))
            False
        """
        if self.retries_failures and not tries.fresh:
            return True
        if not is_worth_it(reason):
            return False
        done = tries.fresh if self.retries_failures else tries.rounds
        return done < 1 + self.max_retries


def is_worth_it(reason: Mapping[str, Any]) -> bool:
    """Whether a failure may go away: another answer may have the form, an engine may recover.

    A transient failure that the LLM has tried more than once already is not.
    """
    if reason["kind"] in UNUSABLE:
        return True
    return is_transient(reason) and reason["attempts"] <= 1


def is_transient(reason: Mapping[str, Any]) -> bool:
    """Whether a failure says nothing about the row."""
    return reason["kind"] in TRANSIENT


def of_generation(value: Any, index: int, count: int) -> Any:
    """Generation `index`'s part of what an LLM returned; what isn't per generation is for all.

    Example:
        >>> of_generation([3, 4], 1, 2), of_generation([3], 1, 2), of_generation("all", 1, 2)
        (4, 3, 'all')
    """
    if isinstance(value, (list, tuple)):
        if len(value) == count:
            return value[index]
        if len(value) == 1:
            return value[0]
    return value


def generation_of(output: GenerateOutput, index: int) -> GenerateOutput:
    """One generation of an output, as an output of its own."""
    count = len(output["generations"])
    part: dict[str, Any] = {}
    for key, value in output.items():
        if key == "statistics":
            counts = dict(value or {})  # type: ignore[call-overload]
            part[key] = {name: [of_generation(n, index, count)] for name, n in counts.items()}
        elif key in ("failures", "finish_reasons", "reasoning"):
            values: Sequence[Any] = value or ()  # type: ignore[assignment]
            part[key] = [values[index] if index < len(values) else None]
        else:
            part[key] = [of_generation(value, index, count)]
    return part  # type: ignore[return-value]


def put_together(parts: Sequence[GenerateOutput]) -> GenerateOutput:
    """The output of several generations, given one output for each.

    Example:
        >>> put_together([{"generations": ["a"]}, {"generations": [None], "failures": [{}]}])
        {'generations': ['a', None], 'failures': [None, {}]}
    """
    dicts: list[dict[str, Any]] = [dict(part) for part in parts]
    whole: dict[str, Any] = {}
    for key in dict.fromkeys(key for part in dicts for key in part):
        values = [part.get(key) for part in dicts]
        if key == "statistics":
            counts: list[dict[str, Any]] = [value or {} for value in values]
            whole[key] = {
                name: [(one.get(name) or [0])[0] for one in counts]
                for name in dict.fromkeys(name for one in counts for name in one)
            }
        else:
            whole[key] = [value[0] if value else None for value in values]
    return whole  # type: ignore[return-value]


__all__ = [
    "RetryRule",
    "Tries",
    "generation_of",
    "is_transient",
    "is_worth_it",
    "of_generation",
    "put_together",
]
