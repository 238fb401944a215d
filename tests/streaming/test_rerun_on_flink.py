"""A stream on Flink whose job server is killed, and that is started again by the same command."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.runners.runner import PipelineState
from apache_beam.transforms.window import FixedWindows

from beam_distilabel.checkpoint import count_rows
from beam_distilabel.pipeline import Pipeline
from beam_distilabel.runners.flink_cluster.job_server import FlinkJobServer
from beam_distilabel.steps.tasks import TextGeneration
from beam_distilabel.transforms.sinks.write_distiset import WriteDistiset
from beam_distilabel.transforms.sources.watch_files import WatchFiles
from tests.flink.usage import worker_pids
from tests.hub import HubServer
from tests.publishing import shards_of, titles
from tests.streaming.fakes import CountingLLM, FileClock, asked, drop

pytestmark = pytest.mark.usefixtures("hub_client")

WINDOW = 3600
START = 1_700_000_400 - 1_700_000_400 % WINDOW
PATIENCE = 600.0
TITLE = "A window"


@dataclass
class Stream:
    """One stream: its folders, its clock, and how many rows each window has."""

    folder: Path
    hub: HubServer
    windows: int
    files: int
    rows: int

    def __post_init__(self) -> None:
        self.inbox = self.folder / "inbox"
        self.inbox.mkdir()
        self.journal = self.folder / "asked"
        self.stop = self.inbox / "_STOP"
        self.clock = FileClock(self.folder / "clock")
        self.clock.set(START)
        self.repo_id = f"{self.hub.namespace}/stream"
        self.token = self.folder / "token"  # workers of the session have an older environment
        self.token.write_text(self.hub.token)

    def apply(self, pipeline: beam.Pipeline) -> None:
        """What is run, the first time and again."""
        with Pipeline(name="stream") as recipe:
            TextGeneration(name="answer", llm=CountingLLM(journal=str(self.journal)))
        settings = {"rows": 100, "seconds": 0.2}
        watch = WatchFiles(
            str(self.inbox), every=0.2, settle=0, stop_file=str(self.stop), clock=self.clock
        )
        rows = pipeline | watch | beam.WindowInto(FixedWindows(WINDOW), allowed_lateness=86_400)
        subsets = rows | recipe.with_checkpoint(self.folder / "kept", settings)
        target = {
            "repo_id": self.repo_id,
            "commit_message": TITLE,
            "token": f"file:{self.token}",
        }
        _ = subsets | WriteDistiset(str(self.folder / "result"), hub=target)

    def fill(self, window: int, files: range | None = None) -> None:
        """Let (some) files of a window appear."""
        for number in files or range(self.files):
            first = (window * self.files + number) * self.rows
            rows = [{"n": n, "instruction": f"row {n}"} for n in range(first, first + self.rows)]
            changed = START + window * WINDOW + 1 + number
            drop(self.inbox, f"{window:02d}-{number:03d}.jsonl", changed, rows)

    def end(self, window: int) -> None:
        """The clock shows the end of a window."""
        self.clock.set(START + (window + 1) * WINDOW + 1)

    @property
    def rows_of_window(self) -> int:
        return self.files * self.rows

    def commits(self) -> int:
        try:
            return titles(self.hub, self.repo_id).count(TITLE)
        except KeyError:
            return 0


def wait_for(condition: Callable[[], Any], flink: FlinkJobServer) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(flink.logs())
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("windows", "files", "rows"),
    [
        pytest.param(3, 4, 42, id="500"),
        pytest.param(10, 20, 50, id="10000", marks=pytest.mark.slow),
    ],
)
def test_a_rerun_after_kill_9_commits_every_window_once(
    flink: FlinkJobServer, hub: HubServer, tmp_path: Path, windows: int, files: int, rows: int
) -> None:
    stream = Stream(tmp_path, hub, windows, files, rows)
    cut = windows // 2
    kept = tmp_path / "kept" / "checkpoint" / "answer"
    with FlinkJobServer(tmp_path / "flink") as killed:
        pipeline = killed.pipeline(streaming=True, max_bundle_time_mills=100)
        stream.apply(pipeline)
        pipeline.run()
        for window in range(cut):
            stream.fill(window)
            stream.end(window)
            wait_for(lambda: stream.commits() > window, killed)  # noqa: B023
        stream.fill(cut, range(files // 2))
        before = cut * stream.rows_of_window
        wait_for(lambda: sum(asked(stream.journal).values()) > before, killed)
        wait_for(lambda: kept.is_dir() and count_rows(str(kept)) >= before, killed)
        os.killpg(killed.server_group, signal.SIGKILL)
    assert stream.commits() == cut
    asked_once = asked(stream.journal)

    again = flink.pipeline(streaming=True, max_bundle_time_mills=100)
    stream.apply(again)
    for window in range(cut, windows):
        stream.fill(window)
    stream.end(windows)
    stream.stop.touch()
    flink.run(again, PATIENCE)

    assert titles(hub, stream.repo_id) == [TITLE] * windows + ["initial commit"]
    total = windows * stream.rows_of_window
    found = Counter(row["n"] for rows in shards_of(hub, stream.repo_id).values() for row in rows)
    assert found == Counter(range(total))
    answers = {
        row["generation"] == f"ROW {row['n']}"
        for rows in shards_of(hub, stream.repo_id).values()
        for row in rows
    }
    assert answers == {True}
    counted = asked(stream.journal)
    assert len(counted) == total
    twice = {text for text, times in counted.items() if times > 1}
    assert max(counted.values()) <= 2
    # Only what was in flight, or not written yet, when the job was killed.
    assert twice <= {f"row {n}" for n in range(before, before + stream.rows_of_window)}
    assert twice <= set(asked_once)
    print(f"asked {sum(asked_once.values())} before, {len(twice)} of these again")


@pytest.mark.chaos
def test_a_killed_worker_leaves_every_row_once(hub: HubServer, tmp_path: Path) -> None:
    stream = Stream(tmp_path, hub, windows=3, files=4, rows=42)
    settings = {
        "restart-strategy.type": "fixed-delay",
        "restart-strategy.fixed-delay.attempts": "5",
        "restart-strategy.fixed-delay.delay": "1 s",
    }
    with FlinkJobServer(tmp_path / "flink", settings=settings) as flink:
        pipeline = flink.pipeline(
            streaming=True, max_bundle_time_mills=100, checkpointing_interval=1_000
        )
        stream.apply(pipeline)
        result = pipeline.run()
        stream.fill(0)
        stream.end(0)
        wait_for(lambda: stream.commits() > 0, flink)
        stream.fill(1)
        wait_for(lambda: sum(asked(stream.journal).values()) > stream.rows_of_window, flink)
        for pid in worker_pids(flink):
            os.kill(pid, signal.SIGKILL)
        stream.end(1)
        stream.fill(2)
        stream.end(2)
        wait_for(lambda: stream.commits() > 2, flink)
        stream.stop.touch()
        state = result.wait_until_finish(duration=int(PATIENCE * 1000))
    assert state == PipelineState.DONE
    found = Counter(row["n"] for rows in shards_of(hub, stream.repo_id).values() for row in rows)
    assert found == Counter(range(3 * stream.rows_of_window))
