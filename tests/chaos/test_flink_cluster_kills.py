"""On a session cluster a worker and a TaskManager are killed, and the job goes on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from beam_distilabel.errors import RunFailedError
from beam_distilabel.runners.flink import FlinkSettings
from beam_distilabel.runners.flink_cluster.java import LIGHT
from beam_distilabel.runners.flink_cluster.session_cluster import SessionCluster
from tests.chaos.counting_server import JUDGE, WRITER, CountingServer, asked_again
from tests.chaos.runs import (
    CHECKPOINT,
    IN_FLIGHT,
    UNFLUSHED,
    asked_rows,
    result_of,
    two_tasks,
)
from tests.flink.fixtures import started
from tests.flink.kills import kill_worker, mended, run_through_kills

pytestmark = [pytest.mark.chaos, pytest.mark.flink]

ROWS = 300
SLOTS = 2


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SessionCluster]:
    """Two TaskManagers with a slot each: both are needed, and one that ends is replaced."""
    folder = tmp_path_factory.mktemp("cluster")
    # Workers are sent no key; they have it from where this process has it.
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setenv("OPENAI_API_KEY", CountingServer.key)
    with started(SessionCluster(folder, task_managers=2, slots=1, java_options=LIGHT)) as one:
        with mended(one):
            yield one
    monkeypatch.undo()


@pytest.mark.parametrize("mode", ["PIPELINED", "BATCH_FORCED"])
def test_a_worker_and_a_taskmanager_are_killed(
    cluster: SessionCluster, tmp_path: Path, mode: str
) -> None:
    """Each costs what its workers had under way or unwritten, and no more."""
    with CountingServer() as server:
        pipeline = two_tasks(server.url, ROWS)
        settings = FlinkSettings(
            master=cluster.master,
            worker_pool=cluster.worker_pool,
            parallelism=SLOTS,
            execution_mode=mode,
            restart_attempts=30,
        )
        again = run_through_kills(
            cluster,
            server,
            pipeline,
            ROWS,
            tmp_path / "run",
            checkpoint=CHECKPOINT,
            runner=settings,
        )
        print(f"{mode}: asked again after 2 kills: {dict(again)}")
        # A failure of one part ends the other's bundles too, unless only a part starts again.
        assert all(times <= 2 * SLOTS * (IN_FLIGHT + UNFLUSHED) for times in again.values())


def test_a_cluster_without_restarts_ends_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch job has its cluster's restarts, whatever the settings say; so a run warns."""
    monkeypatch.setenv("OPENAI_API_KEY", CountingServer.key)
    one = SessionCluster(
        tmp_path / "cluster",
        task_managers=1,
        slots=1,
        settings={"restart-strategy.type": "none"},
        java_options=LIGHT,
    )
    with started(one) as cluster, CountingServer() as server:
        pipeline = two_tasks(server.url, ROWS)
        settings = FlinkSettings(
            master=cluster.master, worker_pool=cluster.worker_pool, restart_attempts=30
        )

        def run() -> None:
            pipeline.run(
                output_dir=tmp_path / "run",
                logging_handlers=[],
                checkpoint=CHECKPOINT,
                runner=settings,
            )

        server.call_after(ROWS // 3, lambda: kill_worker(cluster))
        with pytest.raises(RunFailedError):
            run()
        assert "starts no batch job again" in (tmp_path / "run" / "pipeline.log").read_text()
        run()
        assert len(result_of(tmp_path / "run")) == ROWS
        assert asked_rows(server) == {WRITER: ROWS, JUDGE: ROWS}
        again = asked_again(server.asked())
        print(f"no restarts: asked again by the second run: {dict(again)}")
        assert all(times <= IN_FLIGHT + UNFLUSHED for times in again.values())
