"""A worker pool on this machine, in a process that ends with this one."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from beam_distilabel.runners.flink_cluster.guarded_process import GuardedProcess

START_SECONDS = 120.0
"""How long a worker may take to reach its runner: imports on a busy machine."""

_MODULE = "beam_distilabel.runners.flink_cluster.worker_pool"
_POOL_SECONDS = 120.0  # imports on a busy machine


def worker_environment() -> dict[str, str]:
    """The environment of this process, by which workers can import what it can."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


class WorkerPool:
    """A pool of worker processes; they run this interpreter, with its path.

    Args:
        log: the file that gets what the pool and its workers say.
        host: the address to listen at.
        port: 0 for a free one.
        start_seconds: how long a worker may take to reach its runner.
        environment: of the pool and its workers, instead of `worker_environment()`.

    Attributes:
        address: host and port.

    Raises:
        RuntimeError: the pool doesn't start; has its log's end.
    """

    def __init__(
        self,
        log: Path,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        start_seconds: float = START_SECONDS,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        command = [sys.executable, "-m", _MODULE, "--host", host, "--port", str(port)]
        self.process = GuardedProcess(
            [*command, "--start-seconds", str(start_seconds)],
            log,
            env=worker_environment() if environment is None else environment,
            cwd=log.parent,
        )
        try:
            self.address = self.process.wait_for(r"(?m)^\S+:\d+$", _POOL_SECONDS)[0]
        except BaseException:
            self.process.close()
            raise

    def close(self) -> None:
        """Kill the pool and its workers."""
        self.process.close()
