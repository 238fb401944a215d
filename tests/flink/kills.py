"""Killing processes of a session cluster, and having it mend itself."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from beam_distilabel.pipeline import Pipeline
from beam_distilabel.runners.flink_cluster.rest import ask
from beam_distilabel.runners.flink_cluster.session_cluster import SessionCluster
from tests.chaos.counting_server import JUDGE, WRITER, CountingServer, asked_again
from tests.chaos.runs import asked_rows, result_of
from tests.flink.usage import usage_of

WORKER = "flink_cluster.worker "
_LOOK_SECONDS = 0.5


@contextlib.contextmanager
def mended(cluster: SessionCluster) -> Iterator[None]:
    """Start again what ends of `cluster`, as long as the `with` block runs."""
    over = threading.Event()

    def mend() -> None:
        while not over.wait(_LOOK_SECONDS):
            cluster.mend()

    mender = threading.Thread(target=mend, name="mender", daemon=True)
    mender.start()
    try:
        yield
    finally:
        over.set()
        mender.join()


def kill_worker(cluster: SessionCluster) -> None:
    """Kill one worker process of a job."""
    pools = [process for name, process in cluster.processes.items() if "pool" in name]
    workers = [pid for pool in pools for pid in usage_of(pool.group, WORKER)]
    os.kill(min(workers), signal.SIGKILL)


def kill_task_manager(cluster: SessionCluster) -> None:
    """Kill the Java of the first TaskManager."""
    group = cluster.processes["task-manager-0"].group
    [java] = [
        process.pid for process in psutil.Process(group).children() if process.name() == "java"
    ]
    os.kill(java, signal.SIGKILL)


def task_managers(cluster: SessionCluster) -> set[str]:
    """The names of the TaskManagers that Flink believes to be there; a new one has a new name."""
    found = ask(cluster.master, "/taskmanagers")["taskmanagers"]
    return {one["id"] for one in found if one["slotsNumber"]}


def run_through_kills(
    cluster: SessionCluster,
    server: CountingServer,
    pipeline: Pipeline,
    rows: int,
    run_dir: Path,
    **run: Any,
) -> Counter[str]:
    """Run `two_tasks` while a worker and then a TaskManager are killed.

    Every row has to be there once, with both answers.

    Args:
        cluster: where the job runs; killed processes have to be `mended`.
        server: what the pipeline asks.
        pipeline: `two_tasks` of `rows` rows.
        rows: how many.
        run_dir: where the run goes.
        run: further arguments of `Pipeline.run`.

    Returns:
        Model to how often it was asked again for what it had answered.
    """
    killed: list[str] = []

    def kill_one() -> None:
        kill_worker(cluster)
        killed.append("worker")

    def kill_other() -> None:
        kill_task_manager(cluster)
        killed.append("task manager")

    server.call_after(rows // 3, kill_one)
    server.call_after(rows, kill_other)
    pipeline.run(output_dir=run_dir, logging_handlers=[], **run)
    assert killed == ["worker", "task manager"]
    written = result_of(run_dir)
    assert sorted(row["instruction"] for row in written) == sorted(
        f"question {n}" for n in range(rows)
    )
    assert all(row["feedback"] for row in written)
    assert asked_rows(server) == {WRITER: rows, JUDGE: rows}
    return asked_again(server.asked())
