"""Steps, Tasks and pipelines on unbounded, windowed rows."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.transforms.trigger import AccumulationMode, AfterCount, AfterWatermark

from beam_distilabel.pipeline import Pipeline
from beam_distilabel.row import content
from beam_distilabel.step import GlobalStep
from beam_distilabel.steps.tasks import TextGeneration
from beam_distilabel.typing import StepInput, StepOutput
from tests.pipeline.fakes import Add, Lose, Merge, Refuses, TaggedEcho, Times
from tests.streaming.fakes import CountingLLM, asked
from tests.streaming.running import SIZE, Event, Seen, run_stream, windowed

LATE: list[Event] = [
    *((n, {"x": n, "instruction": f"say {n}"}) for n in (1, 2, 11)),
    12,
    *((n, {"x": n, "instruction": f"say {n}"}) for n in (3, 13, 27)),
]
"""Three windows; the row of second 3 comes when its window has ended."""


class Together(GlobalStep):
    """Says in each row which rows came with it."""

    @property
    def outputs(self) -> list[str]:
        return ["with"]

    def process(self, inputs: StepInput) -> StepOutput:  # type: ignore[override]
        xs = sorted(row["x"] for row in inputs)
        yield [{**row, "with": xs} for row in inputs]


def seen(step: Any, events: list[Event] = LATE, **window: Any) -> list[tuple[float, float, Any]]:
    """(window's start, timestamp, row) of what comes of a stream."""
    found = Seen()
    run_stream(events, lambda rows: rows | windowed(**window) | step | found)
    return [(start, time, content(row)) for start, time, row in found.events]


@pytest.mark.parametrize(
    "step",
    [
        TextGeneration(name="task", llm=TaggedEcho()),
        Add(name="step", column="generation", value="echo: say "),
    ],
    ids=["Task", "Step"],
)
def test_windows_and_times_stay_what_they_are(step: Any) -> None:
    rows = seen(step)
    assert sorted(row["x"] for _, _, row in rows) == [1, 2, 3, 11, 13, 27]
    for start, time, row in rows:
        assert time == row["x"]
        assert start == row["x"] // SIZE * SIZE
        assert row["generation"] == f"echo: say {row['x']}"


def test_a_step_that_makes_several_rows_of_one_gives_them_its_time() -> None:
    rows = seen(Times(name="times", times=2))
    assert sorted((time, row["x"], row["k"]) for _, time, row in rows) == [
        (float(x), x, k) for x in (1, 2, 3, 11, 13, 27) for k in (0, 1)
    ]


def test_a_global_step_runs_once_per_window_and_pane() -> None:
    rows = seen(
        Together(name="together"),
        trigger=AfterWatermark(late=AfterCount(1)),
        accumulation_mode=AccumulationMode.DISCARDING,
    )
    groups = {row["x"]: row["with"] for _, _, row in rows}
    assert groups == {1: [1, 2], 2: [1, 2], 3: [3], 11: [11, 13], 13: [11, 13], 27: [27]}
    assert {start for start, _, _ in rows} == {0.0, 10.0, 20.0}


def test_branches_are_joined_window_by_window_and_failures_come_out() -> None:
    with Pipeline(name="p") as pipeline:
        a, b = Add(name="a", column="a", value="a"), Add(name="b", column="b", value="b")
        lose = Lose(name="lose", which=[{"x": 2}])
        b >> lose
        [a, lose] >> Merge(name="merge")
    rows, failures = Seen(), Seen()

    def apply(stream: Any) -> None:
        outputs = stream | windowed() | _Outputs(pipeline)
        _ = outputs["rows"] | rows
        _ = outputs["failures"] | failures

    run_stream(LATE, apply)
    joined = [(start, row["x"], row.get("a"), row.get("b")) for start, _, row in rows.events]
    whole = [(float(x // SIZE * SIZE), x, f"a{x}", f"b{x}") for x in (1, 11, 13, 27)]
    assert [found for found in joined if found[1] not in (2, 3)] == whole
    told = [(start, found.kind, found.row["x"]) for start, _, found in failures.events]
    # The one that a branch has lost; and the late one, whose parts come one after the other.
    assert sorted(told) == [(0.0, "join", 2), (0.0, "join", 3), (0.0, "join", 3)]
    assert all(time <= math.nextafter(SIZE, 0) for _, time, _ in failures.events)


class _Outputs(beam.PTransform):
    def __init__(self, pipeline: Pipeline) -> None:
        super().__init__()
        self._pipeline = pipeline

    def expand(self, pcoll: Any) -> dict[str, Any]:
        outputs = self._pipeline.outputs(pcoll)
        [rows] = outputs.subsets.values()
        return {"rows": rows, "failures": outputs.failures}


def test_failures_have_the_windows_of_their_rows() -> None:
    rows, failures = Seen(), Seen()
    events: list[Event] = [(1, {"instruction": "good"}), (12, {"instruction": "bad"})]

    def apply(stream: Any) -> None:
        task = TextGeneration(name="task", llm=Refuses())
        outputs = stream | windowed() | task.with_failures()
        _ = outputs["rows"] | rows
        _ = outputs["failures"] | failures

    run_stream(events, apply)
    assert [(start, row["generation"]) for start, _, row in rows.events] == [
        (0.0, "fine"),
        (10.0, None),
    ]
    [(start, time, failure)] = failures.events
    assert (start, time) == (10.0, 12.0)
    assert "bad prompt" in failure.message


def test_answers_are_kept_where_a_folder_is_named(tmp_path: Path) -> None:
    journal = tmp_path / "asked"
    task = TextGeneration(name="task", llm=CountingLLM(journal=str(journal)))
    for _ in range(2):
        rows = seen(task.with_checkpoint(str(tmp_path / "kept")))
        assert {row["generation"] for _, _, row in rows} == {
            f"SAY {n}" for n in (1, 2, 3, 11, 13, 27)
        }
    assert set(asked(journal).values()) == {1}
    assert task._context.run_dir is None  # the Step itself is what it was

    with Pipeline(name="p") as pipeline:
        TextGeneration(name="task", llm=CountingLLM(journal=str(journal)))
    kept = pipeline.with_checkpoint(tmp_path / "kept")
    found = Seen()
    run_stream(LATE, lambda stream: (stream | windowed() | kept)["default"] | found)
    assert len(found.events) == 6
    assert sum(asked(journal).values()) == 6
