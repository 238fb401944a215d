"""GroupColumns and CombineOutputs: rows of several branches, joined by their ids."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from pydantic import ValidationError

from beam_distilabel.errors import ColumnError, DistilabelUserError, PipelineValidationError
from beam_distilabel.metadata import METADATA, merge_distilabel_metadata
from beam_distilabel.pipeline import Pipeline, routing_batch_function, sample_n_steps
from beam_distilabel.row import DRAW, ROW_ID, Row
from beam_distilabel.step import JoinStep
from beam_distilabel.steps import CombineOutputs, GroupColumns, KeepColumns, LoadDataFromDicts
from beam_distilabel.steps.columns.utils import group_columns
from beam_distilabel.steps.tasks import TextGeneration
from tests.fakes import plain, run, run_with_failures
from tests.pipeline.fakes import Add, Lose, TaggedEcho, Times
from tests.pipeline.running import columns, failures_of, rows_of

X = [{"x": x} for x in range(7)]

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


# -- outside of a pipeline -------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(parts=st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=4))
def test_lists_hold_what_the_inputs_have_in_their_order(parts: list[tuple[Any, Any]]) -> None:
    step = GroupColumns(columns=["a", "b"], output_columns=["as", "bs"])
    inputs = [[{"a": a, "b": b, "same": 1}] for a, b in parts]
    [done] = next(step.process(*inputs))
    assert done == {"as": [a for a, _ in parts], "bs": [b for _, b in parts], "same": 1}
    assert all(rows[0].keys() == {"a", "b", "same"} for rows in inputs)


def test_the_lists_of_a_row_belong_together() -> None:
    step = GroupColumns(columns=["a", "b"])
    parts = [{"a": 1}, {"other": 2}, {"a": 3, "b": 4}]
    assert step.join_rows(parts) == {
        "grouped_a": [1, 3],
        "grouped_b": [None, 4],
        "other": 2,
    }


def test_an_output_may_have_the_name_of_a_column() -> None:
    step = GroupColumns(columns=["a", "b"], output_columns=["b", "a"])
    assert step.join_rows([{"a": 1, "b": 2}, {"a": 3, "b": 4}]) == {"b": [1, 3], "a": [2, 4]}


def test_a_column_that_nobody_has() -> None:
    with pytest.raises(ColumnError, match="no branch has the column 'a'"):
        GroupColumns(columns=["a"]).join_rows([{"b": 1}, {"b": 2}])


def test_identity_is_kept() -> None:
    row = {"a": 1, ROW_ID: "0-3", DRAW: 2}
    for step in (GroupColumns(columns=["a"]), CombineOutputs()):
        [done] = next(step.process([row], [{"a": 2}]))
        assert (done[ROW_ID], done[DRAW]) == ("0-3", 2)


def test_one_input() -> None:
    step = GroupColumns(columns=["a"], output_columns=["as"])
    assert plain(run([{"a": 1}, {"a": None}], step)) == [{"as": [1]}, {"as": [None]}]
    assert plain(run([{"a": 1}], CombineOutputs())) == [{"a": 1}]


def test_a_row_without_the_column_costs_itself() -> None:
    step = GroupColumns(name="group", columns=["a"], output_columns=["as"])
    rows, [failure] = run_with_failures([{"a": 1}, {"b": 2}], step)
    assert plain(rows) == [
        {"as": [1]},
        {"b": 2, "as": None, METADATA: {"failure_group": failure.reason()}},
    ]
    assert (failure.kind, failure.message) == ("column", "no branch has the column 'a'")


def test_metadata_of_all_are_kept() -> None:
    shared = {"raw_output_first": "r", "failure_first": None}
    left = {METADATA: {**shared, "raw_output_a": "x"}, "g": 1}
    right = {METADATA: {**shared, "raw_output_b": "y"}, "g": 2}
    for step in (GroupColumns(columns=["g"]), CombineOutputs()):
        [done] = next(step.process([left], [right]))
        assert done[METADATA] == {**shared, "raw_output_a": "x", "raw_output_b": "y"}


def test_metadata_of_other_forms() -> None:
    assert merge_distilabel_metadata({}, {METADATA: None}, {METADATA: {"a": 1}}) == {"a": 1}
    assert merge_distilabel_metadata({METADATA: {"a": 1}}, {METADATA: {"a": 2}}) == {"a": [1, 2]}
    lists = merge_distilabel_metadata({METADATA: [{"a": 1}, {"a": 2}]}, {METADATA: {"b": 3}})
    assert lists == [{"a": 1}, {"a": 2}, {"b": 3}]
    assert merge_distilabel_metadata({METADATA: "text"}, {METADATA: {}}) == {"upstream": "text"}


def test_the_function() -> None:
    rows = group_columns([{"a": 1}, {"a": 2}], [{"a": 3}, {"b": 4}], group_columns=["a"])
    assert rows == [{"grouped_a": [1, 3]}, {"grouped_a": [2], "b": 4}]
    with pytest.raises(DistilabelUserError, match="1 names for 2 columns"):
        group_columns([], group_columns=["a", "b"], output_group_columns=["c"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"columns": []}, "names no column"),
        ({"columns": ["a", "a"]}, "names the column 'a' twice"),
        ({"columns": [""]}, "without a name"),
        ({"columns": ["a", "b"], "output_columns": ["c"]}, "1 names for 2 columns"),
        ({"columns": ["a", "b"], "output_columns": ["c", "c"]}, "names the column 'c' twice"),
    ],
)
def test_arguments_that_can_not_be_meant(arguments: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        GroupColumns(**arguments)


# -- in a pipeline ---------------------------------------------------------------------------------


def test_generations_of_routed_branches(tmp_path: Path) -> None:
    """Whatever the batches, the lists hold what the chosen branches gave, in their order."""
    data = [{"instruction": f"do {x}", "x": x} for x in range(23)]
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(data=data)
        tasks = [TextGeneration(name=tag, llm=TaggedEcho(tag=tag)) for tag in "abc"]
        group = GroupColumns(
            columns=["generation", "model_name"],
            output_columns=["generations", "generation_models"],
            input_batch_size=5,
        )
        load >> sample_n_steps(2) >> tasks >> group
    distiset = pipeline.run(output_dir=tmp_path / "run")
    assert failures_of(tmp_path / "run") == []
    rows = distiset["default"]["train"].to_list()
    assert [row["x"] for row in rows] == list(range(23))
    chosen = [row["generation_models"] for row in rows]
    assert {tuple(models) for models in chosen} == {("a", "b"), ("a", "c"), ("b", "c")}
    for row in rows:
        assert row["generations"] == [f"{m}: do {row['x']}" for m in row["generation_models"]]
        kept = [name for name in row[METADATA] if name.startswith("raw_output_")]
        assert {n for n in kept if row[METADATA][n]} == {
            f"raw_output_{model}" for model in row["generation_models"]
        }
        assert "generation" not in row and "model_name" not in row


@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(
    sizes=st.lists(st.integers(1, 6), min_size=5, max_size=5),
    count=st.integers(1, 9),
    choice=st.integers(1, 3),
)
def test_batch_sizes_do_not_matter(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], count: int, choice: int
) -> None:
    @routing_batch_function()
    def first(steps: list[str]) -> list[str]:
        return steps[:choice]

    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(data=[{"x": x} for x in range(count)], batch_size=sizes[0])
        branches = [
            Add(name=f"b{i}", column="v", value="abc"[i], input_batch_size=sizes[1 + i])
            for i in range(3)
        ]
        group = GroupColumns(columns=["v"], output_columns=["vs"], input_batch_size=sizes[4])
        load >> first >> branches >> group
    folder = tmp_path_factory.mktemp("sizes")
    rows = rows_of(pipeline.run(output_dir=folder / "run"))
    assert rows == [{"x": x, "vs": [f"{c}{x}" for c in "abc"[:choice]]} for x in range(count)]
    assert failures_of(folder / "run") == []


def test_a_branch_for_other_columns_gives_nothing(tmp_path: Path) -> None:
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(data=X)
        a, b = Add(name="a", column="v", value="A"), Add(name="b", column="v", value="B")
        side, group = Add(name="s", column="s"), GroupColumns(columns=["v"], output_columns=["vs"])
        load >> [a, side, b] >> group
    rows = rows_of(pipeline.run(output_dir=tmp_path / "run"))
    assert columns(rows, "x", "s", "vs") == [(x, str(x), [f"A{x}", f"B{x}"]) for x in range(7)]


def test_a_branch_that_makes_several_rows(tmp_path: Path) -> None:
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(data=X)
        one, three = Times(name="a", column="v", times=1), Times(name="b", column="v", times=3)
        load >> [one, three] >> GroupColumns(columns=["v"], output_columns=["vs"])
    rows = rows_of(pipeline.run(output_dir=tmp_path / "run"))
    assert columns(rows, "x", "vs") == [(x, [0, k]) for x in range(7) for k in range(3)]


def test_rows_that_a_branch_lost_or_that_lack_a_column(tmp_path: Path) -> None:
    with Pipeline(name="p") as pipeline:
        left = LoadDataFromDicts(name="left", data=[{"x": x, "v": f"L{x}"} for x in range(4)])
        data = [{"v": "R0"}, {"v": "R1"}, {"w": 1}, {"v": "R3"}]
        right = LoadDataFromDicts(name="right", data=data)
        lose = Lose(name="lose", which=[{"x": 1}])
        group = GroupColumns(name="group", columns=["v"], output_columns=["vs"])
        left >> lose
        [lose, right] >> group
    distiset = pipeline.run(output_dir=tmp_path / "run")
    rows = distiset["default"]["train"].to_list()
    assert columns(rows, "x", "vs") == [
        (0, ["L0", "R0"]),
        (None, None),
        (2, None),
        (3, ["L3", "R3"]),
    ]
    failures = {f["row"][ROW_ID]: f for f in failures_of(tmp_path / "run")}
    assert {f["kind"] for f in failures.values()} == {"join", "column"}
    # The list would be shorter, and its entries not those of the same branches.
    (lacking,) = (f for f in failures.values() if f["kind"] == "column")
    assert lacking["message"] == "the row of 'right' has no column 'v'"
    assert lacking["row"]["x"] == 2
    assert all("v" not in row for row in rows)


def test_mappings(tmp_path: Path) -> None:
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(data=X)
        a, b = Add(name="a", column="said"), Add(name="b", column="said", value="b")
        group = GroupColumns(
            columns=["generation"],
            input_mappings={"generation": "said"},
            output_mappings={"grouped_generation": "all"},
        )
        load >> [a, b] >> group
    rows = rows_of(pipeline.run(output_dir=tmp_path / "run"))
    assert rows == [{"x": x, "all": [str(x), f"b{x}"]} for x in range(7)]


def test_a_grouped_column_is_gone() -> None:
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(data=X)
        a, b = Add(name="a", column="v"), Add(name="b", column="v")
        load >> [a, b] >> GroupColumns(columns=["v"]) >> KeepColumns(name="keep", columns=["v"])
    with pytest.raises(PipelineValidationError, match="'keep'.*nothing before it makes: 'v'"):
        pipeline.run()


def test_combined_outputs_over_routed_branches(tmp_path: Path) -> None:
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(data=X)
        branches: list[Any] = [Add(name=name, column=name, value=name) for name in "abc"]
        load >> sample_n_steps(2) >> branches >> CombineOutputs()
    rows = rows_of(pipeline.run(output_dir=tmp_path / "run"))
    assert failures_of(tmp_path / "run") == []
    assert [row["x"] for row in rows] == list(range(7))
    for row in rows:
        made = {name: row[name] for name in "abc" if row[name] is not None}
        assert len(made) == 2 and made == {name: f"{name}{row['x']}" for name in made}


def test_a_join_step_of_a_user(tmp_path: Path) -> None:
    class Widest(JoinStep):
        """Keeps the row with the most columns."""

        def join_rows(self, rows: Any) -> Row:
            if rows[0]["x"] == 3:
                raise KeyError("three")
            return dict(max(rows, key=len))

    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(data=X)
        a, same = Add(name="a"), Lose(name="same")
        load >> [same, a] >> Widest(name="widest", on_failure="drop")
    rows = rows_of(pipeline.run(output_dir=tmp_path / "run"))
    assert rows == [{"x": x, "a": str(x)} for x in range(7) if x != 3]
    (failure,) = failures_of(tmp_path / "run")
    assert (failure["kind"], failure["row"]["x"], failure["row"]["a"]) == ("user_code", 3, "3")
