"""A pool of Beam worker processes on a free port; prints its address as the first line."""

from __future__ import annotations

import threading

from apache_beam.runners.worker.worker_pool_main import BeamFnExternalWorkerPoolServicer

if __name__ == "__main__":
    address, _server = BeamFnExternalWorkerPoolServicer.start(use_process=True, port=0)
    print(address, flush=True)
    threading.Event().wait()
