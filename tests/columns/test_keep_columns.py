"""KeepColumns."""

import pytest
from pydantic import ValidationError

from beam_distilabel.metadata import METADATA
from beam_distilabel.row import DRAW, ROW_ID
from beam_distilabel.transforms.columns.keep_columns import KeepColumns
from tests.fakes import plain, run


def test_columns_in_the_order_named() -> None:
    [row] = plain(run([{"a": 1, "b": [2], "c": 3}], KeepColumns(columns=["c", "a"])))
    assert list(row.items()) == [("c", 3), ("a", 1)]


def test_identity_and_metadata_are_kept() -> None:
    row = {"a": 1, "b": 2, ROW_ID: "0-4", DRAW: 2, METADATA: {"failure_x": None}}
    step = KeepColumns(columns=["a"])
    kept = {k: v for k, v in row.items() if k != "b"}
    assert run([row], step) == [kept]
    assert next(step.process([row])) == [kept]


def test_a_column_that_a_row_lacks_is_none() -> None:
    assert plain(run([{"a": 1}], KeepColumns(columns=["a", "b"]))) == [{"a": 1, "b": None}]


def test_mappings_rename() -> None:
    step = KeepColumns(columns=["a", "b"], output_mappings={"a": "A"})
    assert plain(run([{"a": 1, "b": 2, "c": 3}], step)) == [{"A": 1, "b": 2}]
    step = KeepColumns(columns=["a"], input_mappings={"a": "c"})
    assert plain(run([{"a": 1, "b": 2, "c": 3}], step)) == [{"c": 3}]


def test_declared_columns() -> None:
    step = KeepColumns(columns=["a", "b"], input_mappings={"a": "c"}, output_mappings={"b": "d"})
    assert step.get_inputs() == {"c": True, "b": True}
    assert not step.keeps_other_columns


def test_no_columns() -> None:
    with pytest.raises(ValidationError, match="columns"):
        KeepColumns(columns=[])
