"""Route: a column or a function says where each row goes, and no row is lost on the way."""

from __future__ import annotations

import json
import pickle
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, strategies as st

from beam_distilabel.errors import (
    DistilabelError,
    DistilabelUserError,
    PipelineValidationError,
    RowError,
    RunFailedError,
)
from beam_distilabel.pipeline import Pipeline, Route
from beam_distilabel.pipeline.columns import columns_to_read
from beam_distilabel.row import ROW_ID, Row
from beam_distilabel.steps import KeepColumns, LoadDataFromDicts, LoadDataFromFileSystem
from tests.pipeline.fakes import Add, Merge
from tests.pipeline.running import columns, failures_of, rows_of

KINDS = ["math", "code", "poem", "code", "math", None]
DATA = [{"x": x, "kind": kind} for x, kind in enumerate(KINDS)]


def by_kind(row: Row) -> str:
    """The kind, in capitals."""
    return str(row["kind"]).upper()


# -- what it chooses -------------------------------------------------------------------------------


def test_a_value_has_one_step_or_several() -> None:
    route = Route("kind", to={"math": "a", "code": ["b", "c"]}, default="d")
    steps = ["d", "c", "b", "a"]
    chosen = {kind: route.choose({"kind": kind}, steps, 0) for kind in ("math", "code", "poem")}
    assert chosen == {"math": ["a"], "code": ["c", "b"], "poem": ["d"]}
    assert route.choose({}, steps, 0) == ["d"]


def test_several_values_have_the_steps_of_each() -> None:
    route = Route("tags", to={"x": "a", "y": ["b", "c"]}, default="d")
    steps = ["a", "b", "c", "d"]
    assert route.choose({"tags": ["x", "y", "x"]}, steps, 0) == ["a", "b", "c"]
    assert route.choose({"tags": ["x", "z"]}, steps, 0) == ["a", "d"]
    assert route.choose({"tags": []}, steps, 0) == ["d"]
    with pytest.raises(DistilabelError, match="is an empty list"):
        Route("tags", to={"x": "a"}).choose({"tags": []}, ["a"], 0)


def test_without_to_values_are_the_names_of_steps() -> None:
    route = Route("language", default="other")
    assert route.choose({"language": "english"}, ["english", "other"], 0) == ["english"]
    assert route.choose({"language": "german"}, ["english", "other"], 0) == ["other"]
    everywhere = Route(lambda row: ["a", "b"][: row["n"]])
    assert everywhere.choose({"n": 2}, ["b", "a"], 0) == ["b", "a"]


def test_values_are_compared_by_kind() -> None:
    to = [(1, "one"), (True, "true"), (None, "none"), ("1", "text"), (2.5, "float")]
    route = Route("v", to=to)
    steps = ["one", "true", "none", "text", "float"]
    found = [(v, route.choose({"v": v}, steps, 0)) for v in (1, 1.0, True, None, "1", 2.5)]
    names = ["one", "one", "true", "none", "text", "float"]
    assert [chosen for _, chosen in found] == [[name] for name in names]
    for unknown in (0, False, "one", float("nan"), {}, b"1", ["1", 7]):
        with pytest.raises(DistilabelError, match="no Step is named for"):
            route.choose({"v": unknown}, steps, 0)


def test_an_unknown_value_is_told_shortly() -> None:
    with pytest.raises(DistilabelError) as caught:
        Route("kind", to={"math": "a"}).choose({"kind": "x" * 10_000}, ["a"], 0)
    message = str(caught.value)
    assert "column 'kind'" in message and "give a `default`" in message
    assert len(message) < 300


def test_a_function_sees_the_row_and_cannot_change_it() -> None:
    def spoil(row: Row) -> str:
        assert ROW_ID not in row
        row["tags"].append("spoilt")
        row.clear()
        return "a"

    row: Row = {ROW_ID: "0-0", "tags": ["one"]}
    assert Route(spoil).choose(row, ["a", "b"], 0) == ["a"]
    assert row == {ROW_ID: "0-0", "tags": ["one"]}


def test_a_function_that_draws_repeats_itself() -> None:
    route = Route(lambda row: random.choice(["a", "b", "c"]))
    state = random.getstate()
    drawn = [route.choose({}, ["a", "b", "c"], seed) for seed in range(30)]
    assert random.getstate() == state
    assert drawn == [route.choose({}, ["a", "b", "c"], seed) for seed in range(30)]
    assert len({tuple(one) for one in drawn}) == 3


