"""The graph: what `>>` and `connect` build, leaves, and where branches part and meet."""

from __future__ import annotations

from typing import Any

import pytest

from beam_distilabel.errors import (
    DistilabelTypeError,
    DistilabelUserError,
    PipelineValidationError,
)
from beam_distilabel.pipeline import Pipeline, routing_batch_function, sample_n_steps
from beam_distilabel.steps import LoadDataFromDicts
from tests.pipeline.fakes import Add, Merge, Numbers


def edges(pipeline: Pipeline) -> set[tuple[str, str]]:
    return {
        (name, successor)
        for name in pipeline.step_names
        for successor in pipeline.graph.successors(name)
    }


def test_step_to_step_in_a_chain() -> None:
    with Pipeline(name="p") as pipeline:
        a, b, c = LoadDataFromDicts(name="a", data=[]), Add(name="b"), Add(name="c")
        assert (a >> b >> c) is c
    assert edges(pipeline) == {("a", "b"), ("b", "c")}
    assert pipeline.graph.leaves == ["c"]
    assert pipeline.graph.subsets() == {"c": "default"}
    assert pipeline.graph.roots == ["a"]


def test_step_to_list_to_step() -> None:
    with Pipeline(name="p") as pipeline:
        a, b, c, d = Numbers(name="a"), Add(name="b"), Add(name="c"), Merge(name="d")
        result = a >> [b, c] >> d
        assert result is d
    assert edges(pipeline) == {("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")}
    assert pipeline.graph.predecessors("d") == ["b", "c"]


def test_list_to_step_and_several_leaves() -> None:
    with Pipeline(name="p") as pipeline:
        a, b = Numbers(name="a"), Numbers(name="b")
        c, d, e = Merge(name="c"), Add(name="d"), Add(name="e")
        [a, b] >> c
        c >> [d, e]
    assert edges(pipeline) == {("a", "c"), ("b", "c"), ("c", "d"), ("c", "e")}
    assert pipeline.graph.subsets() == {"d": "d", "e": "e"}


def test_router_between_steps() -> None:
    router = sample_n_steps(1)
    with Pipeline(name="p") as pipeline:
        a, b, c, d = Numbers(name="a"), Add(name="b"), Add(name="c"), Merge(name="d")
        a >> router >> [b, c] >> d
    assert edges(pipeline) == {("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")}
    assert pipeline.graph.routers == {"a": router}


def test_connect_with_a_router() -> None:
    @routing_batch_function()
    def first(steps: list[str]) -> list[str]:
        return steps[:1]

    with Pipeline(name="p") as pipeline:
        a, b, c = Numbers(name="a"), Add(name="b"), Add(name="c")
        a.connect(b, c, routing_batch_function=first)
    assert edges(pipeline) == {("a", "b"), ("a", "c")}
    assert pipeline.graph.routers == {"a": first}


def test_one_router_serves_several_steps() -> None:
    router = sample_n_steps(1)
    with Pipeline(name="p") as pipeline:
        a, b, c, d, e = (Numbers(name="a"), *(Add(name=name) for name in "bcde"))
        a >> router >> [b, c]
        b >> router >> [d, e]
    assert set(pipeline.graph.routers) == {"a", "b"}


def test_something_that_is_no_router_is_refused_and_connects_nothing() -> None:
    with Pipeline(name="p") as pipeline:
        a, b, c = Numbers(name="a"), Add(name="b"), Add(name="c")
        with pytest.raises(DistilabelUserError, match="'a'.*@routing_batch_function"):
            a.connect(b, c, routing_batch_function=lambda steps: steps)
    assert edges(pipeline) == set()


def test_router_without_a_step_before_it_or_a_list_after_it() -> None:
    with Pipeline(name="p"):
        a, b = Numbers(name="a"), Add(name="b")
        with pytest.raises(DistilabelUserError, match="no Step before it; write"):
            sample_n_steps(1) >> [b]
        with pytest.raises(DistilabelUserError, match="followed by a list of Steps, got Add"):
            a >> sample_n_steps(1) >> b


def test_what_cannot_be_connected() -> None:
    with Pipeline(name="p") as pipeline:
        a, b = Numbers(name="a"), Add(name="b")
        wrongs: list[Any] = [3, [], (b,), "b", None]
        for wrong in wrongs:
            with pytest.raises(DistilabelUserError, match="Step 'a' can't be connected to"):
                a >> wrong
        with pytest.raises(DistilabelUserError, match="can't be connected to Step 'b'"):
            3 >> b
        with pytest.raises(DistilabelUserError, match="3 is no Step of the pipeline 'p'"):
            [a, 3] >> b
        with pytest.raises(DistilabelUserError, match="is no Step of the pipeline 'p'"):
            a >> [b, 3]
    assert edges(pipeline) == set()  # a list with something wrong in it connects nothing


