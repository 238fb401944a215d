"""A worker pool that starts no worker."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc
from apache_beam.portability.api import beam_fn_api_pb2, beam_fn_api_pb2_grpc


class SilentPool(beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolServicer):
    """Says that it has started a worker, as Beam's own pool does whatever comes of it."""

    def StartWorker(self, request: Any, context: Any) -> Any:
        return beam_fn_api_pb2.StartWorkerResponse()

    def StopWorker(self, request: Any, context: Any) -> Any:
        return beam_fn_api_pb2.StopWorkerResponse()


@contextlib.contextmanager
def silent_pool() -> Iterator[str]:
    """Serve a `SilentPool`; its address."""
    server = grpc.server(futures.ThreadPoolExecutor(4))
    beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(SilentPool(), server)
    address = f"localhost:{server.add_insecure_port('localhost:0')}"
    server.start()
    try:
        yield address
    finally:
        server.stop(None).wait()
