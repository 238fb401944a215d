"""Joining the branches that meet at a Step. How a Pipeline sets joins up: tests/pipeline."""

from typing import Any

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.test_stream import TestStream
from apache_beam.transforms.window import FixedWindows, GlobalWindows, TimestampedValue

from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.failures import Failure
from beam_distilabel.join import JoinSpec, align
from beam_distilabel.row import DRAW, ROW_ID, Row, child_id, fork_id
from beam_distilabel.step import Step
from beam_distilabel.transforms.sources.load_data_from_dicts import LoadDataFromDicts
from beam_distilabel.typing import StepInput, StepOutput
from tests.fakes import journal, new_name, options, plain

SPEC = JoinSpec(level=1, names=("left", "right"))


class Pair(Step):
    """Puts the rows of its predecessors side by side."""

    @property
    def outputs(self) -> list[str]:
        return ["pair"]

    def process(self, *inputs: StepInput) -> StepOutput:
        journal(f"{self.name}/calls").add([len(rows) for rows in inputs])
        yield [
            {
                **{k: v for part in parts for k, v in part.items()},
                "pair": [part["side"] for part in parts],
            }
            for parts in zip(*inputs, strict=True)
        ]


class Times(Step):
    """Makes `times` rows of each."""

    times: int
    side: str

    def process(self, inputs: StepInput) -> StepOutput:  # type: ignore[override]
        yield [
            {**row, "side": f"{self.side}{row['x']}.{k}"}
            for row in inputs
            for k in range(self.times)
        ]


def aligned(
    left: list[Row], right: list[Row], key: str = "0-0/", spec: JoinSpec = SPEC
) -> list[Any]:
    return list(align(key, [left, right], spec, "pair"))


def row(*children: int, key: str = "0-0/", **columns: Any) -> Row:
    row_id = key
    for child in children:
        row_id = child_id(row_id, child)
    return {ROW_ID: row_id, **columns}


# ---------------------------------------------------------------------------------- one ancestor


def test_one_row_per_branch() -> None:
    [(left, right)] = aligned([row(a=1)], [row(b=2)])
    assert (left, right) == (row(a=1), row(b=2))


def test_one_row_joins_all_of_several() -> None:
    found = aligned([row(a=1)], [row(k, b=k) for k in range(3)])
    assert [(left["a"], right["b"]) for left, right in found] == [(1, 0), (1, 1), (1, 2)]
    assert [left[ROW_ID] for left, _ in found] == [right[ROW_ID] for _, right in found]
    assert len({left[ROW_ID] for left, _ in found}) == 3


def test_several_join_several_in_order() -> None:
    found = aligned([row(k, a=k) for k in range(2)], [row(k, b=k) for k in range(2)])
    assert [(left["a"], right["b"]) for left, right in found] == [(0, 0), (1, 1)]


def test_a_row_that_one_branch_lost_is_a_failure() -> None:
    [failure] = aligned([row(a=1)], [])
    assert isinstance(failure, Failure)
    assert (failure.step, failure.kind) == ("pair", "join")
    assert "no row from right for the row '0-0/'" in failure.message
    assert "left: 1, right: 0" in failure.message
    assert failure.row == row(a=1)


def test_one_of_several_that_is_lost_is_one_failure() -> None:
    found = aligned([row(k, a=k) for k in range(3)], [row(k, b=k) for k in (0, 2)])
    kinds = [type(one).__name__ for one in found]
    assert sorted(kinds) == ["Failure", "tuple", "tuple"]
    for one in found:
        if isinstance(one, tuple):
            assert one[0]["a"] == one[1]["b"]


def test_a_branch_that_the_router_left_out_is_none() -> None:
    spec = JoinSpec(level=1, names=("left", "right"), routes=(0b01, 0b10))
    key = fork_id("0-0", 0b01)
    assert aligned([row(key=key, a=1)], [], key, spec) == [(row(key=key, a=1), None)]
    # Where the router chose both, a row that is missing was lost.
    both = fork_id("0-0", 0b11)
    [failure] = aligned([row(key=both, a=1)], [], both, spec)
    assert isinstance(failure, Failure)


def test_draws_are_kept() -> None:
    [(left, right)] = aligned([{**row(a=1), DRAW: 3}], [row(b=2)])
    assert (left[DRAW], right[DRAW]) == (3, 3)


# ---------------------------------------------------------------------------------- in Beam


def joined(pipeline: Any, left: Any, right: Any, step: Any, found: str) -> None:
    outputs = (left, right) | step.with_failures()
    _ = outputs["rows"] | "Rows" >> beam.Map(lambda r, name: journal(name).add(r), found)
    _ = outputs["failures"] | "Failed" >> beam.Map(
        lambda r, name: journal(f"{name}/failed").add(r), found
    )


@pytest.mark.parametrize("named", [True, False])
def test_two_collections_are_joined_by_their_rows(named: bool) -> None:
    """Rows that came without ids are known by what they hold."""
    found = new_name()
    data = [{"x": n} for n in range(30)]
    with beam.Pipeline(runner=FnApiRunner(), options=options(1)) as pipeline:
        source = LoadDataFromDicts(data=data) if named else beam.Create(data)
        rows = pipeline | source
        left = rows | Times(name="left", times=1, side="l", input_batch_size=7)
        right = rows | Times(name="right", times=1, side="r")
        joined(pipeline, left, right, Pair(name=found), found)
    done = journal(found).events
    assert sorted(plain(done), key=lambda r: r["x"]) == [
        {"x": n, "side": f"r{n}.0", "pair": [f"l{n}.0", f"r{n}.0"]} for n in range(30)
    ]
    assert len({r[ROW_ID] for r in done}) == 30
    assert not journal(f"{found}/failed").events


