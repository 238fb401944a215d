"""Load stages and jobs, as graphs of names: nothing is run here."""

from __future__ import annotations

import itertools
from collections.abc import Collection
from typing import Any

import pytest
from hypothesis import given, strategies as st

from beam_distilabel.errors import PipelineValidationError
from beam_distilabel.pipeline import Pipeline
from beam_distilabel.pipeline.graph import Graph
from beam_distilabel.pipeline.stages import checked_groups, job_stages, load_stages
from tests.pipeline.fakes import Add, Merge, Numbers, Reverse


def graph_of(edges: str, globals_: str = "") -> Graph:
    """A graph of one-letter Steps, such as "ab bc"."""
    graph = Graph()
    for name in dict.fromkeys(edges.replace(" ", "")):
        step: Any = (Reverse if name in globals_ else Merge)(name=name)
        graph.add(step)
    for source, target in edges.split():
        graph.connect(source, target)
    return graph


def groups_of(text: str) -> list[list[str]]:
    return [list(group) for group in text.split()]


def joined(stages: list[list[str]]) -> str:
    return " ".join("".join(stage) for stage in stages)


@pytest.mark.parametrize(
    ("edges", "globals_", "groups", "stages", "last"),
    [
        ("ab bc", "", "", "abc", "c"),
        ("ab bc", "b", "", "a b c", "a b c"),
        ("ab bc cd", "", "b", "a b cd", "a b d"),
        ("ab ac bd cd", "", "bc", "a bc d", "a bc d"),
        ("ab ac bd cd", "", "c", "ab c d", "b c d"),
        ("ab bc cd ae", "c", "", "abe c d", "be c d"),
        ("ab bc cd", "d", "ab", "ab c d", "b c d"),
    ],
)
def test_load_stages_are_distilabels(
    edges: str, globals_: str, groups: str, stages: str, last: str
) -> None:
    """What distilabel 1.5.3 gives for the same pipelines."""
    graph = graph_of(edges, globals_)
    found = load_stages(graph, checked_groups(graph, groups_of(groups)))
    assert (joined(found.stages), joined(found.last_steps)) == (stages, last)


def test_every_step_alone() -> None:
    graph = graph_of("ab ac bd cd")
    groups = checked_groups(graph, "sequential_step_execution")
    assert joined(load_stages(graph, groups).stages) == "a b c d"


def test_a_group_waits_for_all_that_it_needs() -> None:
    graph = graph_of("ab ac bd cd")
    assert joined(load_stages(graph, checked_groups(graph, [["b", "d"]])).stages) == "ac bd"


@pytest.mark.parametrize(
    ("edges", "groups"), [("ab bc", "ac"), ("ab bc ac", "ac"), ("ab cd", "ad bc")]
)
def test_groups_that_rows_leave_and_enter_again(edges: str, groups: str) -> None:
    with pytest.raises(PipelineValidationError, match="can't be loaded together.*aren't in"):
        checked_groups(graph_of(edges), groups_of(groups))


def test_steps_may_be_given_instead_of_names() -> None:
    with Pipeline(name="p") as pipeline:
        numbers, add = Numbers(name="numbers", count=1), Add(name="add")
        numbers >> add
    assert pipeline.get_load_stages([[add]]) == ([["numbers"], ["add"]], [["numbers"], ["add"]])
    assert pipeline.get_load_stages() == ([["numbers", "add"]], [["add"]])


# -- jobs ------------------------------------------------------------------------------------------


def at_most(count: int) -> Any:
    return lambda keys: len(keys) <= count


def models_of(text: str) -> dict[str, frozenset[str]]:
    """ "bX cY" says that Step b loads model X, and c loads Y."""
    return {step: frozenset(models) for step, *models in text.split()}


@pytest.mark.parametrize(
    ("edges", "models", "count", "jobs"),
    [
        ("ab bc", "bX cY", 2, "abc"),
        ("ab bc", "bX cX", 1, "abc"),
        ("ab bc", "bX cY", 1, "ab c"),
        ("ab bc cd", "bX cY dX", 1, "ab c d"),
        # A Step without a model runs as early as it can, so that a filter makes fewer rows cross.
        ("ab bc cd", "bX dY", 1, "abc d"),
        # The model that both a branch and the Step after the join need is loaded once.
        ("ab ac bd cd", "bX cY dX", 1, "ac bd"),
        ("ab ac bd cd", "bX cY dY", 1, "ab cd"),
        ("ab bc cd de", "bX cY dZ eY", 2, "abc de"),
    ],
)
def test_jobs_are_as_few_as_memory_allows(edges: str, models: str, count: int, jobs: str) -> None:
    assert joined(job_stages(graph_of(edges), [], models_of(models), at_most(count))) == jobs


def test_a_global_step_alone_makes_no_job() -> None:
    graph = graph_of("ab bc cd", "c")
    assert joined(job_stages(graph, [], {}, at_most(0))) == "abcd"


def test_groups_are_jobs_and_cut_further_where_they_do_not_fit() -> None:
    graph = graph_of("ab bc cd")
    groups = checked_groups(graph, [["b", "c"]])
    assert joined(job_stages(graph, groups, {}, at_most(0))) == "a bc d"
    assert joined(job_stages(graph, groups, models_of("bX cY"), at_most(1))) == "a b c d"


@st.composite
def cases(draw: Any) -> tuple[Graph, dict[str, frozenset[str]], list[list[str]]]:
    names = "abcdefgh"[: draw(st.integers(2, 8))]
    pairs = list(itertools.combinations(names, 2))
    edges = draw(st.lists(st.sampled_from(pairs), unique=True, max_size=12))
    graph = Graph()
    for name in names:
        step: Any = Merge(name=name)
        graph.add(step)
    for source, target in edges:
        graph.connect(source, target)
    models = {n: frozenset(draw(st.sets(st.sampled_from("UVWXYZ"), max_size=2))) for n in names}
    chosen = draw(st.lists(st.sampled_from(names), unique=True))
    groups = [[name] for name in chosen]
    return graph, models, groups


@given(cases(), st.integers(2, 4))
def test_every_job_fits_and_follows_what_it_needs(case: Any, count: int) -> None:
    graph, models, groups = case
    asked: list[Collection[str]] = []

    def fits(keys: Collection[str]) -> bool:
        asked.append(keys)
        return len(keys) <= count

    jobs = job_stages(graph, checked_groups(graph, groups), models, fits)
    order = [name for job in jobs for name in job]
    assert sorted(order) == sorted(graph.steps)
    for name in order:
        assert all(order.index(other) < order.index(name) for other in graph.predecessors(name))
    for job in jobs:
        assert len(frozenset().union(*(models[name] for name in job))) <= count
        assert all(job == group for group in groups if set(group) & set(job))
