"""One SDK worker process: what a worker pool, or Flink itself, starts.

It takes the arguments that Beam's runners give to the program of a worker, and needs those that say
who it is and where its runner is: `python -m ...worker --id=1-1 --control_endpoint=host:port`, or
`--provision_endpoint=host:port`, where it asks for the other.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
import traceback
from collections.abc import Sequence

END_SECONDS = 10.0
"""How long a worker that has lost its runner may take to end."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Work until the runner says that there is no more to do."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--id", required=True)
    parser.add_argument("--control_endpoint")
    parser.add_argument("--provision_endpoint")
    parser.add_argument("--connected_fd", type=int, help="gets a byte when there is a connection")
    known, _ = parser.parse_known_args(arguments)
    if known.control_endpoint is None and known.provision_endpoint is None:
        parser.error("--control_endpoint or --provision_endpoint is needed")

    import grpc
    from apache_beam.runners.worker.sdk_worker import SdkHarness

    control = known.control_endpoint or _control_endpoint(known.provision_endpoint, known.id)
    harness = SdkHarness(control, worker_id=known.id)  # returns when connected
    if known.connected_fd is not None:
        os.write(known.connected_fd, b"1")
        os.close(known.connected_fd)
    try:
        harness.run()
    except grpc.RpcError:
        # The runner is gone: what is in flight belongs to nobody, and must not be paid for twice.
        traceback.print_exc()
        timer = threading.Timer(END_SECONDS, os._exit, (1,))
        timer.daemon = True
        timer.start()
        return 1
    return 0


def _control_endpoint(provision_endpoint: str, worker_id: str) -> str:
    """Where the control service is, by the provision service."""
    import grpc
    from apache_beam.portability.api import (
        beam_provision_api_pb2,
        beam_provision_api_pb2_grpc,
    )
    from apache_beam.runners.worker.worker_id_interceptor import WorkerIdInterceptor

    with grpc.insecure_channel(provision_endpoint) as channel:
        with_id = grpc.intercept_channel(channel, WorkerIdInterceptor(worker_id))
        service = beam_provision_api_pb2_grpc.ProvisionServiceStub(with_id)
        request = beam_provision_api_pb2.GetProvisionInfoRequest()
        return str(service.GetProvisionInfo(request, timeout=60).info.control_endpoint.url)


if __name__ == "__main__":
    sys.exit(main())
