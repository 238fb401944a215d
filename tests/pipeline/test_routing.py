"""Routing: whom a row goes to depends on the row, and nothing is lost on the way."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from beam_distilabel.errors import DistilabelError, DistilabelUserError
from beam_distilabel.pipeline import Pipeline, routing_batch_function, sample_n_steps
from beam_distilabel.steps import LoadDataFromDicts
from tests.pipeline.fakes import Add, Merge, Shuffled
from tests.pipeline.running import rows_of


def routed(run_dir: Path, shuffled: bool) -> dict[int, str]:
    """Row to the branch that it took, of 200 rows and two branches."""
    with Pipeline(name="routed") as pipeline:
        load = LoadDataFromDicts(name="load", data=[{"x": x} for x in range(200)])
        a, b = Add(name="a"), Add(name="b")
        start = load
        if shuffled:
            start = load >> Shuffled(name="shuffled", input_batch_size=17)
        start >> sample_n_steps(1) >> [a, b]
    distiset = pipeline.run(output_dir=run_dir)
    return {row["x"]: name for name in distiset for row in rows_of(distiset, name)}


def test_a_drawn_route_repeats_itself(tmp_path: Path) -> None:
    first = routed(tmp_path / "first", shuffled=False)
    counts = Counter(first.values())
    assert len(first) == 200
    assert 70 < counts["a"] < 130  # both branches get their share
    assert routed(tmp_path / "second", shuffled=False) == first


def test_a_users_function_and_every_row_arrives_once(tmp_path: Path) -> None:
    @routing_batch_function(description="The first and the last.")
    def outer(steps: list[str]) -> list[str]:
        return [steps[-1], steps[0]]

    with Pipeline(name="user") as pipeline:
        load = LoadDataFromDicts(name="load", data=[{"x": x} for x in range(5)])
        ends = [Add(name=name, column=name) for name in "abc"]
        load >> outer >> ends >> Merge()
    rows = rows_of(pipeline.run(output_dir=tmp_path / "run"))
    assert [(row["x"], row["a"], row["c"], row["n"]) for row in rows] == [
        (x, str(x), str(x), 2) for x in range(5)
    ]
    assert all(row.get("b") is None for row in rows)


def test_route_draws_from_the_seed_and_leaves_the_global_generator_alone() -> None:
    router = sample_n_steps(2)
    names = list("abcdef")
    random.seed(3)
    expected = [random.random() for _ in range(3)]
    random.seed(3)
    drawn = [random.random()]
    routes = [router.route(names, seed) for seed in range(50)]
    drawn += [random.random() for _ in range(2)]
    assert drawn == expected
    assert routes == [router.route(names, seed) for seed in range(50)]
    assert len({tuple(route) for route in routes}) > 8
    assert all(len(set(route)) == 2 and sorted(route) == route for route in routes)


def test_more_steps_than_there_are() -> None:
    with pytest.raises(DistilabelError, match="n=5, but only 2 Steps are connected"):
        sample_n_steps(5).route(["a", "b"], 0)
    wrongs: list[Any] = [0, -1, True, 1.5, "2", None]
    for wrong in wrongs:
        with pytest.raises(DistilabelUserError, match=f"n={wrong!r} has to be a whole number"):
            sample_n_steps(wrong)


def test_a_function_that_returns_what_is_not_connected_or_nothing() -> None:
    @routing_batch_function
    def elsewhere(steps: list[str]) -> list[str]:
        return ["z"]

    @routing_batch_function
    def nowhere(steps: list[str]) -> list[str]:
        return []

    with pytest.raises(DistilabelError, match=r"'elsewhere' returned 'z'.*\['a', 'b'\]"):
        elsewhere.route(["a", "b"], 0)
    with pytest.raises(DistilabelError, match="'nowhere' returned no Step.*at least one"):
        nowhere.route(["a", "b"], 0)


def test_a_failing_function_leaves_the_global_generator_alone() -> None:
    @routing_batch_function
    def fails(steps: list[str]) -> list[str]:
        random.random()
        raise KeyError("no")

    state = random.getstate()
    with pytest.raises(KeyError):
        fails.route(["a"], 0)
    assert random.getstate() == state


def test_with_and_without_parentheses() -> None:
    @routing_batch_function
    def plain(steps: list[str]) -> list[str]:
        return steps

    @routing_batch_function("Everywhere.")
    def described(steps: list[str]) -> list[str]:
        return steps

    assert (plain.name, plain.description) == ("plain", None)
    assert (described.name, described.description) == ("described", "Everywhere.")
    assert plain(["a"]) == described(["a"]) == ["a"]
