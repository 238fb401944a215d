"""`pipeline.run(runner="flink")`: embedded and on a session cluster, with workers of every kind."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import apache_beam as beam
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_distilabel.errors import DistilabelUserError, RunFailedError
from beam_distilabel.pipeline import Pipeline
from beam_distilabel.pipeline.worker_watch import SIGNS, WorkerWatch
from beam_distilabel.runners.flink import FlinkSettings
from beam_distilabel.runners.flink_cluster.job_server import FlinkJobServer
from beam_distilabel.runners.flink_cluster.pool import WorkerPool, worker_environment
from beam_distilabel.runners.flink_cluster.rest import ClusterError, look_at, restart_strategy
from beam_distilabel.runners.flink_cluster.session_cluster import SessionCluster
from beam_distilabel.runners.flink_cluster.worker_pool import WorkerPoolServicer, serve
from beam_distilabel.steps import LoadDataFromFileSystem
from tests.flink.pools import silent_pool
from tests.flink.steps import Where
from tests.pipeline.running import rows_of

ROWS = 240


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    """Reads some files and tells where their rows were."""
    (tmp_path / "input").mkdir()
    for number in range(8):
        x = range(number * ROWS // 8, (number + 1) * ROWS // 8)
        pq.write_table(pa.table({"x": x}), tmp_path / "input" / f"{number}.parquet")
    with Pipeline(name="p") as made:
        load = LoadDataFromFileSystem(name="load", data_files=str(tmp_path / "input"))
        load >> Where(name="where")
    return made


def run(pipeline: Pipeline, folder: Path, settings: FlinkSettings) -> list[dict[str, Any]]:
    """The rows of a run, which have to be all and none twice."""
    rows = rows_of(pipeline.run(output_dir=folder, logging_handlers=[], runner=settings))
    assert sorted(row["x"] for row in rows) == list(range(ROWS))
    return rows


@pytest.mark.usefixtures("flink")  # skips where Java is missing
def test_one_command(pipeline: Pipeline, tmp_path: Path) -> None:
    """Without anything that runs already; nothing of it is left."""
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    distiset = pipeline.run(
        output_dir=tmp_path / "run",
        logging_handlers=[],
        runner="flink",
        options={"temporary_folder": tmp_path},
    )
    rows = rows_of(distiset)
    assert sorted(row["x"] for row in rows) == list(range(ROWS))
    assert {row["worker"] for row in rows} == {os.getpid()}
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= before
    assert {path.name for path in tmp_path.iterdir()} == {"input", "run"}


@pytest.mark.parametrize("parallelism", [2, 4])
def test_workers_in_this_process(
    flink: FlinkJobServer, pipeline: Pipeline, tmp_path: Path, parallelism: int
) -> None:
    settings = FlinkSettings(job_endpoint=flink.endpoint, parallelism=parallelism)
    rows = run(pipeline, tmp_path / "run", settings)
    assert {row["worker"] for row in rows} == {os.getpid()}


@pytest.mark.parametrize("parallelism", [pytest.param(1, marks=pytest.mark.flink), 2, 4])
def test_workers_of_a_pool(
    flink: FlinkJobServer, pipeline: Pipeline, tmp_path: Path, parallelism: int
) -> None:
    settings = FlinkSettings(
        job_endpoint=flink.endpoint,
        environment="external",
        worker_pool=flink.worker_pool,
        parallelism=parallelism,
        sdk_worker_parallelism=min(parallelism, 2),
    )
    rows = run(pipeline, tmp_path / "run", settings)
    workers = {row["worker"] for row in rows}
    assert os.getpid() not in workers
    assert 1 <= len(workers) <= min(parallelism, 2)


def test_two_taskmanagers(
    session_cluster: SessionCluster, pipeline: Pipeline, tmp_path: Path
) -> None:
    """By default a run takes all slots; each TaskManager has workers of its own pool."""
    settings = FlinkSettings(master=session_cluster.master, worker_pool=session_cluster.worker_pool)
    rows = run(pipeline, tmp_path / "run", settings)
    assert len({row["starter"] for row in rows}) == 2
    # Beam's runner may give two slots of a TaskManager the same worker.
    assert 2 <= len({row["worker"] for row in rows}) <= 4
    assert look_at(session_cluster.master).free_slots == 4


@pytest.mark.flink
def test_workers_that_each_taskmanager_starts(
    session_cluster: SessionCluster, pipeline: Pipeline, tmp_path: Path
) -> None:
    command = tmp_path / "worker"
    paths = worker_environment()["PYTHONPATH"]
    command.write_text(
        f"#!/bin/sh\nPYTHONPATH={paths} exec {sys.executable} "
        '-m beam_distilabel.runners.flink_cluster.worker "$@"\n'
    )
    command.chmod(0o700)
    settings = FlinkSettings(
        master=session_cluster.master,
        environment="process",
        worker_command=str(command),
        parallelism=2,
    )
    rows = run(pipeline, tmp_path / "run", settings)
    assert len({row["starter"] for row in rows}) == 2


def test_what_a_cluster_cannot_do(session_cluster: SessionCluster) -> None:
    where = {"master": session_cluster.master, "worker_pool": session_cluster.worker_pool}
    with pytest.raises(ClusterError, match="4 slots on 2 TaskManagers; parallelism=5"):
        with FlinkSettings(**where, parallelism=5).started():
            pass
    with pytest.raises(ClusterError, match="runs all Steps in this process"):
        with FlinkSettings(master=session_cluster.master, environment="loopback").started():
            pass


def test_the_restarts_of_a_cluster(session_cluster: SessionCluster, tmp_path: Path) -> None:
    assert restart_strategy(session_cluster.master) == "fixed-delay"
    settings = {"restart-strategy.type": "off"}
    with SessionCluster(tmp_path, task_managers=0, settings=settings) as cluster:
        assert restart_strategy(cluster.master) == "none"


def test_a_cluster_that_is_not_there(flink: FlinkJobServer) -> None:
    with pytest.raises(ClusterError, match="doesn't answer.*flink up"):
        with FlinkSettings(master="localhost:1", worker_pool="localhost:2").started():
            pass
    with pytest.raises(ClusterError, match="doesn't answer"):  # it speaks gRPC
        look_at(flink.endpoint)


@pytest.mark.usefixtures("flink")
def test_a_pool_on_this_machine_is_tried_before_the_run(pipeline: Pipeline, tmp_path: Path) -> None:
    pool = WorkerPool(tmp_path / "pool.log")
    pool.close()
    settings = FlinkSettings(environment="external", worker_pool=pool.address)
    with pytest.raises(RunFailedError, match="there is no worker pool that answers"):
        run(pipeline, tmp_path / "run", settings)


def test_workers_that_do_not_come(
    flink: FlinkJobServer, pipeline: Pipeline, tmp_path: Path
) -> None:
    """Flink would wait for them for ever."""
    with silent_pool() as address:
        settings = FlinkSettings(
            job_endpoint=flink.endpoint,
            environment="external",
            worker_pool=address,
            worker_start_seconds=2,
        )
        with pytest.raises(RunFailedError, match="not all workers of the job have shown"):
            run(pipeline, tmp_path / "run", settings)


def test_a_pool_that_starts_no_worker_is_an_error_of_the_job(
    flink: FlinkJobServer, pipeline: Pipeline, tmp_path: Path
) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho no module named beam >&2; exit 3\n")
    python.chmod(0o700)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.executable", str(python))
        address, server = serve("127.0.0.1", 0, WorkerPoolServicer())
        settings = FlinkSettings(
            job_endpoint=flink.endpoint, environment="external", worker_pool=address
        )
        with pytest.raises(RunFailedError, match="ended with code 3 before.*no module named beam"):
            run(pipeline, tmp_path / "run", settings)
        server.stop(None).wait()


def test_the_sign_of_all_workers(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    stopped: list[bool] = []
    watch = WorkerWatch(str(tmp_path), 0.0, lambda: stopped.append(True))
    watch.look()
    assert not stopped  # there is no job
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        watch.apply(pipeline, 0)
    watch.look()
    watch.look()
    assert not stopped
    watch.apply(beam.Pipeline(), 1)  # never run
    watch.look()
    watch.look()
    assert stopped == [True]
    assert watch.verdict is not None and "worker_start_seconds" in watch.verdict
    assert SIGNS > 4


def test_a_run_directory_that_workers_do_not_see(tmp_path: Path) -> None:
    watch = WorkerWatch(str(tmp_path), 60.0, lambda: None)
    with pytest.raises(DistilabelUserError, match="doesn't find the run directory"):
        with beam.Pipeline(runner="FnApiRunner") as pipeline:
            watch.apply(pipeline, 0)
