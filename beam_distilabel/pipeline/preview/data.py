"""What a preview holds."""

from __future__ import annotations

import dataclasses
from typing import Any

from beam_distilabel.pipeline.preview.estimates import Range
from beam_distilabel.row import Row


@dataclasses.dataclass(frozen=True)
class Exchange:
    """What one Task asked about one row, and what it was answered.

    Attributes:
        step: the Task.
        row: the id of the row.
        prompt: messages, or a text, as it was sent; None where the Task doesn't tell.
        answer: the model's; None where there is none.
        outputs: the columns that the Task made of it.
        failure: why it is of no use: `kind`, `message` and `attempts`; None where it is.
        statistics: of the answer, such as its tokens.
    """

    step: str
    row: str
    prompt: Any
    answer: Any
    outputs: dict[str, Any]
    failure: dict[str, Any] | None
    statistics: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class StepEstimate:
    """What one Step did with the rows seen, and what it would do with all.

    Attributes:
        step: its name.
        model: of its model; None where it has none.
        rows_in: rows seen that came in, of a loader those it made.
        rows_out: rows seen that it sent on.
        scale: how many times as many rows the whole run has; None where a loader doesn't know its
            rows: then there are no estimates.
        seen: requests, input_tokens, output_tokens, seconds and cost of the rows seen.
        whole: rows, and the same, of the whole run.
        unknown: what of these isn't there because the model doesn't tell its tokens.
    """

    step: str
    model: str | None
    rows_in: int
    rows_out: int
    scale: float | None
    seen: dict[str, float]
    whole: dict[str, Range]
    unknown: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Preview:
    """What `Pipeline.preview` found; printed, it is a table.

    Attributes:
        pipeline: its name.
        loaders: loader to (rows seen, all its rows or None where that isn't known).
        exchanges: per Task and row, in the order of the rows.
        subsets: the rows of each subset.
        failures: of all Steps, as a run's `failures/` has them.
        steps: what each Step did and would do.
        total: requests, input_tokens, output_tokens, seconds and cost of the whole run; empty where
            a loader doesn't know its rows.
        assumptions: what the estimates rest on.
        verdict: why a run would fail, if all its rows did as these; None if it wouldn't.
        lower_bounds: what of `total` leaves out Steps of which it isn't known, so that it has no
            upper end.
    """

    pipeline: str
    loaders: dict[str, tuple[int, int | None]]
    exchanges: list[Exchange]
    subsets: dict[str, list[Row]]
    failures: list[Row]
    steps: list[StepEstimate]
    total: dict[str, Range]
    assumptions: list[str]
    verdict: str | None = None
    lower_bounds: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain data, ready for JSON but for what rows may hold."""
        return dataclasses.asdict(self)

    def print(self, console: Any = None) -> None:
        """Print prompts and answers side by side, and the estimates; on the console if None."""
        from beam_distilabel.pipeline.preview.tables import print_preview

        print_preview(self, console)


__all__ = ["Exchange", "Preview", "StepEstimate"]
