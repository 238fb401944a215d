"""Joins: branches meet by the id of the row where they parted; compared with plain Python."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from beam_distilabel.errors import RowError, RunFailedError
from beam_distilabel.failures import Failure
from beam_distilabel.join import JoinSpec, align
from beam_distilabel.pipeline import Pipeline, routing_batch_function, sample_n_steps
from beam_distilabel.row import ROW_ID, Row
from beam_distilabel.steps import KeepColumns, LoadDataFromDicts
from beam_distilabel.steps.tasks import TextGeneration
from beam_distilabel.typing import StepInput, StepOutput
from tests.pipeline.fakes import Add, Lose, Merge, Numbers, Reverse, Shuffled, TaggedEcho, Times
from tests.pipeline.running import columns, failures_of, rows_of

X = [{"x": x} for x in range(7)]


def test_plain_fork(tmp_path: Path) -> None:
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(name="load", data=X)
        a, b, merge = Add(name="a", value="A"), Add(name="b", column="b", value="B"), Merge()
        load >> [a, b] >> merge
    rows = rows_of(pipeline.run(output_dir=tmp_path / "run"))
    assert rows == [{"x": x, "a": f"A{x}", "b": f"B{x}", "n": 2} for x in range(7)]


def test_a_branch_that_makes_several_rows(tmp_path: Path) -> None:
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(name="load", data=X)
        a, three, merge = Add(name="a"), Times(name="three"), Merge()
        load >> [a, three] >> merge
    rows = rows_of(pipeline.run(output_dir=tmp_path / "run"))
    expected = [(x, str(x), k, 2) for x in range(7) for k in range(3)]
    assert columns(rows, "x", "a", "k", "n") == expected


def test_several_generations_of_a_task(tmp_path: Path) -> None:
    data = [{"instruction": f"do {x}", "x": x} for x in range(4)]
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(name="load", data=data)
        one = TextGeneration(
            name="one", llm=TaggedEcho(tag="one"), output_mappings={"generation": "g1"}
        )
        three = TextGeneration(name="three", llm=TaggedEcho(tag="three"), num_generations=3)
        merge = Merge()
        load >> [one, three] >> merge
    rows = rows_of(pipeline.run(output_dir=tmp_path / "run"))
    expected = [(x, f"one: do {x}", f"three: do {x}") for x in range(4) for _ in range(3)]
    assert columns(rows, "x", "g1", "generation") == expected


def test_both_branches_make_several_rows(tmp_path: Path) -> None:
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(name="load", data=X)
        a, b = Times(name="a", times=2), Times(name="b", times=2, column="m")
        load >> [a, b] >> Merge()
    rows = rows_of(pipeline.run(output_dir=tmp_path / "run"))
    assert columns(rows, "x", "k", "m") == [(x, k, k) for x in range(7) for k in range(2)]


def test_a_lost_copy_does_not_shift_its_siblings(tmp_path: Path) -> None:
    """Where both branches make three rows and one loses the second, the third meets the third."""
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(name="load", data=X)
        a, b = Times(name="a"), Times(name="b", column="m")
        lose = Lose(name="lose", which=[{"x": 2, "m": 1}, {"x": 4, "m": 0}, {"x": 4, "m": 2}])
        merge = Merge(name="merge", on_failure="drop")
        load >> [a, b]
        b >> lose
        [a, lose] >> merge
    rows = rows_of(pipeline.run(output_dir=tmp_path / "run"))
    lost = {(2, 1), (4, 0), (4, 2)}
    expected = [(x, k, k) for x in range(7) for k in range(3) if (x, k) not in lost]
    assert columns(rows, "x", "k", "m") == expected
    failures = failures_of(tmp_path / "run")
    assert {(f["row"]["x"], f["row"]["k"]) for f in failures} == lost
    assert {(f["step"], f["kind"]) for f in failures} == {("merge", "join")}
    assert all("no row from lose" in f["message"] for f in failures)


def test_nested_forks_and_a_skip_connection(tmp_path: Path) -> None:
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(name="load", data=X)
        two = Times(name="two", times=2)
        a, b = Add(name="a", value="A"), Add(name="b", column="b", value="B")
        inner, outer = Merge(name="inner"), Merge(name="outer")
        side = Add(name="side", column="s", value="S")
        load >> [two, side]
        two >> [a, b] >> inner
        [inner, side, load] >> outer
    rows = rows_of(pipeline.run(output_dir=tmp_path / "run"))
    assert columns(rows, "x", "k", "a", "b", "s", "n") == [
        (x, k, f"A{x}", f"B{x}", f"S{x}", 3) for x in range(7) for k in range(2)
    ]


def test_forks_in_two_branches_that_share_a_join(tmp_path: Path) -> None:
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(name="load", data=X)
        b, c = Add(name="b", column="b"), Times(name="c", times=2)
        d, e = Add(name="d", column="d"), Add(name="e", column="e")
        f, g, h = Merge(name="f"), Merge(name="g"), Merge(name="h")
        load >> [b, c]
        b >> [d, e]
        c >> [f, g]
        d >> f
        e >> g
        [f, g] >> h
    rows = rows_of(pipeline.run(output_dir=tmp_path / "run"))
    assert columns(rows, "x", "k", "d", "e", "n") == [
        (x, k, str(x), str(x), 2) for x in range(7) for k in range(2)
    ]


def test_equal_rows_stay_apart(tmp_path: Path) -> None:
    data = [{"x": 1}, {"x": 2}, {"x": 1}, {"x": 1}]
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(name="load", data=data)
        a, b, c = Add(name="a"), Shuffled(name="b"), Times(name="c", times=2)
        load >> [a, b, c] >> Merge()
    rows = rows_of(pipeline.run(output_dir=tmp_path / "run"))
    assert columns(rows, "x", "a", "k") == [(d["x"], str(d["x"]), k) for d in data for k in (0, 1)]


def test_order_and_batches_do_not_matter(tmp_path: Path) -> None:
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(name="load", data=[{"x": x} for x in range(23)])
        a, b = Add(name="a", input_batch_size=4), Add(name="b", column="b", input_batch_size=3)
        shuffled = Shuffled(name="shuffled", input_batch_size=7)
        merge = Merge(input_batch_size=5)
        load >> [a, b]
        b >> shuffled
        [a, shuffled] >> merge
    rows = rows_of(pipeline.run(output_dir=tmp_path / "run"))
    assert columns(rows, "x", "a", "b") == [(x, str(x), str(x)) for x in range(23)]


def test_a_global_step_in_a_branch(tmp_path: Path) -> None:
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(name="load", data=X)
        a, reverse = Add(name="a"), Reverse(name="reverse")
        load >> [a, reverse] >> Merge()
    rows = rows_of(pipeline.run(output_dir=tmp_path / "run"))
    assert columns(rows, "x", "a", "place") == [(x, str(x), 6 - x) for x in range(7)]


def test_rows_that_a_global_step_can_not_use(tmp_path: Path) -> None:
    class Even(Reverse):
        @property
        def inputs(self) -> list[str]:
            return ["y"]

        def _check_usable(self, row: Row) -> None:
            if row["y"] % 2:
                raise ValueError(f"{row['y']} is odd")

        def process(self, *inputs: StepInput) -> StepOutput:
            yield [{**left, **right, "place": 0} for left, right in zip(*inputs, strict=True)]

    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(name="load", data=X)
        a, lose = Add(name="a"), Lose(name="lose", which=[{"x": 6}])
        even = Even(name="even", input_mappings={"y": "x"}, on_failure="drop")
        load >> [a, lose] >> even
    rows = rows_of(pipeline.run(output_dir=tmp_path / "run"))
    assert columns(rows, "x", "a") == [(x, str(x)) for x in (0, 2, 4)]
    failures = failures_of(tmp_path / "run")
    assert {(f["row"]["x"], f["kind"]) for f in failures} == {
        (1, "user_code"),
        (3, "user_code"),
        (5, "user_code"),
        (6, "join"),
    }


@pytest.mark.parametrize("on_failure", ["null", "drop"])
def test_a_row_lost_on_one_branch(tmp_path: Path, on_failure: Any) -> None:
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(name="load", data=X)
        a, lose = Add(name="a"), Lose(name="lose", which=[{"x": 3}, {"x": 5}])
        merge = Merge(name="merge", on_failure=on_failure)
        load >> [a, lose] >> merge
    distiset = pipeline.run(output_dir=tmp_path / "run")
    rows = distiset["default"]["train"].to_list()
    failures = failures_of(tmp_path / "run")
    assert [(f["step"], f["kind"], f["row"]["x"], f["row"]["a"]) for f in failures] == [
        ("merge", "join", 3, "3"),
        ("merge", "join", 5, "5"),
    ]
    if on_failure == "drop":
        assert columns(rows, "x", "n") == [(x, 2) for x in range(7) if x not in (3, 5)]
        return
    assert columns(rows, "x", "n") == [(x, None if x in (3, 5) else 2) for x in range(7)]
    reason = rows[3]["distilabel_metadata"]["failure_merge"]
    assert reason["kind"] == "join" and "no row from lose" in reason["message"]


def test_a_row_lost_on_one_branch_may_end_the_run(tmp_path: Path) -> None:
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(name="load", data=X)
        a, lose = Add(name="a"), Lose(name="lose", which=[{"x": 3}])
        load >> [a, lose] >> Merge(name="merge", on_failure="raise")
    with pytest.raises((RowError, RunFailedError), match="'merge'.*join.*no row from lose"):
        pipeline.run(output_dir=tmp_path / "run")


def test_two_roots_are_joined_by_position(tmp_path: Path) -> None:
    with Pipeline(name="p") as pipeline:
        left = LoadDataFromDicts(name="left", data=X)
        right = LoadDataFromDicts(name="right", data=[{"y": -x} for x in range(7)])
        two = Times(name="two", times=2)
        left >> two
        [two, right] >> Merge()
    rows = rows_of(pipeline.run(output_dir=tmp_path / "run"))
    assert columns(rows, "x", "k", "y") == [(x, k, -x) for x in range(7) for k in range(2)]


def test_roots_of_different_length_lose_nothing_silently(tmp_path: Path) -> None:
    with Pipeline(name="p") as pipeline:
        left = LoadDataFromDicts(name="left", data=X)
        right = LoadDataFromDicts(name="right", data=[{"y": x} for x in range(5)])
        [left, right] >> Merge(name="merge", on_failure="drop")
    rows = rows_of(pipeline.run(output_dir=tmp_path / "run"))
    assert columns(rows, "x", "y") == [(x, x) for x in range(5)]
    assert [f["row"]["x"] for f in failures_of(tmp_path / "run")] == [5, 6]


def test_a_root_that_joins_a_fork_of_another(tmp_path: Path) -> None:
    with Pipeline(name="p") as pipeline:
        left = LoadDataFromDicts(name="left", data=X)
        right = LoadDataFromDicts(name="right", data=[{"y": x} for x in range(7)])
        b, c = Add(name="b", column="b"), Times(name="c", times=2)
        d, e = Merge(name="d"), Merge(name="e")
        left >> [b, c]
        [b, right] >> d
        [d, c] >> e
    rows = rows_of(pipeline.run(output_dir=tmp_path / "run"))
    expected = [(x, str(x), x, k) for x in range(7) for k in range(2)]
    assert columns(rows, "x", "b", "y", "k") == expected


def test_a_built_in_row_step_as_a_join(tmp_path: Path) -> None:
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(name="load", data=X)
        a, three = Add(name="a"), Times(name="three")
        load >> [a, three] >> KeepColumns(columns=["a", "k"])
    rows = rows_of(pipeline.run(output_dir=tmp_path / "run"))
    assert rows == [{"a": str(x), "k": k} for x in range(7) for k in range(3)]


# -- routed branches -------------------------------------------------------------------------------


@routing_batch_function()
def one_by_seed(steps: list[str]) -> list[str]:
    import random

    return [random.choice(steps)]


def test_a_routed_branch_misses_no_rows(tmp_path: Path) -> None:
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(name="load", data=X)
        a, b, c = Add(name="a"), Add(name="b", column="b"), Times(name="c", times=2)
        load >> sample_n_steps(2) >> [a, b, c] >> Merge()
    rows = rows_of(pipeline.run(output_dir=tmp_path / "run"))
    assert failures_of(tmp_path / "run") == []
    for x in range(7):
        mine = [row for row in rows if row["x"] == x]
        taken = [name for name in ("a", "b", "k") if mine[0].get(name) is not None]
        assert len(taken) == 2
        assert len(mine) == (2 if "k" in taken else 1)
        assert all(row["n"] == 2 for row in mine)


def test_a_row_lost_on_the_branch_that_it_was_routed_to(tmp_path: Path) -> None:
    @routing_batch_function()
    def first_two(steps: list[str]) -> list[str]:
        return steps[:2]

    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(name="load", data=X)
        a, b, c = Add(name="a"), Lose(name="b", which=[{"x": 1}]), Add(name="c", column="c")
        load >> first_two >> [a, b, c] >> Merge(name="merge", on_failure="drop")
    rows = rows_of(pipeline.run(output_dir=tmp_path / "run"))
    assert columns(rows, "x", "n") == [(x, 2) for x in range(7) if x != 1]
    (failure,) = failures_of(tmp_path / "run")
    assert failure["kind"] == "join" and "no row from b" in failure["message"]
    assert "a: 1, b: 0, c: 0" in failure["message"]


def test_a_router_inside_a_branch_explains_what_is_missing(tmp_path: Path) -> None:
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(name="load", data=X)
        side, pre = Add(name="side", column="s"), Add(name="pre", column="p")
        b, c = Add(name="b", column="b"), Add(name="c", column="c")
        load >> [side, pre]
        pre >> one_by_seed >> [b, c]
        [side, b, c] >> Merge(name="merge")
    rows = rows_of(pipeline.run(output_dir=tmp_path / "run"))
    assert failures_of(tmp_path / "run") == []
    assert [row["x"] for row in rows] == list(range(7))
    assert all((row["b"] is None) != (row["c"] is None) for row in rows)
    assert all(row["n"] == 2 and row["s"] == str(row["x"]) for row in rows)


def test_a_row_lost_after_routed_branches_met_is_found(tmp_path: Path) -> None:
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(name="load", data=X)
        side, pre = Add(name="side", column="s"), Add(name="pre", column="p")
        b, c = Add(name="b", column="b"), Add(name="c", column="c")
        met, lose = Merge(name="met"), Lose(name="lose", which=[{"x": 4}])
        load >> [side, pre]
        pre >> one_by_seed >> [b, c] >> met >> lose
        [side, lose] >> Merge(name="merge", on_failure="drop")
    rows = rows_of(pipeline.run(output_dir=tmp_path / "run"))
    assert [row["x"] for row in rows] == [x for x in range(7) if x != 4]
    (failure,) = failures_of(tmp_path / "run")
    assert (failure["kind"], failure["row"]["x"]) == ("join", 4)


def test_routed_rows_with_one_route_outside_of_the_join(tmp_path: Path) -> None:
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(name="load", data=X)
        a, b, other = Add(name="a"), Add(name="b", column="b"), Add(name="other", column="o")
        load >> sample_n_steps(2) >> [a, b, other]
        [a, b] >> Merge(name="merge")
    distiset = pipeline.run(output_dir=tmp_path / "run")
    assert failures_of(tmp_path / "run") == []
    met, alone = rows_of(distiset, "merge"), rows_of(distiset, "other")
    assert [row["x"] for row in met] == list(range(7))
    single = {row["x"] for row in met if row["n"] == 1}
    assert single == {row["x"] for row in alone}


# -- against an independent oracle -----------------------------------------------------------------

Op = tuple[str, Any]
"""("add" | "times" | "shuffle", a column), or ("fork", the chains of its branches)."""


@st.composite
def chains(draw: Any, depth: int, may_multiply: bool, min_size: int = 0) -> list[Op]:
    """Steps in a row; forks may be nested, and one branch of each may multiply rows."""
    ops: list[Op] = []
    kinds = ["add", "shuffle", *(["times"] * may_multiply), *(["fork"] * (depth > 0))]
    for kind in draw(st.lists(st.sampled_from(kinds), min_size=min_size, max_size=2)):
        if kind != "fork":
            ops.append((kind, f"c{draw(st.integers(0, 10**9))}"))
            continue
        count = draw(st.integers(2, 3))
        multiplies = draw(st.integers(0, count - 1)) if may_multiply else None
        # One branch at most is an edge without a Step.
        branches = [
            draw(chains(depth - 1, b == multiplies, min_size=int(b > 0))) for b in range(count)
        ]
        ops.append(("fork", branches))
    return ops


def expected_of(chain: list[Op], rows: list[Row]) -> list[Row]:
    """What the chain makes of `rows`, in plain Python."""
    for kind, what in chain:
        if kind == "add":
            rows = [{**row, what: str(row["x"])} for row in rows]
        elif kind == "times":
            rows = [{**row, what: k} for row in rows for k in range(2)]
        elif kind == "fork":
            rows = [
                {k: v for part in parts for k, v in part.items()}
                for row in rows
                for parts in itertools.product(*(expected_of(branch, [row]) for branch in what))
            ]
    return rows


def build(chain: list[Op], end: Any, pad: Any) -> Any:
    """Append the chain's Steps to `end`; returns the last one."""
    for kind, what in chain:
        if kind == "add":
            end = end >> Add(name=f"{what}-{next(pad)}", column=what, input_batch_size=2)
        elif kind == "times":
            end = end >> Times(name=f"{what}-{next(pad)}", column=what, times=2)
        elif kind == "shuffle":
            end = end >> Shuffled(name=f"shuffled-{next(pad)}")
        else:
            ends = [build(branch, end, pad) for branch in what]
            end = ends >> Merge(name=f"merge-{next(pad)}")
    return end


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(count=st.integers(1, 5), chain=chains(2, True, min_size=1))
def test_generated_graphs_agree_with_the_oracle(
    tmp_path_factory: pytest.TempPathFactory, count: int, chain: list[Op]
) -> None:
    data = [{"x": x} for x in range(count)]
    with Pipeline(name="generated") as pipeline:
        build(chain, LoadDataFromDicts(name="load", data=data), itertools.count())
    folder = tmp_path_factory.mktemp("generated")
    rows = rows_of(pipeline.run(output_dir=folder / "run"))
    assert [{k: v for k, v in row.items() if k != "n"} for row in rows] == expected_of(chain, data)
    assert failures_of(folder / "run") == []


