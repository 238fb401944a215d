"""The graph: what `>>` and `connect` build, leaves, and where branches part and meet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from beam_distilabel.errors import (
    DistilabelTypeError,
    DistilabelUserError,
    PipelineValidationError,
)
from beam_distilabel.pipeline import Pipeline, Route, routing_batch_function, sample_n_steps
from beam_distilabel.pipeline.validation import validate
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


def test_a_router_in_two_lines_and_again_after_an_error() -> None:
    router = sample_n_steps(1)
    with Pipeline(name="p") as pipeline:
        a, b, c = Numbers(name="a"), Add(name="b"), Add(name="c")
        a >> router
        with pytest.raises(DistilabelUserError, match="followed by a list of Steps, got Add"):
            router >> b
        assert pipeline.graph.unfinished == {"a": router}
        assert (router >> [b, c]) == [b, c]
        with pytest.raises(DistilabelUserError, match="no Step before it; write"):
            router >> [b, c]
    assert edges(pipeline) == {("a", "b"), ("a", "c")}
    assert pipeline.graph.unfinished == {}


def test_a_route_connects_the_steps_that_it_names() -> None:
    with Pipeline(name="p") as pipeline:
        a, b, c, d = Numbers(name="a"), Add(name="b"), Add(name="c"), Merge(name="d")
        route = Route("x", to={1: b, 2: ["c", b]})
        assert a >> route >> d is d
    assert edges(pipeline) == {("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")}
    assert pipeline.graph.routers == {"a": route}
    assert pipeline.graph.predecessors("d") == ["b", "c"]
    with Pipeline(name="q") as pipeline:
        a, b = Numbers(name="a"), Add(name="b")
        c = Add(name="c")
        a.connect(b, c, routing_batch_function=Route("x", to={1: b}, default="c"))
        b.connect(routing_batch_function=Route("x", to={1: Add(name="e"), 2: Add(name="f")}))
    assert edges(pipeline) == {("a", "b"), ("a", "c"), ("b", "e"), ("b", "f")}


def test_a_route_may_send_all_rows_to_one_step() -> None:
    with Pipeline(name="p") as pipeline:
        numbers = LoadDataFromDicts(name="a", data=[{"x": 1}, {"x": 2}])
        numbers >> Route("x", to={1: Add(name="b")})
    validate(pipeline.graph, has_input=False)


def test_outside_of_the_block_and_in_pieces() -> None:
    with Pipeline(name="p") as pipeline:
        a, b, c, d, e = Numbers(name="a"), *(Add(name=n) for n in "bc"), Merge(name="d"), Add()
    a >> [b, c] >> d
    d.connect(e)
    assert edges(pipeline) == {("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"), ("d", "add_0")}


def test_connect_takes_several_steps() -> None:
    with Pipeline(name="p") as pipeline:
        a, b, c = Numbers(name="a"), Add(name="b"), Add(name="c")
        a.connect(b, c)
        with pytest.raises(DistilabelUserError, match="'b' was connected to nothing; name the"):
            b.connect()
        with pytest.raises(DistilabelUserError, match="^list of Step 'b' .Add., Step 'c'"):
            a.connect([b, c])  # type: ignore[arg-type]
    assert edges(pipeline) == {("a", "b"), ("a", "c")}


def test_pipelines_in_one_another_keep_to_themselves() -> None:
    with Pipeline(name="outer") as outer:
        a = Numbers(name="a")
        with Pipeline(name="inner") as inner:
            b, c = Numbers(name="a"), Add(name="b")
            b >> c
        d = Add(name="b")
        a >> d
        with pytest.raises(DistilabelUserError, match="Step 'b' .Add. is no Step of the pipeline"):
            a >> c
    assert edges(outer) == edges(inner) == {("a", "b")}


def test_a_list_after_a_list() -> None:
    """Python lets no one else say what `[a, b] >> [c, d]` is, unless `>>` made the first list."""
    with Pipeline(name="p") as pipeline:
        a, b, c, d, e = (Numbers(name="a"), *(Add(name=name) for name in "bcde"))
        with pytest.raises(DistilabelUserError, match="`a >> c` and `b >> d` where they go on in"):
            a >> [b, c] >> [d, e]
        with pytest.raises(TypeError, match="unsupported operand"):
            _ = [b, c] >> [d, e]  # type: ignore[operator]
    assert edges(pipeline) == {("a", "b"), ("a", "c")}


def test_what_fails_connects_nothing() -> None:
    with Pipeline(name="p") as pipeline:
        a, b, c = Numbers(name="a"), Add(name="b"), Merge(name="c")
        wrongs: list[Callable[[], Any]] = [
            lambda: a >> [b, b],
            lambda: a >> [b, a],
            lambda: a >> sample_n_steps(1) >> [b, b],
            lambda: [b, b] >> c,
            lambda: [b, c] >> c,
            lambda: a >> Route("x", to={1: b}, default="nobody"),
            lambda: a >> Route("x", to={1: b, 2: a}),
        ]
        for wrong in wrongs:
            with pytest.raises(PipelineValidationError):
                wrong()
    assert edges(pipeline) == set()
    assert pipeline.graph.routers == {}


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
