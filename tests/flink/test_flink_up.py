"""`beam-distilabel flink up|status|down`."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

from beam_distilabel.cli import app
from beam_distilabel.host_folder import host_folder
from beam_distilabel.runners.flink_cluster import local_cluster

UP = ["flink", "up", "--task-managers", "1", "--slots", "1", "--port", "0"]


@pytest.fixture(autouse=True)
def own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Not the cluster that somebody has on this machine."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def processes(keeper: int) -> list[psutil.Process]:
    return psutil.Process(keeper).children(recursive=True)


@pytest.mark.usefixtures("flink")  # skips where Java is missing
def test_up_and_down() -> None:
    command = CliRunner()
    assert command.invoke(app, ["flink", "status"]).exit_code == 1
    assert "There is no cluster" in command.invoke(app, ["flink", "down"]).output
    folder = host_folder("flink")
    try:
        up = command.invoke(app, UP)
        assert up.exit_code == 0, up.output
        there = local_cluster.status(folder)
        assert there is not None
        assert f"master={there.master}" in up.output
        assert f"worker_pool={there.worker_pool}" in up.output
        again = command.invoke(app, UP)
        assert again.output == up.output
        assert local_cluster.status(folder) == there
        other = command.invoke(app, [*UP, "--slots", "2"])
        assert "is there, at" in str(other.exception)
        status = command.invoke(app, ["flink", "status"])
        assert "1 of 1 TaskManagers, 1 of 1 slots free" in status.output
        running = processes(there.keeper)
        assert len(running) >= 6  # a guard and its command, of the JobManager, TaskManager, pool
    finally:
        down = command.invoke(app, ["flink", "down"])
    assert "Flink has ended" in down.output
    psutil.wait_procs(running, timeout=60)
    assert not [process for process in running if process.is_running()]
    assert local_cluster.status(folder) is None


def test_what_a_dead_cluster_has_left_is_no_cluster(tmp_path: Path) -> None:
    (tmp_path / local_cluster.LOCK_FILE).write_text(str(os.getpid()))
    state = local_cluster.ClusterState(os.getpid(), "localhost:1", "worker-pool:2", 1, 1)
    (tmp_path / local_cluster.STATE_FILE).write_text(json.dumps(state._asdict()))
    received: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: received.append(number))
    try:
        assert local_cluster.status(tmp_path) is None
        assert not local_cluster.down(tmp_path)
        assert not received
        with local_cluster.held(tmp_path):
            assert local_cluster.status(tmp_path) == state
        assert local_cluster.status(tmp_path) is None
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_cluster_that_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(RuntimeError, match="(?s)can't be started.*no `(java|mvn)` on PATH"):
        local_cluster.up(tmp_path, task_managers=1, slots=1, port=0)
    assert local_cluster.status(tmp_path) is None
