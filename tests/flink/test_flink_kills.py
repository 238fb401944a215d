"""A worker and a TaskManager are killed while a job runs; what is finished isn't asked again."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from beam_distilabel.runners.flink import FlinkSettings
from beam_distilabel.runners.flink_cluster.session_cluster import SessionCluster
from tests.chaos.counting_server import CountingServer
from tests.chaos.runs import two_tasks
from tests.flink.kills import mended, run_through_kills, task_managers

pytestmark = [pytest.mark.chaos, pytest.mark.flink]

ROWS = 60
FEW = 4
_PATIENCE_SECONDS = 300.0


def test_a_worker_and_a_taskmanager_are_killed(
    session_cluster: SessionCluster, tmp_path: Path
) -> None:
    """See `tests/chaos/test_flink_cluster_kills.py` for more rows, and both execution modes."""
    key = tmp_path / "key"
    key.write_text(CountingServer.key)
    before = task_managers(session_cluster)
    with CountingServer() as server, mended(session_cluster):
        pipeline = two_tasks(server.url, ROWS, FEW, f"file:{key}")
        settings = FlinkSettings(
            master=session_cluster.master,
            worker_pool=session_cluster.worker_pool,
            parallelism=2,
            sdk_worker_parallelism=1,
        )
        again = run_through_kills(
            session_cluster,
            server,
            pipeline,
            ROWS,
            tmp_path / "run",
            checkpoint={"rows": FEW, "seconds": 1.0},
            runner=settings,
        )
        # What other tests need: the killed one is missed, and the new one is there.
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while len(now := task_managers(session_cluster)) != 2 or now == before:
            assert time.monotonic() < deadline, "the killed TaskManager isn't replaced"
            time.sleep(0.2)
        assert len(now & before) == 1
        print(f"asked again after 2 kills: {dict(again)}")
        # In flight and unwritten, of both workers: the whole job starts again.
        assert all(times <= 2 * 2 * (FEW + FEW) for times in again.values())