def test_steps_of_two_pipelines_cannot_be_connected() -> None:
    with Pipeline(name="one"):
        a = Numbers(name="a")
    with Pipeline(name="two"):
        b = Add(name="b")
    with pytest.raises(DistilabelUserError, match="create it in the same `with` block"):
        a >> b
    with pytest.raises(DistilabelTypeError, match="'c'.*belongs to no pipeline"):
        Add(name="c") >> b


def test_steps_are_added_to_the_innermost_pipeline() -> None:
    with Pipeline(name="outer") as outer:
        Add(name="a")
        with Pipeline(name="inner") as inner:
            Add(name="b")
        Add(name="c")
    Add(name="d")
    assert outer.step_names == ["a", "c"]
    assert inner.step_names == ["b"]


def test_names_are_numbered_and_must_be_unique() -> None:
    with Pipeline() as pipeline:
        Add()
        Add()
        with pytest.raises(PipelineValidationError, match="'add_0' already exists.*another `name`"):
            Add(name="add_0")
    assert pipeline.step_names == ["add_0", "add_1"]
    assert pipeline.name == "pipeline_add_0_add_1"


def test_cycles_are_refused() -> None:
    with Pipeline(name="p"):
        a, b, c = Add(name="a"), Add(name="b"), Merge(name="c")
        a >> b >> c
        with pytest.raises(PipelineValidationError, match="'c' to 'a' would create a cycle"):
            c >> a
        with pytest.raises(PipelineValidationError, match="'b' to 'b' would create a cycle"):
            b >> b


def test_an_edge_exists_once_and_generators_take_no_rows() -> None:
    with Pipeline(name="p"):
        a, b, n = Add(name="a"), Add(name="b"), Numbers(name="n")
        a >> b
        with pytest.raises(PipelineValidationError, match="'a' is already connected to 'b'"):
            a >> b
        with pytest.raises(PipelineValidationError, match="'n' .Numbers. makes rows of its own"):
            a >> n


def test_an_unknown_name_has_the_closest_one() -> None:
    with Pipeline(name="p") as pipeline:
        Add(name="generate")
    with pytest.raises(PipelineValidationError, match="no Step 'generat'.*mean 'generate'"):
        pipeline.graph.get("generat")


@pytest.mark.parametrize("name", ["a/b", "", ".hidden", "a\\b"])
def test_a_pipelines_name_is_a_folders_name(name: str) -> None:
    with pytest.raises(DistilabelUserError, match="can't be a folder's name"):
        Pipeline(name=name)


def test_order_has_predecessors_first() -> None:
    with Pipeline(name="p") as pipeline:
        d, c, b, a = Merge(name="d"), Add(name="c"), Add(name="b"), Numbers(name="a")
        a >> [b, c] >> d
        a >> d
    order = pipeline.graph.in_order()
    assert sorted(order) == ["a", "b", "c", "d"]
    assert all(order.index(x) < order.index(y) for x, y in edges(pipeline))


def test_join_levels() -> None:
    with Pipeline(name="p") as pipeline:
        a, b, c, d, e = (Numbers(name="a"), *(Add(name=name) for name in "bcde"))
        inner, outer = Merge(name="inner"), Merge(name="outer")
        a >> [b, c]
        b >> [d, e] >> inner
        [inner, c, a] >> outer
    graph = pipeline.graph
    assert graph.marks_fork("a") and graph.marks_fork("b")
    assert not graph.marks_fork("c")
    assert graph.join_spec("inner").level == 2
    assert graph.join_spec("outer").level == 1
    assert graph.join_spec("outer").names == ("inner", "c", "a")


def test_a_fork_whose_branches_never_meet_leaves_ids_alone() -> None:
    with Pipeline(name="p") as pipeline:
        a, b, c = Numbers(name="a"), Add(name="b"), Add(name="c")
        a >> [b, c]
    assert not pipeline.graph.marks_fork("a")


def test_repr_names_the_steps() -> None:
    with Pipeline(name="p") as pipeline:
        Add(name="a")
    assert repr(pipeline) == "Pipeline(name='p', steps=['a'])"
