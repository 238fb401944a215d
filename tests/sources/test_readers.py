"""Numbers of equal rows."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from hypothesis import given, strategies as st

from beam_distilabel.row import DRAW, ROW_ID, Row, number_equal_rows
from beam_distilabel.transforms.sources import readers

# Few different values, so that rows are often equal in some columns, and in all of them.
_VALUES = st.sampled_from(
    ["", "a", "1", "null", "2024-01-01", "\ud800", "\\ud800", 0, 1, 2**70, True, None]
    + [1.0, [1], {"a": 1}, b"a", datetime.date(2024, 1, 1)]
)
_COLUMNS = {"a": _VALUES, "b": st.integers(0, 40), "c": st.text(max_size=2), "d": _VALUES}


@given(st.lists(st.fixed_dictionaries({}, optional=_COLUMNS), max_size=60))
def test_numbers_are_those_of_the_whole_content(rows: list[Row]) -> None:
    expected = [dict(row) for row in rows]
    number_equal_rows(expected)
    readers._number_equal(rows)
    assert rows == expected


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (["a", "b", None, 1], True),
        (["a", "b", "a"], False),
        # Equal in JSON, or as Python sees it: not told apart here, so compared as a whole.
        (["2024-01-01", datetime.date(2024, 1, 1)], False),
        ([1, True], False),
        ([1, 1.5], False),
        ([[1], [2]], False),
        ([], True),
    ],
)
def test_when_one_column_proves_that_rows_differ(values: list[Any], found: bool) -> None:
    assert readers.differ_in_a_column([{"a": value} for value in values]) is found


def test_equal_values_behind_the_sampled_rows() -> None:
    rows = [{"a": i % 20, "b": 0} for i in range(40)]
    readers._number_equal(rows)
    assert [row.get(DRAW, 0) for row in rows] == [0] * 20 + [1] * 20


def test_reserved_columns_of_a_file_are_no_content() -> None:
    rows: list[Row] = [{"a": "x", ROW_ID: "9-9", DRAW: 7}, {"a": "x", ROW_ID: "9-8"}]
    readers._number_equal(rows)
    assert rows == [{"a": "x"}, {"a": "x", DRAW: 1}]
