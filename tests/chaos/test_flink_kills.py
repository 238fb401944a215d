"""Worker processes of a job on Flink are killed, and only a part of the job starts again."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from beam_distilabel.runners.flink_cluster.jars import MissingTool
from beam_distilabel.runners.flink_cluster.job_server import FlinkJobServer
from tests.chaos.counting_server import CountingServer, asked_again
from tests.chaos.runs import CHECKPOINT, IN_FLIGHT, UNFLUSHED, result_of, two_tasks
from tests.flink.usage import worker_pids

pytestmark = [pytest.mark.chaos, pytest.mark.flink]

ROWS = 600
KILLS = 2
SETTINGS = {
    "restart-strategy.type": "fixed-delay",
    "restart-strategy.fixed-delay.attempts": str(2 * KILLS),
    "restart-strategy.fixed-delay.delay": "100 ms",
}


@pytest.fixture
def flink(tmp_path: Path) -> Iterator[FlinkJobServer]:
    """A Flink that starts again what fails."""
    try:
        server = FlinkJobServer(tmp_path / "flink", settings=SETTINGS).__enter__()
    except MissingTool as error:
        pytest.skip(str(error))
    with server:
        yield server


def test_killed_workers(flink: FlinkJobServer, tmp_path: Path) -> None:
    """Each costs what it had under way or unwritten, and no more."""
    key = tmp_path / "key"  # workers are sent none
    key.write_text(CountingServer.key)
    with CountingServer() as server:
        pipeline = two_tasks(server.url, ROWS, api_key=f"file:{key}")

        def run(folder: Path) -> list[str]:
            server.forget()
            pipeline.run(
                output_dir=folder,
                logging_handlers=[],
                checkpoint=CHECKPOINT,
                # What was sent from stage to stage is kept: other parts don't start again.
                options=flink.options(execution_mode_for_batch="BATCH_FORCED"),
            )
            return sorted(repr(sorted(row.items())) for row in result_of(folder))

        expected = run(tmp_path / "undisturbed")
        assert len(expected) == ROWS
        assert not any(asked_again(server.asked()).values())

        killed: list[int] = []

        def kill() -> None:
            pid = random.Random(len(killed)).choice(sorted(worker_pids(flink)))
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)

        for point in sorted(random.Random(4).sample(range(2 * ROWS), KILLS)):
            server.call_after(point, kill)
        assert run(tmp_path / "killed") == expected
        assert len(set(killed)) == KILLS
        again = asked_again(server.asked())
        print(f"asked again after {KILLS} kills: {dict(again)}")
        assert all(times <= KILLS * (IN_FLIGHT + UNFLUSHED) for times in again.values())
