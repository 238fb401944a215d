"""ExpandColumns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from pydantic import ValidationError

from beam_distilabel.metadata import METADATA
from beam_distilabel.pipeline import Pipeline
from beam_distilabel.row import DRAW, ROW_ID
from beam_distilabel.steps import CombineOutputs, ExpandColumns, LoadDataFromDicts
from beam_distilabel.transforms.columns.expand_columns import split_metadata
from tests.columns.test_group_columns import VALUES
from tests.fakes import plain, run, run_with_failures
from tests.pipeline.fakes import Add
from tests.pipeline.running import columns, failures_of, rows_of


@settings(max_examples=30, deadline=None)
@given(items=st.lists(st.tuples(VALUES, VALUES), max_size=5), other=VALUES)
def test_a_row_per_item(items: list[tuple[Any, Any]], other: Any) -> None:
    row = {"a": [a for a, _ in items], "b": [b for _, b in items], "other": other}
    step = ExpandColumns(columns={"a": "a", "b": "item"})
    assert next(step.process([row])) == [
        {"a": a, "b": row["b"], "item": b, "other": other} for a, b in items
    ]


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.none() | st.integers() | st.text() | st.dictionaries(st.text(), st.floats(0, 1)))
)
def test_json_text_is_a_list(items: list[Any]) -> None:
    step = ExpandColumns(columns={"a": "b"}, encoded=["a"])
    rows = next(step.process([{"a": json.dumps(items)}]))
    assert rows == [{"a": items, "b": item} for item in items]


def test_rows_have_identities_of_their_own() -> None:
    rows = run(
        [{"a": [1, 1, 2], ROW_ID: "0-4"}, {"a": [], ROW_ID: "0-5"}], ExpandColumns(columns=["a"])
    )
    assert [row[ROW_ID] for row in rows] == ["0-4.0", "0-4.1", "0-4.2"]
    assert [row.get(DRAW, 0) for row in rows] == [0, 1, 0]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"a": None, "b": [1]}, "the column 'a' is empty (None), not a list"),
        ({"a": "text", "b": [1]}, "the column 'a' is a str, not a list"),
        ({"b": [1]}, "the row has no column 'a'"),
        ({"a": [1, 2], "b": [1]}, "lists of different lengths: 'a' 2, 'b' 1"),
    ],
)
def test_a_bad_row_costs_itself(row: Any, message: str) -> None:
    step = ExpandColumns(name="expand", columns=["a", "b"])
    good = {"a": [1], "b": [2], "c": 3}
    rows, [failure] = run_with_failures([good, row, good], step)
    assert (failure.kind, failure.message) == ("column", message)
    assert plain(rows) == [
        {"a": 1, "b": 2, "c": 3},
        {"a": None, "b": None, METADATA: {"failure_expand": failure.reason()}},
        {"a": 1, "b": 2, "c": 3},
    ]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1], "the column 'a' is a list, not a text"),
        ("{", "the column 'a' is no JSON text: Expecting"),
        ('{"x": 1}', "the JSON text in the column 'a' is a dict, no list"),
        ("[" * 100_000, "the column 'a' is no JSON text"),
    ],
)
def test_bad_json_costs_its_row(value: Any, message: str) -> None:
    rows, [failure] = run_with_failures(
        [{"a": value}], ExpandColumns(columns=["a"], encoded=True, on_failure="drop")
    )
    assert not rows
    assert failure.kind == "column" and failure.message.startswith(message)


def test_token_counts_are_divided_and_nothing_is_lost() -> None:
    metadata = {
        "statistics_a": {"input_tokens": 7, "output_tokens": [5]},
        "statistics_b": [{"input_tokens": 3, "output_tokens": 2}],
        "statistics_c": None,
        "raw_output_a": "text",
    }
    row = {"a": ["x", "y", "z"], METADATA: metadata}
    step = ExpandColumns(columns=["a"], split_statistics=True)
    shares = [made[METADATA] for made in next(step.process([row]))]
    assert [s["statistics_a"] for s in shares] == [
        {"input_tokens": 3, "output_tokens": [2]},
        {"input_tokens": 2, "output_tokens": [2]},
        {"input_tokens": 2, "output_tokens": [1]},
    ]
    assert [s["statistics_b"][0]["input_tokens"] for s in shares] == [1, 1, 1]
    assert all((s["statistics_c"], s["raw_output_a"]) == (None, "text") for s in shares)
    whole = ExpandColumns(columns=["a"])
    assert all(made[METADATA] == metadata for made in next(whole.process([row])))
    assert step.inputs == ["a"]


@given(tokens=st.integers(0, 10**6), count=st.integers(1, 40))
def test_shares_add_up(tokens: int, count: int) -> None:
    shares = [
        split_metadata({"statistics_a": {"n": tokens}}, count, index)["statistics_a"]["n"]
        for index in range(count)
    ]
    assert sum(shares) == tokens and max(shares) - min(shares) <= 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"columns": []}, "names no column"),
        ({"columns": {}}, "names no column"),
        ({"columns": ["a", "a"]}, "names the column 'a' twice"),
        ({"columns": {"a": "c", "b": "c"}}, "names the column 'c' twice"),
        ({"columns": ["a"], "encoded": ["b"]}, "must be a subset"),
        ({"columns": "a"}, "valid dict"),
    ],
)
def test_arguments_that_can_not_be_meant(arguments: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ExpandColumns(**arguments)


def test_arguments_are_those_of_distilabel() -> None:
    step = ExpandColumns(columns={"a": "b", "c": ""}, encoded=True)
    assert step.columns == {"a": "b", "c": "c"}
    assert step.encoded == ["a", "c"]
    assert (step.inputs, step.outputs) == (["a", "c"], ["b", "c"])


def test_expanded_rows_meet_the_row_that_they_were_made_of(tmp_path: Path) -> None:
    data = [{"x": x, "items": [f"{x}{i}" for i in range(x)]} for x in range(4)]
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(data=data)
        expand = ExpandColumns(name="expand", columns={"items": "item"})
        load >> [Add(name="a"), expand] >> CombineOutputs(name="both", on_failure="drop")
    rows = rows_of(pipeline.run(output_dir=tmp_path / "run"))
    assert columns(rows, "x", "a", "item") == [
        (x, str(x), f"{x}{i}") for x in range(4) for i in range(x)
    ]
    (failure,) = failures_of(tmp_path / "run")  # the row with no item is not lost silently
    assert (failure["kind"], failure["row"]["x"]) == ("join", 0)


def test_a_renamed_item_takes_the_place_of_its_list() -> None:
    step = ExpandColumns(columns=["texts", "scores"], output_mappings={"texts": "text"})
    made = plain(run([{"texts": ["a", "b"], "scores": [1, 2], "id": 5}], step))
    assert made == [{"text": "a", "scores": 1, "id": 5}, {"text": "b", "scores": 2, "id": 5}]