def test_a_branch_that_made_several_rows() -> None:
    found = new_name()
    with beam.Pipeline(runner=FnApiRunner(), options=options(1)) as pipeline:
        rows = pipeline | LoadDataFromDicts(data=[{"x": n} for n in range(5)])
        left = rows | Times(name="left", times=1, side="l")
        right = rows | Times(name="right", times=3, side="r")
        joined(pipeline, left, right, Pair(name=found), found)
    done = journal(found).events
    assert sorted(r["pair"] for r in done) == [
        [f"l{n}.0", f"r{n}.{k}"] for n in range(5) for k in range(3)
    ]
    assert len({r[ROW_ID] for r in done}) == 15


@pytest.mark.parametrize("on_failure", ["null", "drop", "raise"])
def test_a_lost_row(on_failure: Any) -> None:
    found = new_name()

    def run() -> None:
        with beam.Pipeline(runner=FnApiRunner(), options=options(1)) as pipeline:
            left = pipeline | "L" >> beam.Create(
                [{ROW_ID: f"0-{n}", "x": n, "side": "l"} for n in range(3)]
            )
            right = pipeline | "R" >> beam.Create([{ROW_ID: f"0-{n}", "side": "r"} for n in (0, 2)])
            joined(pipeline, left, right, Pair(name=found, on_failure=on_failure), found)

    if on_failure == "raise":
        with pytest.raises(Exception, match="a row failed .join.: no row from input 1"):
            run()
        return
    run()
    pairs = {r["x"]: r["pair"] for r in journal(found).events}
    assert pairs == {0: ["l", "r"], 2: ["l", "r"]} | ({1: None} if on_failure == "null" else {})
    [failure] = journal(f"{found}/failed").events
    assert (failure.kind, failure.row["x"]) == ("join", 1)


def test_what_a_joining_step_changes_it_changes_for_itself() -> None:
    """One row joins several: they share what is in it."""
    found = new_name()

    class Spoils(Pair):
        def process(self, *inputs: StepInput) -> StepOutput:
            for left in inputs[0]:
                left["tags"].append("spoilt")
            yield [{**left, "pair": len(left["tags"])} for left in inputs[0]]

    with beam.Pipeline(runner=FnApiRunner(), options=options(1)) as pipeline:
        rows = pipeline | LoadDataFromDicts(data=[{"x": 1, "tags": ["one"]}])
        left = rows | Times(name="left", times=1, side="l")
        right = rows | Times(name="right", times=3, side="r")
        joined(pipeline, left, right, Spoils(name=found), found)
    assert [r["pair"] for r in journal(found).events] == [2, 2, 2]


def test_windows_are_joined_apart() -> None:
    found = new_name()

    def times(pipeline: Any, label: str, side: str) -> Any:
        rows = [
            TimestampedValue({ROW_ID: "0-0", "x": t, "side": f"{side}{t}"}, t) for t in (1, 15, 25)
        ]
        return (
            pipeline | label >> beam.Create(rows) | f"{label}w" >> beam.WindowInto(FixedWindows(10))
        )

    with beam.Pipeline(runner=FnApiRunner(), options=options(1)) as pipeline:
        left, right = times(pipeline, "L", "l"), times(pipeline, "R", "r")
        joined(pipeline, left, right, Pair(name=found), found)
    assert sorted(r["pair"] for r in journal(found).events) == [
        ["l1", "r1"],
        ["l15", "r15"],
        ["l25", "r25"],
    ]


def test_streams_in_the_global_window_would_never_be_joined() -> None:
    pipeline = beam.Pipeline(runner=FnApiRunner(), options=options(1))
    streams = [
        pipeline
        | f"Stream{i}" >> TestStream().add_elements([{ROW_ID: "0-0", "side": "a"}])
        | f"Same{i}" >> beam.Map(dict)
        for i in range(2)
    ]
    for stream in streams:
        assert not stream.is_bounded
    with pytest.raises(DistilabelUserError, match="'pair' .Pair. joins unbounded inputs in the gl"):
        _ = tuple(streams) | Pair(name="pair")
    windowed = [
        stream | f"Window{i}" >> beam.WindowInto(FixedWindows(10))
        for i, stream in enumerate(streams)
    ]
    _ = tuple(windowed) | Pair(name="windowed")


def test_inputs_that_are_windowed_differently() -> None:
    pipeline = beam.Pipeline(runner=FnApiRunner(), options=options(1))
    left = pipeline | "L" >> beam.Create([{"x": 1}]) | beam.WindowInto(FixedWindows(10))
    right = pipeline | "R" >> beam.Create([{"x": 1}]) | "G" >> beam.WindowInto(GlobalWindows())
    with pytest.raises(DistilabelUserError, match="windowed differently .*; window them alike"):
        _ = (left, right) | Pair(name="pair")
