"""MergeColumns: several columns of a row as one list."""

from __future__ import annotations

from pydantic import field_validator

from beam_distilabel.row import Row
from beam_distilabel.step import RowStep
from beam_distilabel.transforms.columns.values import named_once, value_in
from beam_distilabel.typing import StepColumns


class MergeColumns(RowStep):
    """Merges columns of a row into one list; what is a list gives its items, in order.

    Attributes:
        columns: the columns to merge, at least one; the row no longer has them.
        output_column: the list's name, which may be one of `columns`; default is `merged_column`.

    Input columns: those named in `columns`.
    Output columns: `output_column`.

    Example:
        >>> merge = MergeColumns(columns=["query", "queries"], output_column="queries")
        >>> next(merge.process([{"query": "a", "queries": ["b", "c"]}]))
        [{'queries': ['a', 'b', 'c']}]
    """

    columns: list[str]
    output_column: str | None = None

    @field_validator("columns")
    @classmethod
    def _columns_are_named_once(cls, columns: list[str]) -> list[str]:
        return named_once(columns)

    @property
    def inputs(self) -> StepColumns:
        return self.columns

    @property
    def outputs(self) -> StepColumns:
        return [self.output_column or "merged_column"]

    @property
    def _removed_columns(self) -> list[str]:
        return self.columns

    def transform_row(self, row: Row) -> Row:
        return merge_columns(row, self.columns, self.output_column or "merged_column")


def merge_columns(row: Row, columns: list[str], new_column: str = "combined_key") -> Row:
    """A copy of `row` in which `columns` are one list, `new_column`.

    Raises:
        ColumnError: the row lacks one of them.

    Example:
        >>> merge_columns({"id": 1, "a": "x", "b": ["y"]}, ["a", "b"])
        {'id': 1, 'combined_key': ['x', 'y']}
    """
    merged: list[object] = []
    for column in columns:
        value = value_in(row, column)
        merged.extend(value if isinstance(value, (list, tuple)) else [value])
    left = {name: value for name, value in row.items() if name not in columns}
    return {**left, new_column: merged}


__all__ = ["MergeColumns", "merge_columns"]
