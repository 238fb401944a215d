"""Whether a worker pool starts workers: it is asked for one, which has to come to this process."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc
from apache_beam.portability.api import (
    beam_fn_api_pb2,
    beam_fn_api_pb2_grpc,
    endpoints_pb2,
)

PROBE_SECONDS = 120.0


class WorkerPoolError(RuntimeError):
    """A worker pool isn't there, or starts no worker."""


class _Control(beam_fn_api_pb2_grpc.BeamFnControlServicer):
    """A runner that has no work."""

    def __init__(self) -> None:
        self.met = threading.Event()
        self.over = threading.Event()

    def Control(self, requests: Iterator[Any], context: Any) -> Iterator[Any]:
        context.add_callback(self.over.set)
        self.met.set()
        self.over.wait()
        return iter(())


def probe_worker_pool(address: str, seconds: float = PROBE_SECONDS) -> None:
    """Have a pool on this machine start a worker, wait until it is here, and have it end.

    Args:
        address: host and port of the pool.
        seconds: how long that may take.

    Raises:
        WorkerPoolError: there is no pool, or its worker doesn't come; has what the pool says.
    """
    control = _Control()
    server = grpc.server(futures.ThreadPoolExecutor(2))
    beam_fn_api_pb2_grpc.add_BeamFnControlServicer_to_server(control, server)
    here = endpoints_pb2.ApiServiceDescriptor(
        url=f"localhost:{server.add_insecure_port('localhost:0')}"
    )
    server.start()
    worker_id = f"probe-{uuid.uuid4().hex[:12]}"
    try:
        with grpc.insecure_channel(address) as channel:
            pool = beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolStub(channel)
            response = pool.StartWorker(
                beam_fn_api_pb2.StartWorkerRequest(
                    worker_id=worker_id, control_endpoint=here, logging_endpoint=here
                ),
                timeout=seconds,
            )
            if response.error:
                raise WorkerPoolError(f"the worker pool at {address}: {response.error}")
            if not control.met.wait(seconds):
                raise WorkerPoolError(
                    f"the worker pool at {address} has started a worker, which didn't come within "
                    f"{seconds:.0f} s; see the pool's log."
                )
            control.over.set()
            pool.StopWorker(beam_fn_api_pb2.StopWorkerRequest(worker_id=worker_id), timeout=seconds)
    except grpc.RpcError as error:
        raise WorkerPoolError(
            f"at {address} there is no worker pool that answers: {error.code().name}: "
            f"{error.details()}. Start one there: python -m "
            "beam_distilabel.runners.flink_cluster.worker_pool --port PORT"
        ) from None
    finally:
        control.over.set()
        server.stop(None)
