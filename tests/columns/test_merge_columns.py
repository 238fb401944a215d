"""MergeColumns."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from pydantic import ValidationError

from beam_distilabel.metadata import METADATA
from beam_distilabel.steps import MergeColumns
from beam_distilabel.steps.columns.utils import merge_columns
from tests.columns.test_group_columns import VALUES
from tests.fakes import plain, run, run_with_failures


@settings(max_examples=30, deadline=None)
@given(a=VALUES, b=VALUES)
def test_items_in_order(a: Any, b: Any) -> None:
    expected = [
        item for value in (a, b) for item in (value if isinstance(value, list) else [value])
    ]
    row = {"a": a, "b": b, "c": 1}
    assert next(MergeColumns(columns=["a", "b"]).process([row])) == [
        {"c": 1, "merged_column": expected}
    ]
    assert merge_columns(row, ["b", "c"], "b")["b"] == [*(b if isinstance(b, list) else [b]), 1]


def test_mappings_and_a_name_that_is_taken() -> None:
    step = MergeColumns(
        columns=["a", "b"], output_column="b", input_mappings={"a": "x"}, output_mappings={"b": "y"}
    )
    assert plain(run([{"x": 1, "b": [2, 3], "z": 4}], step)) == [{"z": 4, "y": [1, 2, 3]}]


def test_a_row_without_a_column_costs_itself() -> None:
    step = MergeColumns(name="merge", columns=["a", "b"])
    rows, [failure] = run_with_failures([{"a": 1, "b": 2}, {"a": 1, "c": 3}], step)
    assert (failure.kind, failure.message) == ("column", "the row has no column 'b'")
    assert plain(rows) == [
        {"merged_column": [1, 2]},
        {"c": 3, "merged_column": None, METADATA: {"failure_merge": failure.reason()}},
    ]


def test_arguments_that_can_not_be_meant() -> None:
    with pytest.raises(ValidationError, match="names no column"):
        MergeColumns(columns=[])
    with pytest.raises(ValidationError, match="names the column 'a' twice"):
        MergeColumns(columns=["a", "b", "a"])
