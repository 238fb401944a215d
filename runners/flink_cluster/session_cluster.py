"""A Flink session cluster on this machine: the processes that a real one has, each by itself.

One JobManager, TaskManagers with memory of their own, and for each TaskManager a worker pool of its
own, as it has one in a pod of its own. A job names one address for all pools, so here they have one
name and one port, and the name is a different loopback address (127.0.0.2, 127.0.0.3, ...) to each
TaskManager's Java (`jdk.net.hosts.file`).
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

from beam_distilabel.runners.flink_cluster.configuration import write_configuration
from beam_distilabel.runners.flink_cluster.guarded_process import GuardedProcess
from beam_distilabel.runners.flink_cluster.jars import fetch_jars
from beam_distilabel.runners.flink_cluster.java import LIGHT, java_command
from beam_distilabel.runners.flink_cluster.moments import moments
from beam_distilabel.runners.flink_cluster.pool import START_SECONDS, WorkerPool
from beam_distilabel.runners.flink_cluster.rest import ClusterError, look_at

POOL_NAME = "worker-pool"
"""What each TaskManager calls its own worker pool."""

_JOB_MANAGER = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
_TASK_MANAGER = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
_READY_SECONDS = 180.0  # Java on a busy machine
_ATTEMPTS = 5

_SETTINGS: Mapping[str, object] = {
    # Buffers of each exchange that keeps what goes through it; Flink's default is 512, and a
    # pipeline with a join has a dozen of them at once.
    "taskmanager.network.sort-shuffle.min-buffers": 64,
    "restart-strategy.type": "fixed-delay",
    # Long enough to outlast the heartbeat's timeout: until then parts that start again still look
    # for what the TaskManager had that was killed, and fail at once.
    "restart-strategy.fixed-delay.attempts": 30,
    "restart-strategy.fixed-delay.delay": "1 s",
    # A TaskManager that was killed is missed so soon; Flink's default is 50 s.
    "heartbeat.interval": 2_000,
    "heartbeat.timeout": 10_000,
    # A job of fewer slots than there are uses all TaskManagers, and so their pools and GPUs.
    "cluster.evenly-spread-out-slots": True,
    # What a job's server has sent, 150 MB of jars, goes soon after the job; Flink's default is 1 h.
    "blob.service.cleanup.interval": 60,
    # The classes of the jobs are those of the cluster: both are of the same jars.
    "classloader.resolve-order": "parent-first",
    "web.submit.enable": False,  # who reaches the page could run code
}


class SessionCluster:
    """A JobManager, and TaskManagers with a worker pool each, until the `with` block ends.

    Nothing of it outlives this process. The workers run this interpreter, with its path.

    Args:
        folder: for logs, configuration and temporary files.
        task_managers: how many.
        slots: of each of them.
        port: of the REST server and web page; 0 for a free one.
        task_heap: memory for the tasks of one TaskManager, in MiB. Rows are in the workers;
            Flink has what is on its way between them.
        managed: memory for sorting and joining of one TaskManager, in MiB.
        start_seconds: how long a worker may take to start.
        settings: more of Flink's configuration, by its names.
        java_options: more options of Java, for the TaskManagers.

    Attributes:
        master: host and port of the REST server, once it is started.
        worker_pool: host and port of the pools, as the TaskManagers see them.

    Raises:
        MissingTool: Java is missing, or Maven is needed and missing.
        RuntimeError: a process doesn't start; has its log's end.
    """

    def __init__(
        self,
        folder: Path,
        *,
        task_managers: int = 2,
        slots: int = 2,
        port: int = 0,
        task_heap: int = 256,
        managed: int = 128,
        start_seconds: float = START_SECONDS,
        settings: Mapping[str, object] | None = None,
        java_options: Sequence[str] = (),
    ) -> None:
        if task_managers > 200:
            raise ValueError(f"task_managers={task_managers}: there is no room for so many here")
        self._folder = folder
        self._count = task_managers
        self._slots = slots
        self._port = port
        self._task_heap = task_heap
        self._managed = managed
        self._start_seconds = start_seconds
        self._settings = {**_SETTINGS, **(settings or {})}
        self._java_options = list(java_options)
        self._processes: dict[str, GuardedProcess] = {}
        self._pool_port = 0

    def __enter__(self) -> SessionCluster:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._jars = f"{fetch_jars()}/*"
        try:
            self._start_pools()
            self._start_job_manager()
            for number in range(self._count):
                self._start_task_manager(number)
            self._wait_until(self._is_complete, "the TaskManagers aren't there")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Kill all of its processes."""
        for process in self._processes.values():
            process.close()
        self._processes.clear()

    @property
    def worker_pool(self) -> str:
        return f"{POOL_NAME}:{self._pool_port}"

    @property
    def processes(self) -> Mapping[str, GuardedProcess]:
        """Its processes by their names: job-manager, task-manager-0, worker-pool-0, ..."""
        return self._processes

    def ended(self) -> list[str]:
        """The names of the processes that have ended, though nobody has closed them."""
        return [name for name, process in self._processes.items() if process.ended]

    def mend(self) -> None:
        """Start again what has ended, as a supervisor of a cluster does.

        Raises:
            RuntimeError: the JobManager has ended: its jobs are lost.
        """
        for name in self.ended():
            kind, _, number = name.rpartition("-")
            if number.isdigit():
                self._processes[name].close()  # what it has started, and our end of its pipe
            if kind == "task-manager":
                self._start_task_manager(int(number))
            elif kind == "worker-pool":
                self._start_pool(int(number), self._pool_port)
            else:
                raise RuntimeError(f"the {name} has ended; its log's end:\n{self.logs(name)}")

    def logs(self, name: str | None = None) -> str:
        """The end of one process' log, or of each."""
        if name is not None:
            return self._processes[name].tail()
        return "\n".join(f"{one}:\n{self.logs(one)}" for one in self._processes)

    # -- worker pools ----------------------------------------------------------------------------

    def _start_pools(self) -> None:
        """Start the pools at one port: the first one's, which is free for the others too, or not.

        Raises:
            RuntimeError: no port is free for all of them.
        """
        for attempt in range(_ATTEMPTS):
            try:
                self._pool_port = 0
                for number in range(self._count):
                    self._start_pool(number, self._pool_port)
                return
            except RuntimeError:
                for name in [name for name in self._processes if name.startswith("worker-pool")]:
                    self._processes.pop(name).close()
                if attempt == _ATTEMPTS - 1:
                    raise

    def _start_pool(self, number: int, port: int) -> None:
        pool = WorkerPool(
            self._folder / f"worker-pool-{number}.log",
            host=_pool_host(number),
            port=port,
            start_seconds=self._start_seconds,
        )
        self._processes[f"worker-pool-{number}"] = pool.process
        self._pool_port = int(pool.address.rpartition(":")[2])

    # -- Flink -----------------------------------------------------------------------------------

    def _start_job_manager(self) -> None:
        """Start it at a port for its RPC that is free now, and hopefully a moment later too."""
        for attempt in range(_ATTEMPTS):
            self._rpc_port = _free_port()
            configuration = {
                "jobmanager.rpc.address": "localhost",
                "jobmanager.rpc.port": self._rpc_port,
                "jobmanager.bind-host": "localhost",
                "rest.address": "localhost",
                "rest.bind-address": "localhost",
                # 0 is a free one, which the log has.
                "rest.port": self._port,
                "rest.bind-port": self._port,
                **self._settings,
            }
            process = self._java(
                "job-manager",
                _JOB_MANAGER,
                configuration,
                options=["-Xmx512m", *LIGHT],
                info=["org.apache.flink.runtime.dispatcher"],
            )
            try:
                ready = process.wait_for(
                    r"(?s)Rest endpoint listening at \S*?:(\d+)|BindException", _READY_SECONDS
                )
            except RuntimeError:
                process.close()
                raise
            if ready[1] is not None:
                self.master = f"localhost:{ready[1]}"
                return
            process.close()
            if self._port or attempt == _ATTEMPTS - 1:
                raise RuntimeError(
                    f"Flink's JobManager can't listen at port {self._port or self._rpc_port}; its "
                    f"log's end:\n{process.tail()}"
                )

    def _start_task_manager(self, number: int) -> None:
        name = f"task-manager-{number}"
        hosts = self._folder / f"{name}.hosts"
        own = {"localhost", socket.gethostname(), socket.getfqdn()}
        hosts.write_text(f"127.0.0.1 {' '.join(sorted(own))}\n{_pool_host(number)} {POOL_NAME}\n")
        # A shuffle that is kept (BATCH_FORCED) wants 16 MiB of it per slot and per part sent.
        network = 128 + 64 * self._slots
        megabytes = {
            "taskmanager.memory.task.heap.size": self._task_heap,
            "taskmanager.memory.task.off-heap.size": 64,
            "taskmanager.memory.managed.size": self._managed,
            "taskmanager.memory.framework.heap.size": 128,
            "taskmanager.memory.framework.off-heap.size": 128,
            "taskmanager.memory.network.min": network,
            "taskmanager.memory.network.max": network,
            "taskmanager.memory.jvm-metaspace.size": 256,
            "taskmanager.memory.jvm-overhead.min": 64,
            "taskmanager.memory.jvm-overhead.max": 64,
        }
        heap = self._task_heap + 128
        direct = 64 + 128 + network
        configuration = {
            "jobmanager.rpc.address": "localhost",
            "jobmanager.rpc.port": self._rpc_port,
            "taskmanager.host": "localhost",
            "taskmanager.bind-host": "localhost",
            "taskmanager.numberOfTaskSlots": self._slots,
            "taskmanager.cpu.cores": self._slots,
            **{setting: f"{size}m" for setting, size in megabytes.items()},
            **self._settings,
        }
        self._java(
            name,
            _TASK_MANAGER,
            configuration,
            options=[
                f"-Xmx{heap}m",
                f"-XX:MaxDirectMemorySize={direct}m",
                "-XX:MaxMetaspaceSize=256m",
                f"-Djdk.net.hosts.file={hosts}",
                *self._java_options,
            ],
        )

    def _java(
        self,
        name: str,
        main: str,
        configuration: Mapping[str, object],
        *,
        options: list[str],
        info: Sequence[str] = (),
    ) -> GuardedProcess:
        folder = self._folder / name
        temporary = folder / "tmp"
        temporary.mkdir(parents=True, exist_ok=True)
        write_configuration(folder, {**configuration, "io.tmp.dirs": temporary})
        command = java_command(
            main,
            ["--configDir", str(folder)],
            class_path=self._jars,
            temporary=temporary,
            options=options,
            info=info,
        )
        log = self._folder / f"{name}.log"
        self._processes[name] = GuardedProcess(command, log, env=os.environ, cwd=folder)
        return self._processes[name]

    def _is_complete(self) -> bool:
        with contextlib.suppress(ClusterError):
            # A TaskManager is counted before its slots are.
            return look_at(self.master).slots == self._count * self._slots
        return False

    def _wait_until(self, condition: Callable[[], bool], why_not: str) -> None:
        for _ in moments(_READY_SECONDS):
            if condition():
                return
            if ended := self.ended():
                raise RuntimeError(f"{ended[0]} has ended; its log's end:\n{self.logs(ended[0])}")
        raise RuntimeError(f"{why_not} after {_READY_SECONDS:.0f} s\n{self.logs()}")


def _pool_host(number: int) -> str:
    return f"127.0.0.{number + 2}"


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


__all__ = ["POOL_NAME", "SessionCluster"]
