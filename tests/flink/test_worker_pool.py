"""Worker pools: they start workers, end the right ones, and say what keeps one from starting."""

from __future__ import annotations

import http.server
import sys
import threading
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
from apache_beam.portability.api import (
    beam_fn_api_pb2,
    beam_fn_api_pb2_grpc,
    endpoints_pb2,
)

from beam_distilabel.runners.flink_cluster.pool import WorkerPool
from beam_distilabel.runners.flink_cluster.probe import (
    WorkerPoolError,
    probe_worker_pool,
)
from beam_distilabel.runners.flink_cluster.worker_pool import WorkerPoolServicer, serve
from tests.flink.pools import silent_pool
from tests.flink.usage import usage_of

WORKER = "flink_cluster.worker "
PATIENCE_SECONDS = 300.0


@pytest.fixture
def servicer() -> WorkerPoolServicer:
    return WorkerPoolServicer(start_seconds=PATIENCE_SECONDS)


@pytest.fixture
def pool(servicer: WorkerPoolServicer) -> Iterator[str]:
    """A pool in this process."""
    address, server = serve("127.0.0.1", 0, servicer)
    yield address
    servicer.close()
    server.stop(None).wait()


def program(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)
    return str(path)


def test_a_pool_that_works(tmp_path: Path) -> None:
    pool = WorkerPool(tmp_path / "pool.log")
    try:
        probe_worker_pool(pool.address, PATIENCE_SECONDS)
        assert not usage_of(pool.process.group, WORKER)  # the one that came has ended
    finally:
        pool.close()
    with pytest.raises(WorkerPoolError, match=f"at {pool.address} there is no worker pool"):
        probe_worker_pool(pool.address)


def test_two_pools_cannot_share_a_port(pool: str, servicer: WorkerPoolServicer) -> None:
    port = int(pool.rpartition(":")[2])
    with pytest.raises(RuntimeError, match=rf"can't listen at 127\.0\.0\.1:{port}|Failed to bind"):
        serve("127.0.0.1", port, servicer)


def test_what_answers_is_no_pool() -> None:
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with pytest.raises(WorkerPoolError, match="there is no worker pool that answers"):
            probe_worker_pool(f"127.0.0.1:{server.server_port}", PATIENCE_SECONDS)
    finally:
        server.shutdown()
        server.server_close()


def test_no_program(pool: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(WorkerPoolError, match="a worker can't be started: /nowhere/python"):
        probe_worker_pool(pool)


def test_a_worker_that_ends_at_once(
    pool: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    dies = program(tmp_path / "python", "echo no module named beam >&2; exit 3")
    monkeypatch.setattr(sys, "executable", dies)
    with pytest.raises(WorkerPoolError, match="ended with code 3 before.*: no module named beam"):
        probe_worker_pool(pool)


def test_a_worker_that_does_not_come(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pids = tmp_path / "pid"
    monkeypatch.setattr(
        sys, "executable", program(tmp_path / "python", f"echo $$ > {pids}; exec sleep 1000")
    )
    servicer = WorkerPoolServicer(start_seconds=1.0)
    address, server = serve("127.0.0.1", 0, servicer)
    try:
        with pytest.raises(WorkerPoolError, match="took more than 1 s before it reached"):
            probe_worker_pool(address)
        assert not pids.exists() or not psutil.pid_exists(int(pids.read_text()))
    finally:
        server.stop(None).wait()


def test_a_pool_that_says_it_has_started_a_worker() -> None:
    with silent_pool() as address:
        with pytest.raises(WorkerPoolError, match="which didn't come within 1 s"):
            probe_worker_pool(address, 1.0)


class Runner(beam_fn_api_pb2_grpc.BeamFnControlServicer):
    """What a TaskManager is to its workers; one of them has come when `met` is set."""

    def __init__(self) -> None:
        self.met = threading.Event()
        self.over = threading.Event()
        self._server = grpc.server(futures.ThreadPoolExecutor(4))
        beam_fn_api_pb2_grpc.add_BeamFnControlServicer_to_server(self, self._server)
        self.address = f"localhost:{self._server.add_insecure_port('localhost:0')}"
        self._server.start()

    def Control(self, requests: Any, context: Any) -> Iterator[Any]:
        self.met.set()
        self.over.wait()
        return iter(())

    def close(self) -> None:
        self.over.set()
        self._server.stop(None).wait()


def test_workers_of_the_same_name(pool: str, servicer: WorkerPoolServicer) -> None:
    """Two TaskManagers call their workers alike; each ends its own."""
    runners = [Runner(), Runner()]
    try:
        with grpc.insecure_channel(pool) as channel:
            stub = beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolStub(channel)
            for runner in runners:
                endpoint = endpoints_pb2.ApiServiceDescriptor(url=runner.address)
                request = beam_fn_api_pb2.StartWorkerRequest(
                    worker_id="1-1", control_endpoint=endpoint
                )
                assert not stub.StartWorker(request, timeout=PATIENCE_SECONDS).error
            first, second = (worker.process for worker in servicer._workers["1-1"])
            assert all(runner.met.wait(PATIENCE_SECONDS) for runner in runners)
            runners[0].over.set()
            stub.StopWorker(beam_fn_api_pb2.StopWorkerRequest(worker_id="1-1"))
            assert first.poll() == 0
            assert second.poll() is None
            runners[1].over.set()
            stub.StopWorker(beam_fn_api_pb2.StopWorkerRequest(worker_id="1-1"))
            assert second.poll() == 0
    finally:
        for runner in runners:
            runner.close()


def test_a_worker_whose_runner_is_gone_ends(pool: str, servicer: WorkerPoolServicer) -> None:
    runner = Runner()
    try:
        with grpc.insecure_channel(pool) as channel:
            stub = beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolStub(channel)
            endpoint = endpoints_pb2.ApiServiceDescriptor(url=runner.address)
            stub.StartWorker(
                beam_fn_api_pb2.StartWorkerRequest(worker_id="w", control_endpoint=endpoint),
                timeout=PATIENCE_SECONDS,
            )
            [worker] = servicer._workers["w"]
            assert runner.met.wait(PATIENCE_SECONDS)
            runner._server.stop(None)  # as if it were killed: the stream breaks
            assert worker.process.wait(PATIENCE_SECONDS) == 1
    finally:
        runner.close()