@given(
    a=st.integers(1, 4),
    b=st.integers(1, 4),
    lost=st.sets(st.tuples(st.sampled_from("ab"), st.integers(0, 3))),
)
def test_align_pairs_copies_by_number_and_names_each_loss(
    a: int, b: int, lost: set[tuple[str, int]]
) -> None:
    def rows(name: str, count: int) -> list[Row]:
        if count == 1:
            return [{ROW_ID: "0-3/", name: 0}] if (name, 0) not in lost else []
        return [{ROW_ID: f"0-3/{i}", name: i} for i in range(count) if (name, i) not in lost]

    left, right = rows("a", a), rows("b", b)
    if not left and not right:
        return
    spec = JoinSpec(1, ("left", "right"), (1, 2))
    results = list(align("0-3/", [left, right], spec, "merge"))
    joined = [[part or {} for part in r] for r in results if isinstance(r, tuple)]
    lone = [r.row for r in results if isinstance(r, Failure)]
    pairs = {(parts[0]["a"], parts[1]["b"]) for parts in joined}
    kept_a, kept_b = {r["a"] for r in left}, {r["b"] for r in right}
    if a == 1 or b == 1:
        assert pairs == {(i, j) for i in kept_a for j in kept_b}
    else:
        assert pairs == {(i, i) for i in kept_a & kept_b}
        assert len(lone) == len(kept_a ^ kept_b)
    ids = [*(parts[0][ROW_ID] for parts in joined), *(row[ROW_ID] for row in lone)]
    assert len(set(ids)) == len(ids)


def test_numbers_generator_as_a_root(tmp_path: Path) -> None:
    with Pipeline(name="p") as pipeline:
        numbers = Numbers(name="numbers", count=5)
        a, three = Add(name="a"), Times(name="three")
        numbers >> [a, three] >> Merge()
    rows = rows_of(pipeline.run(output_dir=tmp_path / "run"))
    assert columns(rows, "x", "a", "k") == [(x, str(x), k) for x in range(5) for k in range(3)]
