"""How Beam runs a Step's `process`."""

from typing import Any

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms import trigger
from apache_beam.transforms.window import FixedWindows, TimestampedValue
from pydantic import PrivateAttr

from beam_distilabel.errors import EngineError
from beam_distilabel.failures import Failure
from beam_distilabel.metadata import METADATA
from beam_distilabel.row import DRAW, ROW_ID, sort_key
from beam_distilabel.step import GlobalStep, RowStep, Step
from beam_distilabel.transforms.columns.keep_columns import KeepColumns
from beam_distilabel.transforms.sources.load_data_from_dicts import LoadDataFromDicts
from beam_distilabel.typing import StepInput, StepOutput
from tests.fakes import journal, multiset, new_name, plain, run, run_from, run_with_failures


class Divide(Step):
    """Divides 12 by `x`; what it was called with is in the journal `tag`."""

    tag: str = "divide"

    _ready: bool = PrivateAttr(False)

    def load(self) -> None:
        super().load()
        assert not self._ready
        self._ready = True
        journal(self.tag).add("load")

    def unload(self) -> None:
        assert self._ready
        journal(self.tag).add("unload")

    @property
    def inputs(self) -> list[str]:
        return ["x"]

    @property
    def outputs(self) -> list[str]:
        return ["y"]

    def process(self, inputs: StepInput) -> StepOutput:  # type: ignore[override]
        assert self._ready
        journal(self.tag).add(len(inputs))
        yield [{**row, "y": 12 // row["x"]} for row in inputs]


class Free(Step):
    """Yields what `makes` says of a batch."""

    makes: Any
    needs: list[str] = []

    @property
    def inputs(self) -> list[str]:
        return self.needs

    def process(self, inputs: StepInput) -> StepOutput:  # type: ignore[override]
        yield from self.makes(inputs)


class FreeOfAll(GlobalStep):
    makes: Any

    def process(self, inputs: StepInput) -> StepOutput:  # type: ignore[override]
        yield from self.makes(inputs)


def xs(rows: list[Any], column: str = "x") -> list[Any]:
    return sorted((row[column] for row in rows), key=repr)


# ---------------------------------------------------------------------------------- life


def test_load_once_before_the_first_row_and_unload_at_the_end() -> None:
    tag = new_name()
    assert len(run([{"x": n + 1} for n in range(120)], Divide(tag=tag))) == 120
    events = journal(tag).events
    assert events[0] == "load"
    assert events[-1] == "unload"
    assert multiset(events)["load"] == multiset(events)["unload"] == 1


def test_batches_have_the_size_asked_for() -> None:
    tag = new_name()
    run([{"x": n + 1} for n in range(25)], Divide(tag=tag, input_batch_size=10))
    assert [event for event in journal(tag).events if isinstance(event, int)] == [10, 10, 5]


# ---------------------------------------------------------------------------------- failures


def test_one_bad_row_of_a_batch_costs_one_row() -> None:
    rows = [{"x": n, "other": [n]} for n in range(50)]
    done, failures = run_with_failures(rows, Divide(name="divide", tag=new_name()))
    assert xs(done) == sorted(range(50), key=repr)
    [failure] = failures
    assert isinstance(failure, Failure)
    assert (failure.step, failure.kind, failure.attempts) == ("divide", "user_code", 1)
    assert failure.message.startswith("ZeroDivisionError: ")
    assert plain([failure.row]) == [{"x": 0, "other": [0]}]
    [bad] = [row for row in done if row["y"] is None]
    assert plain([bad]) == [
        {
            "x": 0,
            "other": [0],
            "y": None,
            METADATA: {"failure_divide": failure.reason()},
        }
    ]
    assert bad[ROW_ID] == failure.row[ROW_ID]
    assert all(METADATA not in row for row in done if row is not bad)


def test_drop() -> None:
    step = Divide(on_failure="drop", tag=new_name())
    done, failures = run_with_failures([{"x": 0}, {"x": 3}], step)
    assert plain(done) == [{"x": 3, "y": 4}]
    assert [failure.kind for failure in failures] == ["user_code"]


def test_raise() -> None:
    step = Divide(name="divide", on_failure="raise", tag=new_name())
    with pytest.raises(Exception, match=r"Step 'divide' \(Divide\).*ZeroDivisionError.*'x': 0"):
        run([{"x": 1}, {"x": 0}], step)


def test_a_failure_keeps_what_other_steps_wrote_down() -> None:
    class Tells(Divide):
        @property
        def outputs(self) -> list[str]:
            return ["y", METADATA]

    row = {"x": 0, METADATA: {"failure_before": None}}
    [done], _ = run_with_failures([row], Tells(name="after", tag=new_name()))
    assert set(done[METADATA]) == {"failure_before", "failure_after"}


def test_mapped_outputs_of_a_failed_row_are_none() -> None:
    step = Divide(tag=new_name(), input_mappings={"x": "z"}, output_mappings={"y": "w"})
    [done], _ = run_with_failures([{"x": 7, "y": 8, "z": 0}], step)
    assert {k: done[k] for k in "xyzw"} == {"x": 7, "y": 8, "z": 0, "w": None}


def test_a_row_step_that_fails_costs_its_row() -> None:
    class Half(RowStep):
        @property
        def outputs(self) -> list[str]:
            return ["half"]

        def transform_row(self, row: dict[str, Any]) -> dict[str, Any]:
            return {**row, "half": row["x"] / 2}

    done, failures = run_with_failures([{"x": 4}, {"x": None}], Half(name="half"))
    assert [row["half"] for row in done] == [2.0, None]
    assert done[1][METADATA]["failure_half"]["message"].startswith("TypeError")
    assert [failure.row["x"] for failure in failures] == [None]


@pytest.mark.parametrize(
    "makes",
    [lambda rows: None, lambda rows: [["no row"]], lambda rows: [None], lambda rows: [[None]]],
    ids=["nothing to iterate", "texts", "no batch", "none"],
)
def test_a_process_that_yields_no_rows_costs_the_rows(makes: Any) -> None:
    done, failures = run_with_failures([{"x": 1}, {"x": 2}], Free(makes=makes))
    assert xs(done) == [1, 2]
    assert [failure.kind for failure in failures] == ["user_code"] * 2


def test_what_a_failed_batch_changed_is_not_seen_when_its_rows_are_tried_again() -> None:
    def makes(rows: list[Any]) -> Any:
        for row in rows:
            row["tags"].append("seen")
            row["nested"]["deep"][0] += 1
            assert row["x"] != 3
        yield rows

    rows = [{"x": n, "tags": [], "nested": {"deep": [0]}} for n in range(5)]
    done, [failure] = run_with_failures(rows, Free(makes=makes))
    assert {row["x"]: (row["tags"], row["nested"]["deep"]) for row in done} == {
        n: ([], [0]) if n == 3 else (["seen"], [1]) for n in range(5)
    }
    assert failure.row["tags"] == []


def test_a_dead_engine_is_no_bad_row() -> None:
    def makes(rows: list[Any]) -> Any:
        raise EngineError("the engine has died")
        yield rows

    with pytest.raises(Exception, match="the engine has died"):
        run([{"x": 1}], Free(makes=makes))


# ---------------------------------------------------------------------------------- branches


def _spoil(rows: list[Any]) -> Any:
    for row in rows:
        row["nested"]["list"].append("spoilt")
        row["x"] = "spoilt"
        del row["y"]
    yield rows


@pytest.mark.parametrize("first", [True, False])
def test_what_one_branch_changes_no_other_sees(first: bool) -> None:
    found = new_name()
    spoil, look = Free(makes=_spoil, name="spoil"), Free(makes=lambda rows: [rows], name="look")
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        rows = pipeline | beam.Create([{"x": 1, "y": 2, "nested": {"list": []}}], reshuffle=False)
        for step in (spoil, look) if first else (look, spoil):
            seen = rows | step
            if step is look:
                _ = seen | beam.Map(lambda row, name: journal(name).add(repr(row)), found)
    [seen_row] = journal(found).events
    assert "spoilt" not in seen_row
    assert "'y': 2" in seen_row


# ---------------------------------------------------------------------------------- new rows


def test_fewer_rows_keep_their_ids() -> None:
    step = Free(makes=lambda rows: [[row for row in rows if row["x"] % 2]])
    rows = run_from(LoadDataFromDicts(data=[{"x": n} for n in range(6)]), step)
    assert sorted(row[ROW_ID] for row in rows) == ["0-1", "0-3", "0-5"]


def test_more_rows_are_children_of_theirs() -> None:
    step = Free(makes=lambda rows: [[{**row, "k": k} for row in rows for k in range(2)]])
    rows = run_from(LoadDataFromDicts(data=[{"x": n} for n in range(3)]), step)
    ids = {row[ROW_ID]: (row["x"], row["k"]) for row in rows}
    assert ids == {f"0-{n}.{k}": (n, k) for n in range(3) for k in range(2)}


def test_altogether_new_rows_are_named_by_position() -> None:
    step = Free(makes=lambda rows: [[{"new": row["x"]} for row in rows]])
    rows = run_from(LoadDataFromDicts(data=[{"x": n} for n in range(3)]), step)
    assert sorted((row[ROW_ID], row["new"]) for row in rows) == [(f"0-{n}", n) for n in range(3)]
    assert all("x" not in row for row in rows)


def test_every_yield_is_kept() -> None:
    step = Free(makes=lambda rows: ([row] for row in rows for _ in range(3)))
    rows = run_from(LoadDataFromDicts(data=[{"x": n} for n in range(4)]), step)
    assert multiset(row["x"] for row in rows) == dict.fromkeys(range(4), 3)
    assert len({row[ROW_ID] for row in rows}) == 12


def test_equal_children_are_different_draws() -> None:
    step = Free(makes=lambda rows: [[dict(row) for row in rows for _ in range(5)]])
    rows = run_from(LoadDataFromDicts(data=[{"x": 1}]), step)
    assert sorted(row.get(DRAW, 0) for row in rows) == [0, 1, 2, 3, 4]


def test_rows_that_came_without_ids_get_unique_ones() -> None:
    rows = run([{"x": 1}, {"x": 1}, {"x": 2}], KeepColumns(columns=["x"]))
    assert len({row[ROW_ID] for row in rows}) == 3
    assert sorted((row["x"], row.get(DRAW, 0)) for row in rows) == [(1, 0), (1, 1), (2, 0)]


# ---------------------------------------------------------------------------------- all rows


def test_a_global_step_sees_all_rows_in_their_order() -> None:
    def makes(rows: list[Any]) -> Any:
        yield [{"order": [row["x"] for row in rows]}]

    data = [{"x": n} for n in range(120)]
    [row] = run_from(LoadDataFromDicts(data=data), FreeOfAll(makes=makes))
    assert row["order"] == list(range(120))


def test_a_global_step_may_leave_rows_out() -> None:
    step = FreeOfAll(makes=lambda rows: [rows[:2], rows[5:6]])
    rows = run_from(LoadDataFromDicts(data=[{"x": n} for n in range(9)]), step)
    assert sorted((row[ROW_ID], row["x"]) for row in rows) == [("0-0", 0), ("0-1", 1), ("0-5", 5)]


def test_a_global_step_that_fails_ends_the_run() -> None:
    step = FreeOfAll(name="all", makes=lambda rows: 1 / 0)
    with pytest.raises(
        Exception, match=r"'all' \(FreeOfAll\) failed on all of its 2 rows: ZeroDiv"
    ):
        run([{"x": 1}, {"x": 2}], step)


# ---------------------------------------------------------------------------------- windows


def _see(
    row: Any, name: str, time: Any = beam.DoFn.TimestampParam, window: Any = beam.DoFn.WindowParam
) -> None:
    journal(name).add((row["x"], int(time), int(window.start), row.get("all")))


@pytest.mark.parametrize("kind", ["batches", "rows", "all"])
def test_windows_and_timestamps(kind: str) -> None:
    """A batch is of one window; every row keeps its own time."""
    found = new_name()

    def makes(rows: list[Any]) -> Any:
        assert len({row["x"] // 10 for row in rows}) == 1
        yield [{**row, "all": [other["x"] for other in rows]} for row in rows]

    step: Step = {
        "batches": Free(makes=makes),
        "rows": KeepColumns(columns=["x"]),
        "all": FreeOfAll(makes=makes),
    }[kind]
    times = [3, 14, 5, 25, 11, 1]
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        _ = (
            pipeline
            | beam.Create([TimestampedValue({"x": t, ROW_ID: f"0-{t}"}, t) for t in times])
            | beam.WindowInto(FixedWindows(10))
            | step
            | beam.Map(_see, found)
        )
    seen = {event[0]: event[1:] for event in journal(found).events}
    windows = {t: t // 10 * 10 for t in times}
    assert {x: start for x, (_, start, _) in seen.items()} == windows
    if kind == "all":
        assert {x: sorted(row) for x, (_, _, row) in seen.items()} == {
            t: sorted(u for u in times if u // 10 == t // 10) for t in times
        }
    else:
        assert {x: time for x, (time, _, _) in seen.items()} == {t: t for t in times}


def test_children_have_the_time_of_the_row_they_stem_from() -> None:
    found = new_name()
    step = Free(makes=lambda rows: [[{"x": row["x"]} for row in rows for _ in range(2)]])
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        _ = (
            pipeline
            | beam.Create([TimestampedValue({"x": t}, t) for t in (3, 4, 5)])
            | beam.WindowInto(
                FixedWindows(10), trigger=trigger.AfterWatermark(), accumulation_mode=1
            )
            | step
            | beam.Map(_see, found)
        )
    assert multiset(event[:2] for event in journal(found).events) == {(t, t): 2 for t in (3, 4, 5)}


def test_failures_keep_their_window() -> None:
    found = new_name()

    def see(
        failure: Any, time: Any = beam.DoFn.TimestampParam, window: Any = beam.DoFn.WindowParam
    ) -> None:
        journal(found).add((failure.row["x"], int(time), int(window.start)))

    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        outputs = (
            pipeline
            | beam.Create([TimestampedValue({"x": 0}, 27), TimestampedValue({"x": 1}, 3)])
            | beam.WindowInto(FixedWindows(10))
            | Divide(tag=new_name()).with_failures()
        )
        _ = outputs["failures"] | beam.Map(see)
    assert journal(found).events == [(0, 27, 20)]


def test_order_of_ids_is_the_order_of_the_source() -> None:
    data = [{"x": n} for n in range(30)]
    split = Free(makes=lambda rows: [[{**row, "k": k} for row in rows for k in range(12)]])
    rows = run_from(LoadDataFromDicts(data=data), split)
    rows.sort(key=lambda row: sort_key(row[ROW_ID]))
    assert [(row["x"], row["k"]) for row in rows] == [(n, k) for n in range(30) for k in range(12)]


def test_lone_surrogates_that_a_step_makes_become_their_escapes() -> None:
    """No runner can carry them."""

    def makes(rows: list[Any]) -> Any:
        if rows[0]["x"] == 2:
            raise ValueError("it's \ud800")
        yield [{**row, "y": [{"\udc80": ("é", "\ud800")}]} for row in rows]

    steps = [Free(makes=makes, input_batch_size=1), KeepColumns(columns=["x", "y"])]
    good, bad = sorted(run([{"x": 1}, {"x": 2}], *steps), key=lambda row: row["x"])
    assert good["y"] == [{"\\udc80": ("é", "\\ud800")}]
    [reason] = bad[METADATA].values()
    assert reason["message"] == "ValueError: it's \\ud800"
    [row] = run([{"x": 1}], FreeOfAll(makes=lambda rows: [[{"y": "\ud800"}]]))
    assert row["y"] == "\\ud800"
