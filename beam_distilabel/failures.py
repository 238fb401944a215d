"""Failure records: what happened to a row that could not be finished."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

from beam_distilabel.errors import ColumnError, GenerationError, ParseError
from beam_distilabel.metadata import METADATA
from beam_distilabel.redaction import hide_secrets
from beam_distilabel.row import ROW_ID, Row

FailureKind = Literal[
    "parse",  # the answer doesn't have the Task's form
    "too_long",  # the prompt exceeds the model's context
    "timeout",  # the engine took longer than the Task allows
    "rate_limit",  # the endpoint refused for load
    "refused",  # the engine or endpoint refused this request
    "schema",  # the answer isn't what the schema demands
    "join",  # a branch has no row for it
    "render",  # the Task could not make a prompt of the row
    "column",  # a column doesn't hold what the Step needs
    "read",  # a record of a file can't be read
    "engine",  # the engine failed on this request
    "user_code",  # a Step's own code raised
]

TRANSIENT = frozenset(("timeout", "rate_limit", "engine"))
"""Kinds that say nothing about the row: asked again, it may be answered."""

OnFailure = Literal["null", "drop", "raise"]
"""What becomes of a row that failed: it goes on with None outputs, is left out, or ends the run."""


@dataclasses.dataclass
class Failure:
    """Why one row failed in one Step.

    Attributes:
        step: the Step's name.
        kind: what went wrong, of `FailureKind`.
        message: the reason, for a person.
        row: the row as the Step received it, reserved keys included.
        attempts: how often the row was tried.
        raw_output: the model's answer, where there is one.
    """

    step: str
    kind: str
    message: str
    row: Row
    attempts: int = 1
    raw_output: str | None = None

    def reason(self) -> dict[str, Any]:
        """The part that goes into a row's `distilabel_metadata`."""
        return {"kind": self.kind, "message": self.message, "attempts": self.attempts}

    def to_row(self) -> Row:
        """The failure as a row of the `failures/` dataset."""
        return {**dataclasses.asdict(self), ROW_ID: self.row.get(ROW_ID)}


def reasons_of(row: Row, step: str) -> list[Any]:
    """Why each generation of a Task in a finished row is of no use; None for those that are.

    Returns:
        As `Failure.reason` tells it, one entry per generation; one for a row that has one answer.
    """
    metadata = row.get(METADATA)
    if not isinstance(metadata, dict):
        return _NOTHING_FAILED
    reason = metadata.get(f"failure_{step}")
    if reason is None:
        return _NOTHING_FAILED
    return reason if isinstance(reason, list) else [reason]


_NOTHING_FAILED: list[Any] = [None]


def attempts_of(error: BaseException) -> int:
    """How often was tried what ended with `error`."""
    return error.attempts if isinstance(error, GenerationError) else 1


def kind_of(error: BaseException) -> str:
    """The kind of failure that `error` stands for."""
    if isinstance(error, GenerationError):
        return error.kind
    if isinstance(error, ParseError):
        return "parse"
    if isinstance(error, ColumnError):
        return "column"
    if isinstance(error, TimeoutError):
        return "timeout"
    return "user_code"


def message_of(error: BaseException) -> str:
    """`error` in one line: its type, unless it is ours, and its text."""
    # User code may put what it was given into its messages, and these are published.
    text = hide_secrets(str(error).strip()) or type(error).__name__
    if isinstance(error, (ColumnError, GenerationError, ParseError)):
        return text
    return f"{type(error).__name__}: {text}"
