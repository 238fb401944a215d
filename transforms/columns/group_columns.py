"""GroupColumns: what several branches made, side by side in lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa
from pydantic import ValidationInfo, field_validator

from beam_distilabel.errors import ColumnError, DistilabelUserError
from beam_distilabel.metadata import merge_rows
from beam_distilabel.row import Row
from beam_distilabel.step import JoinStep
from beam_distilabel.transforms.columns.values import named_once
from beam_distilabel.typing import StepColumns


class GroupColumns(JoinStep):
    """Puts what several predecessors have in a column into one list, in their order.

    Rows belong together by their ids, whatever the batches. Where a router chose some of the
    branches, the lists hold what those gave. A branch that has none of the columns (one that was
    connected for its other columns) gives nothing to any list; one that has some of them gives None
    for the others, so the n-th entries of all lists stem from one branch. Of other columns the last
    predecessor's value stays; `distilabel_metadata` has the entries of all.

    Attributes:
        columns: the columns to group, at least one; the rows no longer have them.
        output_columns: a name for each list; default is `grouped_<column>`.

    Input columns: those named in `columns`.
    Output columns: those named in `output_columns`.

    Example:
        >>> group = GroupColumns(columns=["generation"], output_columns=["generations"])
        >>> next(group.process([{"id": 1, "generation": "a"}], [{"id": 1, "generation": "b"}]))
        [{'id': 1, 'generations': ['a', 'b']}]
    """

    columns: list[str]
    output_columns: list[str] | None = None

    @field_validator("columns")
    @classmethod
    def _columns_are_named_once(cls, columns: list[str]) -> list[str]:
        return named_once(columns)

    @field_validator("output_columns")
    @classmethod
    def _one_name_per_list(
        cls, outputs: list[str] | None, info: ValidationInfo
    ) -> list[str] | None:
        columns = info.data.get("columns")
        if outputs is None or columns is None:
            return outputs
        if len(outputs) != len(columns):
            raise ValueError(
                f"it has {len(outputs)} names for {len(columns)} columns {columns}; give as many "
                "names as there are columns, in their order."
            )
        return named_once(outputs)

    @property
    def inputs(self) -> StepColumns:
        return self.columns

    @property
    def outputs(self) -> StepColumns:
        return [*self._lists().values()]

    @property
    def _removed_columns(self) -> list[str]:
        return self.columns

    def _types_made_of(self, types: Mapping[str, pa.DataType]) -> dict[str, pa.DataType]:
        found = {name: types.get(column, pa.null()) for column, name in self._lists().items()}
        return {name: pa.list_(kind) for name, kind in found.items() if not pa.types.is_null(kind)}

    def join_rows(self, rows: Sequence[Row]) -> Row:
        lists = self._lists()
        for column in lists:
            if not any(column in row for row in rows):
                raise ColumnError(f"no branch has the column {column!r}")
        return _grouped(rows, lists)

    def _lists(self) -> dict[str, str]:
        names = self.output_columns or [f"grouped_{column}" for column in self.columns]
        return dict(zip(self.columns, names, strict=True))


def group_columns(
    *inputs: list[Row],
    group_columns: list[str],
    output_group_columns: list[str] | None = None,
) -> list[Row]:
    """Put the n-th rows of all `inputs` together, as `GroupColumns` does.

    Args:
        inputs: lists of rows; what the shortest doesn't have is left out.
        group_columns: the columns to group.
        output_group_columns: a name for each list; default is `grouped_<column>`.

    Raises:
        DistilabelUserError: there are more or fewer names than columns.

    Example:
        >>> group_columns([{"a": 1}], [{"a": 2}], group_columns=["a"])
        [{'grouped_a': [1, 2]}]
    """
    names = output_group_columns or [f"grouped_{column}" for column in group_columns]
    if len(names) != len(group_columns):
        raise DistilabelUserError(
            f"group_columns: output_group_columns has {len(names)} names for {len(group_columns)} "
            "columns; give as many names as there are columns."
        )
    lists = dict(zip(group_columns, names, strict=True))
    return [_grouped(rows, lists) for rows in zip(*inputs, strict=False)]


def _grouped(rows: Sequence[Row], lists: Mapping[str, str]) -> Row:
    grouped = merge_rows(rows)
    giving = [row for row in rows if not lists.keys().isdisjoint(row)]
    found = {name: [row.get(column) for row in giving] for column, name in lists.items()}
    for column in lists:
        grouped.pop(column, None)
    grouped.update(found)
    return grouped


__all__ = ["GroupColumns", "group_columns"]
