"""ExpandColumns: a row for each item of a list."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
from pydantic import ValidationInfo, field_validator

from beam_distilabel.errors import ColumnError
from beam_distilabel.metadata import METADATA
from beam_distilabel.row import Row
from beam_distilabel.step import Step
from beam_distilabel.transforms.columns.values import (
    check_equal_lengths,
    described,
    list_in,
    named_once,
    text_in,
)
from beam_distilabel.typing import StepColumns, StepInput, StepOutput


class ExpandColumns(Step):
    """Makes a row for each item of the lists in some columns; the other columns are repeated.

    The lists of a row have to be equally long. A row whose lists are empty becomes no row.

    Attributes:
        columns: the columns to expand, at least one: a list, or a dict of column to the name that
            its items get (the list then stays under the old name).
        encoded: which of them hold their list as JSON text: True for all, or some of their names.
        split_statistics: whether the token counts in `distilabel_metadata` are divided among the
            rows, so that their sum stays what it was.

    Input columns: those named in `columns`.
    Output columns: the names of the items.

    Example:
        >>> expand = ExpandColumns(columns=["generation"])
        >>> next(expand.process([{"id": 1, "generation": ["a", "b"]}]))
        [{'id': 1, 'generation': 'a'}, {'id': 1, 'generation': 'b'}]
    """

    columns: dict[str, str]
    encoded: list[str] = []
    split_statistics: bool = False

    @field_validator("columns", mode="before")
    @classmethod
    def _names_of_items(cls, columns: Any) -> Any:
        if isinstance(columns, list):
            named_once(columns)
            return {column: column for column in columns}
        if isinstance(columns, dict):
            named_once([*columns])
            names = {column: name or column for column, name in columns.items()}
            named_once([*names.values()])
            return names
        return columns

    @field_validator("encoded", mode="before")
    @classmethod
    def _names_of_encoded(cls, encoded: Any, info: ValidationInfo) -> Any:
        columns = info.data.get("columns")
        if columns is None:
            return []
        if isinstance(encoded, bool):
            return [*columns] if encoded else []
        if isinstance(encoded, list):
            for name in encoded:
                if name not in columns:
                    raise ValueError(
                        f"{name!r} is none of the columns to expand {[*columns]}; the encoded "
                        "columns must be a subset of them."
                    )
        return encoded

    @property
    def inputs(self) -> StepColumns:
        return [*self.columns]

    @property
    def outputs(self) -> StepColumns:
        return [*self.columns.values()]

    @property
    def _removed_columns(self) -> list[str]:
        """The lists whose items take their place, where `output_mappings` renames the items."""
        return [old for old, new in self.columns.items() if old == new in self.output_mappings]

    def _types_made_of(self, types: Mapping[str, pa.DataType]) -> dict[str, pa.DataType]:
        lists = {
            new: types.get(old) for old, new in self.columns.items() if old not in self.encoded
        }
        return {
            new: kind.value_type
            for new, kind in lists.items()
            if isinstance(kind, (pa.ListType, pa.LargeListType, pa.FixedSizeListType))
        }

    def process(self, inputs: StepInput) -> StepOutput:  # type: ignore[override]
        """Yields the rows of all items of a batch.

        Raises:
            ColumnError: a column of a row has no list, or the lists are of different lengths.
        """
        yield [item for row in inputs for item in self.expand_row(row)]

    def expand_row(self, row: Row) -> Iterator[Row]:
        """The rows that `row` becomes; pure.

        Raises:
            ColumnError: a column has no list, or the lists are of different lengths.
        """
        lists = {
            column: decoded_list(row, column) if column in self.encoded else list_in(row, column)
            for column in self.columns
        }
        check_equal_lengths((column, len(items)) for column, items in lists.items())
        count = len(next(iter(lists.values())))
        shared = {**row, **{column: lists[column] for column in self.encoded}}
        items = [(new, lists[old]) for old, new in self.columns.items()]
        is_split = self.split_statistics and isinstance(row.get(METADATA), dict)
        for index in range(count):
            made = shared.copy()
            for name, values in items:
                made[name] = values[index]
            if is_split:
                made[METADATA] = split_metadata(row[METADATA], count, index)
            yield made


def decoded_list(row: Row, column: str) -> list[Any]:
    """The list that a column holds as JSON text.

    Raises:
        ColumnError: it holds no text, or none that is a JSON list.
    """
    text = text_in(row, column)
    try:
        decoded = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ColumnError(f"the column {column!r} is no JSON text: {error}") from None
    if not isinstance(decoded, list):
        raise ColumnError(
            f"the JSON text in the column {column!r} is {described(decoded)}, no list"
        )
    return decoded


def split_metadata(metadata: dict[str, Any], count: int, index: int) -> dict[str, Any]:
    """The share of one of `count` rows in the token counts of `metadata`; the rest as it is.

    What can't be divided evenly goes to the first rows.

    Example:
        >>> counts = {"statistics_write": {"input_tokens": 7, "output_tokens": [4, 2]}}
        >>> split_metadata(counts, 2, 0)
        {'statistics_write': {'input_tokens': 4, 'output_tokens': [2, 1]}}
        >>> split_metadata(counts, 2, 1)
        {'statistics_write': {'input_tokens': 3, 'output_tokens': [2, 1]}}
    """
    return {
        name: _share(value, count, index) if name.startswith("statistics_") else value
        for name, value in metadata.items()
    }


def _share(value: Any, count: int, index: int) -> Any:
    if isinstance(value, dict):
        return {name: _share(part, count, index) for name, part in value.items()}
    if isinstance(value, list):
        return [_share(part, count, index) for part in value]
    if isinstance(value, float):
        return value / count
    if isinstance(value, bool) or not isinstance(value, int):
        return value
    each, rest = divmod(value, count)
    return each + (index < rest)


__all__ = ["ExpandColumns", "split_metadata"]