values = st.one_of(st.none(), st.booleans(), st.integers(-2, 2), st.text("ab", max_size=1))


@given(
    to=st.lists(st.tuples(values, st.lists(st.sampled_from("pqr"), min_size=1)), min_size=1),
    default=st.sampled_from([None, "d"]),
    value=values,
)
def test_each_row_goes_somewhere_or_is_told(to: Any, default: Any, value: Any) -> None:
    def kind(one: Any) -> tuple[Any, Any]:
        return ("number" if type(one) is int else type(one), one)

    expected = {kind(one): set(steps) for one, steps in to}
    try:
        route = Route("v", to=to, default=default)
    except DistilabelUserError as error:
        assert "twice" in str(error)
        assert len(expected) < len(to)
        return
    assert len(expected) == len(to)
    steps = ["p", "q", "r", "d"]
    try:
        chosen = route.choose({"v": value}, steps, 0)
    except DistilabelError:
        assert default is None and kind(value) not in expected
        return
    assert set(chosen) == expected.get(kind(value), {default})
    assert chosen == sorted(chosen, key=steps.index)


# -- what is wrong with it -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"by": ""}, "by='' has to be the name of a column"),
        ({"by": 3}, "by=3 has to be"),
        ({"by": None, "to": {"a": "b"}}, "by=None"),
        ({"by": "k", "to": {}}, r"to=\{\} has to be a dict of values and Steps"),
        ({"by": "k", "to": "a"}, "to='a' has to be a dict"),
        ({"by": "k", "to": ["a"]}, "to has 'a'; expected a value and its Steps"),
        ({"by": "k", "to": {"a": []}}, r"to\['a'\] names no Step"),
        ({"by": "k", "to": {"a": 3}}, r"to\['a'\] has 3; expected a Step"),
        ({"by": "k", "to": {"a": [["b"]]}}, r"to\['a'\] has \['b'\]; expected a Step"),
        ({"by": "k", "to": {"a": ""}}, r"to\['a'\] has ''"),
        ({"by": "k", "to": {("a",): "b"}}, "which no row can be compared with"),
        ({"by": "k", "to": {float("nan"): "b"}}, "nan, which no row can be compared with"),
        ({"by": "k", "to": [["a", "b"], ["a", "c"]]}, "the value 'a' twice"),
        ({"by": "k", "to": [[1, "b"], [1.0, "c"]]}, "the value 1.0 twice"),
        ({"by": "k", "to": {"a": "b"}, "default": 4}, "default has 4; expected a Step"),
        ({"by": "k", "to": {"a": "b"}, "default": []}, "default names no Step"),
        ({"by": "k", "description": 3}, "description=3 has to be a text"),
    ],
)
def test_what_it_cannot_be_made_of(arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(DistilabelUserError, match=f"^Route: .*{says}"):
        Route(**arguments)


def test_its_steps_and_those_that_are_connected_agree() -> None:
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(name="load", data=DATA)
        a, b, c = (Add(name=name) for name in "abc")
        with pytest.raises(PipelineValidationError, match=r"'load': Route\(kind\) never .* 'c'"):
            load.connect(a, b, c, routing_batch_function=Route("kind", to={"m": a, "c": b}))
        with pytest.raises(PipelineValidationError, match="sends rows to 'b', which isn't conn"):
            load.connect(a, routing_batch_function=Route("kind", to={"m": a, "c": b}))
        with pytest.raises(PipelineValidationError, match="sends rows to 'd'.*Connected are: 'a'"):
            load >> Route("kind", default="d") >> [a, b]
        with pytest.raises(PipelineValidationError, match="no Step 'bb'.*Did you mean 'b'"):
            load >> Route("kind", to={"m": a, "c": "bb"})
        with pytest.raises(DistilabelUserError, match="by='a' is a Step"):
            load >> Route(a, to={"m": a})  # type: ignore[arg-type]
        with pytest.raises(DistilabelUserError, match="it names its Steps"):
            load >> Route("kind", to={"m": a, "c": b}) >> [a, b]
    assert pipeline.graph.successors("load") == ["a", "b"]


def test_a_column_may_be_made_by_any_step_before(tmp_path: Path) -> None:
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(name="load", data=DATA)
        make = Add(name="make", column="where", value="to-")
        a, b = Add(name="a"), Add(name="b")
        load >> make >> Route("where", to={"to-1": a}, default=b)
    distiset = pipeline.run(output_dir=tmp_path / "run")
    assert columns(rows_of(distiset, "a"), "x") == [(1,)]
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(name="load", data=DATA)
        a, b = Add(name="a"), Add(name="b")
        load >> KeepColumns(name="keep", columns=["x"]) >> Route("kind", to={"math": a}, default=b)
    with pytest.raises(PipelineValidationError, match="'keep': Route.kind. goes by the column"):
        pipeline.run(output_dir=tmp_path / "refused")
    assert not (tmp_path / "refused").exists()


# -- runs ------------------------------------------------------------------------------------------


def routed(route: Callable[..., Any], on_failure: Any = "null") -> Pipeline:
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(name="load", data=DATA, on_failure=on_failure)
        a, b, c = Add(name="a"), Add(name="b", column="b"), Add(name="c", column="c")
        load >> route(a, b, c) >> Merge(name="merge")
    return pipeline


def test_branches_meet_again(tmp_path: Path) -> None:
    pipeline = routed(lambda a, b, c: Route("kind", to={"math": a, "code": [b, c]}, default=a))
    rows = rows_of(pipeline.run(output_dir=tmp_path / "run"))
    assert columns(rows, "x", "a", "b", "c", "n") == [
        (x, None, str(x), str(x), 2) if kind == "code" else (x, str(x), None, None, 1)
        for x, kind in enumerate(KINDS)
    ]
    assert failures_of(tmp_path / "run") == []


@pytest.mark.parametrize("on_failure", ["null", "drop"])
def test_a_row_with_another_value_is_a_failure(tmp_path: Path, on_failure: Any) -> None:
    pipeline = routed(
        lambda a, b, c: Route(by_kind, to={"MATH": a, "CODE": [b, c]}), on_failure=on_failure
    )
    rows = rows_of(pipeline.run(output_dir=tmp_path / "run"))
    assert [row["x"] for row in rows] == [0, 1, 3, 4]
    failures = failures_of(tmp_path / "run")
    assert [(f["step"], f["kind"], f["row"]["x"]) for f in failures] == [
        ("load", "user_code", 2),
        ("load", "user_code", 5),
    ]
    assert "by_kind: no Step is named for 'POEM'" in failures[0]["message"]


def test_a_row_with_another_value_may_end_the_run(tmp_path: Path) -> None:
    pipeline = routed(lambda a, b, c: Route("kind", to={"math": [a, b, c]}), on_failure="raise")
    with pytest.raises((RowError, RunFailedError), match="could not be routed.*no Step is named"):
        pipeline.run(output_dir=tmp_path / "run")


def test_leaves_get_the_rows_that_are_for_them(tmp_path: Path) -> None:
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(name="load", data=DATA)
        leaves = {name: Add(name=name) for name in ("math", "code", "novel")}
        rest = Add(name="rest")
        load >> Route("kind", default="rest") >> [*leaves.values(), rest]
        leaves["code"] >> KeepColumns(name="kept", columns=["x"])
    distiset = pipeline.run(output_dir=tmp_path / "run")
    assert {name: [row["x"] for row in rows_of(distiset, name)] for name in distiset} == {
        "math": [0, 4],
        "kept": [1, 3],
        "novel": [],
        "rest": [2, 5],
    }


def test_one_route_inside_another(tmp_path: Path) -> None:
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(name="load", data=DATA)
        a, b, even, odd = (Add(name=name) for name in ("a", "b", "even", "odd"))
        inner, outer = Merge(name="inner"), Merge(name="outer")
        load >> Route("kind", to={"math": a}, default=b)
        b >> Route(lambda row: row["x"] % 2, to={0: even, 1: odd}) >> inner
        [a, inner] >> outer
    rows = rows_of(pipeline.run(output_dir=tmp_path / "run"))
    assert columns(rows, "x", "n") == [(x, 1) for x in range(6)]
    assert failures_of(tmp_path / "run") == []


def test_it_reads_the_column_that_no_step_reads(tmp_path: Path) -> None:
    """A loader leaves unread what nobody asks for."""
    file = tmp_path / "data.jsonl"
    file.write_text("\n".join(json.dumps({**row, "other": 1}) for row in DATA))
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromFileSystem(name="load", data_files=str(file))
        a, b = (KeepColumns(name=name, columns=["x"]) for name in "ab")
        load >> Route("kind", to={"math": a}, default=b)
    assert columns_to_read(pipeline.graph)["load"] == {"x", "kind", "distilabel_metadata"}
    distiset = pipeline.run(output_dir=tmp_path / "run")
    assert rows_of(distiset, "a") == [{"x": 0}, {"x": 4}]
    assert rows_of(distiset, "b") == [{"x": 1}, {"x": 2}, {"x": 3}, {"x": 5}]
    pipeline.graph.routers["load"] = Route(by_kind, to={"MATH": "a"}, default="b")
    assert columns_to_read(pipeline.graph)["load"] is None


def test_jobs_after_one_another_and_a_second_run_agree(tmp_path: Path) -> None:
    def write() -> Pipeline:
        with Pipeline(name="p") as pipeline:
            load = LoadDataFromDicts(name="load", data=DATA)
            a, b, c = Add(name="a"), Add(name="b", column="b"), Add(name="c", column="c")
            load >> Route(by_kind, to={"MATH": a, "CODE": [b, c]}, default=c) >> Merge(name="merge")
        return pipeline

    whole = rows_of(write().run(output_dir=tmp_path / "whole"))
    parts = tmp_path / "parts"
    assert rows_of(write().run(output_dir=parts, load_groups=[["load"], ["b"]])) == whole
    assert rows_of(write().run(output_dir=tmp_path / "whole")) == whole
    assert columns(whole, "n") == [(1,), (2,), (1,), (2,), (1,), (1,)]


# -- files -----------------------------------------------------------------------------------------


def test_it_survives_a_file(tmp_path: Path) -> None:
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(name="load", data=DATA)
        a, b, c = Add(name="a"), Add(name="b"), Add(name="c")
        to = [("math", a), (1, [b, c]), (True, a), (None, "b")]
        load >> Route("kind", to=to, default=c, description="By kind.")
    for name in ("p.yaml", "p.json"):
        pipeline.save(tmp_path / name, format=name.rpartition(".")[2])
        loaded = Pipeline.from_file(tmp_path / name)
        assert loaded.dump() == pipeline.dump()
        route = loaded.graph.routers["load"]
        steps = ["a", "b", "c"]
        found = [route.choose({"kind": k}, steps, 0) for k in ("math", 1, True, None, "?")]
        assert found == [["a"], ["b", "c"], ["a"], ["b"], ["c"]]
        assert route.columns == {"kind"}
    assert yaml.safe_load((tmp_path / "p.yaml").read_text()) == pipeline.dump()


def test_a_function_is_in_no_file() -> None:
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(name="load", data=DATA)
        load >> Route(by_kind, to={"MATH": Add(name="a")}, default=Add(name="b"))
    with pytest.raises(DistilabelUserError, match="'load': the routing function 'by_kind' can't"):
        Pipeline.from_dict(pipeline.dump())


def test_a_file_that_does_not_fit_is_refused() -> None:
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(name="load", data=DATA)
        load >> Route("kind", to={"math": Add(name="a")}, default=Add(name="b"))
    for change, says in (
        ({"to": [["math", ["c"]]]}, "sends rows to 'c', which isn't connected"),
        ({"by": {"type_info": {"module": "os", "name": "system"}}}, "has to be the name of a col"),
        ({"to": {"math": {"name": "a"}}}, "expected a Step"),
        ({"by_": "kind"}, "by_"),
    ):
        dumped = pipeline.dump()
        dumped["pipeline"]["routing_batch_functions"][0]["type_info"]["kwargs"].update(change)
        with pytest.raises(DistilabelUserError, match=f"'load'.*{says}"):
            Pipeline.from_dict(dumped)


def test_workers_get_the_names_of_steps_only() -> None:
    with Pipeline(name="p"):
        load = LoadDataFromDicts(name="load", data=[{"text": "not for workers"}])
        route = Route("kind", to={"math": Add(name="a")}, default=Add(name="b"))
        load >> route
    sent = pickle.dumps(route)
    assert b"not for workers" not in sent and b"Add" not in sent
    assert pickle.loads(sent).choose({"kind": "math"}, ["a", "b"], 0) == ["a"]
