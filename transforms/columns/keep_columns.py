"""KeepColumns: leave only some columns."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from beam_distilabel.metadata import METADATA
from beam_distilabel.row import Row
from beam_distilabel.step import RowStep
from beam_distilabel.typing import StepColumns


class KeepColumns(RowStep):
    """Leaves only the columns named, in the order named; `distilabel_metadata` is always kept.

    Attributes:
        columns: the columns to keep, at least one.

    Input columns: those named.
    Output columns: those named.

    Example:
        >>> step = KeepColumns(columns=["answer"])
        >>> next(step.process([{"question": "?", "answer": "!"}]))
        [{'answer': '!'}]
    """

    keeps_other_columns: ClassVar[bool] = False

    columns: list[str] = Field(min_length=1)

    @property
    def inputs(self) -> StepColumns:
        return self.columns

    @property
    def outputs(self) -> StepColumns:
        return self.columns

    def transform_row(self, row: Row) -> Row:
        value_of = row.get
        kept = {name: value_of(name) for name in self.columns}
        if METADATA in row:
            kept[METADATA] = row[METADATA]
        return kept
