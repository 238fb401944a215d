"""A run that is killed at any moment, and run again, ends as if nothing had happened."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from beam_distilabel.row import Row
from tests.chaos.counting_server import JUDGE, WRITER, CountingServer, asked_again
from tests.chaos.runs import IN_FLIGHT, ROWS, UNFLUSHED, Run, asked_rows, result_of

REQUESTS = 2 * ROWS


def killed(server: CountingServer, folder: Path, answers: int) -> None:
    """A run that is killed when so many answers more were given."""
    run = Run(server.url, folder / "run", ROWS, folder / "outcome.json")
    server.call_after(answers, run.kill)
    assert run.wait() == {}, "the run ended before it was killed"


def check(server: CountingServer, folder: Path, expected: list[Row], kills: int) -> None:
    """Run to the end, and compare."""
    assert "report" in Run(server.url, folder / "run", ROWS, folder / "outcome.json").wait()
    assert result_of(folder / "run") == expected
    assert asked_rows(server) == {WRITER: ROWS, JUDGE: ROWS}
    again = asked_again(server.asked())
    print(f"asked again after {kills} kills: {dict(again)}")
    assert all(times <= kills * (IN_FLIGHT + UNFLUSHED) for times in again.values())


def test_three_kills_of_one_run(
    server: CountingServer, undisturbed: list[Row], tmp_path: Path
) -> None:
    points = sorted(random.Random(3).sample(range(REQUESTS), 3))
    server.forget()
    before = 0
    for kills, point in enumerate(points, 1):
        killed(server, tmp_path, point - before)
        before = point
        again = asked_again(server.asked())
        assert all(times <= kills * (IN_FLIGHT + UNFLUSHED) for times in again.values())
    check(server, tmp_path, undisturbed, kills=3)


@pytest.mark.chaos
@pytest.mark.parametrize("point", sorted(random.Random(20).sample(range(REQUESTS), 20)))
def test_a_kill_at_any_point(
    server: CountingServer, undisturbed: list[Row], tmp_path: Path, point: int
) -> None:
    server.forget()
    killed(server, tmp_path, point)
    check(server, tmp_path, undisturbed, kills=1)


ENDS = [
    "beam_distilabel.transforms.sinks.shards:ShardFile.close",
    "beam_distilabel.checkpoint.compaction:remove",  # segments are merged, and still there
    "beam_distilabel.transforms.sinks.stages:Plan.process",
    "beam_distilabel.transforms.sinks.stages:Finish.process",
    "beam_distilabel.transforms.sinks.result_folder:_swap_folder",
    "beam_distilabel.transforms.sinks.result_folder:_remove_older",
    "beam_distilabel.pipeline.run:write_card",
]
"""Where a run dies whose answers are all there."""


@pytest.mark.chaos
def test_kills_at_the_end(server: CountingServer, undisturbed: list[Row], tmp_path: Path) -> None:
    few = 200
    server.forget()
    before: Counter[str] = Counter()
    for function in [*ENDS, None]:
        run = Run(server.url, tmp_path / "run", few, tmp_path / "outcome.json", function)
        assert ("report" in run.wait()) == (function is None), f"{function} wasn't called"
        again = asked_again(server.asked())
        # No row was under way: each death costs what wasn't written for a second.
        assert all(again[name] - before[name] <= UNFLUSHED for name in again)
        before = again
    assert result_of(tmp_path / "run") == undisturbed[:few]
    assert set(again) == {WRITER, JUDGE} and asked_rows(server) == {WRITER: few, JUDGE: few}
    assert not list((tmp_path / "run").rglob(".staging-*"))
