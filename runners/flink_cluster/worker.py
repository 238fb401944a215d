"""One SDK worker process: what a worker pool, or Flink itself, starts.

It takes the arguments that Beam's runners give to the program of a worker, and needs the two that
say who it is and where its runner is: `python -m ...worker --id=1-1 --control_endpoint=host:port`.
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
    parser.add_argument("--control_endpoint", required=True)
    parser.add_argument("--connected_fd", type=int, help="gets a byte when there is a connection")
    known, _ = parser.parse_known_args(arguments)

    import grpc
    from apache_beam.runners.worker.sdk_worker import SdkHarness

    harness = SdkHarness(known.control_endpoint, worker_id=known.id)  # returns when connected
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


if __name__ == "__main__":
    sys.exit(main())
