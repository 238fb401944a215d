"""A pool of Beam worker processes: `python -m ...worker_pool [--host H] [--port P]`.

Its first line of output is its address. It does what Beam's own pool does
(`apache_beam.runners.worker.worker_pool_main`), and besides:

- A worker that doesn't start is an error for who asked for it, with what the worker said
  last. Beam's pool answers at once, and Flink then waits for the worker for ever.
- Workers are run by this interpreter, whatever `python` is on PATH, and what they print is passed
  on. Beam's pool reads none of it, so that a worker that prints much stands still.
- Several TaskManagers may use one pool: all call their workers alike, and Beam's pool then stops
  the wrong one.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent import futures
from typing import Any

import grpc
from apache_beam.portability.api import beam_fn_api_pb2, beam_fn_api_pb2_grpc

from beam_distilabel.runners.flink_cluster.pool import START_SECONDS

STOP_SECONDS = 30.0
"""How long a worker that has nothing more to do may take to give back its models and to end."""

_WORKER = "beam_distilabel.runners.flink_cluster.worker"
_KILL_SECONDS = 10.0
_THREADS = 64  # each call waits for a worker's start or end


class _Worker:
    """A worker process."""

    def __init__(self, request: Any) -> None:
        connected, connects = os.pipe()
        try:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    _WORKER,
                    f"--id={request.worker_id}",
                    f"--control_endpoint={request.control_endpoint.url}",
                    f"--connected_fd={connects}",
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(connects,),
            )
        except BaseException:
            os.close(connected)
            raise
        finally:
            os.close(connects)
        self._connected = connected
        self._last = ""
        self._reader = threading.Thread(target=self._read, name="worker-output", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as output:
            for line in output:
                self._last = line.decode(errors="replace").strip() or self._last
                sys.stderr.buffer.write(line)
                sys.stderr.buffer.flush()
        self.process.wait()

    def wait_until_connected(self, seconds: float) -> str | None:
        """Wait until it has reached its runner; why it hasn't."""
        try:
            ready, _, _ = select.select([self._connected], [], [], seconds)
            if not ready:
                return f"took more than {seconds:.0f} s"
            if os.read(self._connected, 1):
                return None
        finally:
            os.close(self._connected)
        return f"ended with code {self.process.wait()}"

    def end(self) -> None:
        """End it, whatever it does."""
        self.process.terminate()
        try:
            self.process.wait(_KILL_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def last_words(self) -> str:
        self._reader.join(_KILL_SECONDS)
        return self._last or "it said nothing"


class WorkerPoolServicer(beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolServicer):
    """Starts and stops workers for runners.

    Args:
        start_seconds: how long a worker may take to reach its runner.
        stop_seconds: how long one may take to end by itself.
    """

    def __init__(
        self, start_seconds: float = START_SECONDS, stop_seconds: float = STOP_SECONDS
    ) -> None:
        self._start_seconds = start_seconds
        self._stop_seconds = stop_seconds
        self._workers: dict[str, list[_Worker]] = {}
        self._lock = threading.Lock()

    def StartWorker(self, request: Any, context: Any) -> Any:
        """Return when the worker is there; a response with an error says why it isn't."""
        try:
            worker = _Worker(request)
        except OSError as error:
            return beam_fn_api_pb2.StartWorkerResponse(
                error=f"a worker can't be started: {sys.executable}: {error}"
            )
        with self._lock:
            self._workers.setdefault(request.worker_id, []).append(worker)
        why = worker.wait_until_connected(self._start_seconds)
        if why is None:
            return beam_fn_api_pb2.StartWorkerResponse()
        self._forget(request.worker_id, worker)
        worker.end()
        return beam_fn_api_pb2.StartWorkerResponse(
            error=f"the worker {request.worker_id!r} {why} before it reached its runner at "
            f"{request.control_endpoint.url}: {worker.last_words()} (all that it said is in the "
            "log of the worker pool)"
        )

    def StopWorker(self, request: Any, context: Any) -> Any:
        """Return when the worker has ended.

        Its runner has told it that there is no more to do, so it does that by itself; one that
        doesn't in time is made to. Where several runners have a worker of the same name, the one
        that ends is the one that is meant.
        """
        deadline = time.monotonic() + self._stop_seconds
        while True:
            with self._lock:
                workers = list(self._workers.get(request.worker_id, ()))
            ended = [worker for worker in workers if worker.process.poll() is not None]
            if ended or not workers:
                for worker in ended:
                    self._forget(request.worker_id, worker)
                return beam_fn_api_pb2.StopWorkerResponse()
            if time.monotonic() > deadline:
                break
            with contextlib.suppress(subprocess.TimeoutExpired):
                workers[0].process.wait(0.1)
        if len(workers) == 1:
            self._forget(request.worker_id, workers[0])
            workers[0].end()
        return beam_fn_api_pb2.StopWorkerResponse()

    def _forget(self, worker_id: str, worker: _Worker) -> None:
        with self._lock:
            workers = self._workers.get(worker_id, [])
            if worker in workers:
                workers.remove(worker)
            if not workers:
                self._workers.pop(worker_id, None)

    def close(self) -> None:
        """End all workers."""
        with self._lock:
            workers: Iterable[_Worker] = [one for some in self._workers.values() for one in some]
            self._workers.clear()
        for worker in workers:
            worker.end()


def serve(host: str, port: int, servicer: WorkerPoolServicer) -> tuple[str, grpc.Server]:
    """Serve a pool.

    Args:
        host: the address to listen at; who reaches it can run code, so the default of the command
            is this machine's own.
        port: 0 for a free one.
        servicer: the pool.

    Returns:
        The address and the server.

    Raises:
        RuntimeError: the port isn't free, or the address not this machine's.
    """
    server = grpc.server(
        futures.ThreadPoolExecutor(_THREADS, thread_name_prefix="worker-pool"),
        # Two pools at one port would each get a part of the calls.
        options=[("grpc.so_reuseport", 0), ("grpc.http2.max_ping_strikes", 0)],
    )
    beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(servicer, server)
    bound = server.add_insecure_port(f"{host}:{port}")
    if not bound:
        raise RuntimeError(f"a worker pool can't listen at {host}:{port}")
    server.start()
    return f"{host}:{bound}", server


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="A pool of Beam worker processes.")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen at")
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument("--start-seconds", type=float, default=START_SECONDS)
    known = parser.parse_args(arguments)
    servicer = WorkerPoolServicer(known.start_seconds)
    address, _server = serve(known.host, known.port, servicer)
    print(address, flush=True)
    try:
        threading.Event().wait()
    finally:
        servicer.close()


if __name__ == "__main__":
    main()
