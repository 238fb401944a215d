"""Killing processes of a session cluster, and having it mend itself."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator

import psutil

from beam_distilabel.runners.flink_cluster.rest import ask
from beam_distilabel.runners.flink_cluster.session_cluster import SessionCluster
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
