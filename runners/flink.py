"""Apache Flink: embedded in a process of this machine, or a cluster."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import logging
import shlex
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from apache_beam.runners.portability.flink_runner import FlinkRunner
from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    PrivateAttr,
    model_validator,
)
from typing_extensions import Self

from beam_distilabel.runners.flink_cluster.guarded_process import tail
from beam_distilabel.runners.flink_cluster.jars import java
from beam_distilabel.runners.flink_cluster.java import job_server_jars
from beam_distilabel.runners.flink_cluster.job_server import EMBEDDED, JobServer
from beam_distilabel.runners.flink_cluster.pool import WorkerPool, worker_environment
from beam_distilabel.runners.flink_cluster.probe import probe_worker_pool
from beam_distilabel.runners.flink_cluster.rest import (
    Cluster,
    ClusterError,
    look_at,
    restart_strategy,
)
from beam_distilabel.runners.settings import RunnerSettings, parse_flags

Environment = Literal["loopback", "external", "process", "docker"]

Address = Annotated[
    str, Field(pattern=r"^(https?://)?[^\s/:]+:\d+/?$|^(https?://)?\[[^\s\]]+\]:\d+/?$")
]

logger = logging.getLogger(__name__)

_WORKER = "beam_distilabel.runners.flink_cluster.worker"
_OWN_RESTARTS = ("1.19", "1.20")
"""Versions of Flink whose clusters start batch jobs again by their own configuration only."""

_CLIENT_HEAP = "512m"
"""Of a job server that submits to a cluster: it holds the graph of the job, and no rows."""


class FlinkSettings(RunnerSettings):
    """Apache Flink: embedded in a process of this machine, or a cluster.

    Without a master, Flink runs embedded in a Java process that is started for the run and ends
    with it, and Steps run in this process; what goes from one Step to the next goes through Java
    and its disk, so results may be larger than memory. With a master, a cluster does the work.

    Attributes:
        master: host and port of a cluster's REST server, such as "localhost:8081"; None for an
            embedded Flink.
        parallelism: how many parts a Step's rows are worked on in, each in one of Flink's slots.
            None: 1 if embedded, else all slots that the cluster has.
        environment: where the workers, which run the Steps, are. "loopback": threads of this
            process, the default without a master; only for an embedded Flink or a cluster of one
            TaskManager on this machine. "external": processes of a worker pool beside each
            TaskManager, the default with a master; without one, a pool is started for the run.
            "process": processes that each TaskManager starts by itself. "docker": containers that
            it starts.
        worker_pool: host and port of the worker pool, as each TaskManager sees it:
            "localhost:50000" is a pool of its own on every TaskManager's host or in its pod. Two
            TaskManagers may share one only if it is this package's
            (`python -m beam_distilabel.runners.flink_cluster.worker_pool`): Beam's own takes the
            workers of one for those of the other.
        worker_command: for "process": the program, on the hosts of the TaskManagers, that is called
            with Beam's arguments for workers; without a master, one is made for the run.
        worker_image: for "docker": the image of the workers.
        sdk_worker_parallelism: worker processes of each TaskManager. None: one per slot that the
            job uses of it where workers are processes of their own, since Python runs one thread at
            a time; else 1. Beam's runner deals them out to the parts of a job in turn, so that two
            slots may share one while another is idle: where each slot needs its own, give each
            TaskManager one slot.
        worker_start_seconds: how long the workers may take to start; then the run fails. Flink
            itself waits for ever, without a word, for a worker that doesn't come
            (ExternalEnvironmentFactory of Beam's runners/java-fn-execution).
        job_endpoint: host and port of a job server that somebody runs; None to start one. Then
            `master`, `heap`, `configuration` and the restarts of batch jobs are that server's.
        job_server_jar: path or URL of a job server's jar; see `job_server_jars` for the default.
        execution_mode: of batch jobs (Beam: `execution_mode_for_batch`). "PIPELINED", Flink's
            default, keeps all Steps at work at once, generators and judges, and a failure starts
            the whole job again. "BATCH_FORCED" finishes and keeps what goes through a shuffle
            before the next Steps start, and a failure starts a part of the job again. Answers are
            paid for once either way, by the checkpoint.
        restart_attempts: how often a job is started again after a failure, such as a worker that
            was killed (Flink: `restart-strategy.type: fixed-delay`; batch jobs have none by
            default). None: 3, or 0 with "loopback", where what fails is this process. It holds for
            an embedded Flink and for streaming jobs. Batch jobs on a cluster of Flink 1.19 or 1.20
            start again as that cluster's own `restart-strategy` says, whatever this is: what
            Beam's job server gives to a batch job's ExecutionConfig isn't looked at there
            (JobGraphGenerator, DefaultSchedulerFactory of Flink). Where it has none, a run warns.
        restart_delay_seconds: how long Flink waits before it does; as `restart_attempts`.
        max_bundle_size: rows of a bundle, at most. The end of a bundle is the one place where a
            Task waits until all its answers are there, so small bundles leave an engine idle.
            The default is Beam's for batch jobs, for streaming jobs too, where Beam's is 1,000. In
            batch jobs a bundle is all that a slot gets of a Step's rows, whatever this says
            (FlinkExecutableStageFunction of Beam's Flink runner; apache/beam#34178).
        max_bundle_time_millis: how long a bundle stays open in streaming jobs, in milliseconds
            (Beam: `max_bundle_time_mills`). The default is Beam's for batch jobs; for streaming
            jobs Beam's is 1,000, and a Task would wait for its slowest answer every second.
        checkpointing_interval_millis: how often a streaming job's state is kept, in milliseconds
            (Beam: `checkpointing_interval`); None, as Beam has it, for never. Without it a job that
            fails begins anew.
        object_reuse: whether Flink's operators hand on rows without a copy.
        heap: memory of an embedded Flink, in the form of Java's option `-Xmx`.
        temporary_folder: for the files of an embedded Flink, which hold what doesn't fit into its
            memory, and for logs. None: the system's.
        configuration: more of an embedded Flink's configuration, by Flink's names, such as
            `{"taskmanager.memory.managed.size": "512m"}`.

    Example:
        >>> settings = FlinkSettings(master="flink:8081", worker_pool="localhost:50000")
        >>> settings.environment, settings.default_engine
        ('external', 'server')
        >>> FlinkSettings(flags=["--environment_type=EXTERNAL"]).environment
        'external'
    """

    master: Address | None = None
    parallelism: PositiveInt | None = None
    environment: Environment = "loopback"
    worker_pool: Address | None = None
    worker_command: str | None = None
    worker_image: str | None = None
    sdk_worker_parallelism: PositiveInt | None = None
    worker_start_seconds: PositiveFloat = 300.0
    job_endpoint: Address | None = None
    job_server_jar: str | None = None
    execution_mode: Literal["PIPELINED", "BATCH_FORCED"] = "PIPELINED"
    restart_attempts: NonNegativeInt | None = None
    restart_delay_seconds: NonNegativeFloat = 1.0
    max_bundle_size: PositiveInt = 1_000_000
    max_bundle_time_millis: PositiveInt = 10_000
    checkpointing_interval_millis: PositiveInt | None = None
    object_reuse: bool = False
    heap: Annotated[str, Field(pattern=r"^[1-9]\d*[kKmMgGtT]$")] = "1g"
    temporary_folder: Path | None = None
    configuration: Mapping[str, str | int | float | bool] = Field(default_factory=dict)

    _logs: Callable[[], str] | None = PrivateAttr(None)

    # -- what the settings are -------------------------------------------------------------------

    @model_validator(mode="before")
    @classmethod
    def _take_flags(cls, values: Any) -> Any:
        """Take from Beam's flags what there are settings for, so that both are the same."""
        if not isinstance(values, Mapping):
            return values
        values = dict(values)
        flags = [str(flag) for flag in values.get("flags") or ()]
        given = parse_flags(flags)
        for option, field in _FIELDS.items():
            if option in given:
                values[field] = given[option]
        kind = str(given.get("environment_type", "")).lower()
        if kind:
            values["environment"] = kind
        place = given.get("environment_config")
        if place is not None:
            values[_PLACES.get(kind or values.get("environment", ""), "worker_pool")] = place
        if values.get("environment") is None:
            values.pop("environment", None)
            if values.get("master") is not None or values.get("worker_pool") is not None:
                values["environment"] = "external"
        return values

    @classmethod
    def known_options(cls) -> frozenset[str]:
        return _JOB_SERVER_OPTIONS

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        fields = {"external": "worker_pool", "process": "worker_command", "docker": "worker_image"}
        for environment, field in fields.items():
            given = getattr(self, field) is not None
            if given and self.environment != environment:
                raise ValueError(
                    f"{field} is for environment={environment!r}, and this one is "
                    f"{self.environment!r}"
                )
        needed = fields.get(self.environment)
        is_embedded = self.master is None and self.job_endpoint is None
        if (
            needed
            and getattr(self, needed) is None
            and not (is_embedded and self.environment != "docker")
        ):
            raise ValueError(f"environment={self.environment!r} needs {needed}: {_NEEDED[needed]}")
        return self

    @property
    def shares_process(self) -> bool:
        return self.environment == "loopback"

    @property
    def default_engine(self) -> str:
        return "embedded" if self.shares_process else "server"

    @property
    def worker_start_limit(self) -> float:
        return self.worker_start_seconds

    @property
    def _restarts(self) -> int:
        if self.restart_attempts is not None:
            return self.restart_attempts
        return 0 if self.shares_process else 3

    # -- Beam's side of it -----------------------------------------------------------------------

    def runner(self) -> FlinkRunner:
        return FlinkRunner()

    def preset(self) -> Mapping[str, Any]:
        options: dict[str, Any] = {
            "environment_type": self.environment.upper(),
            "execution_mode_for_batch": self.execution_mode,
            "max_bundle_size": self.max_bundle_size,
            "max_bundle_time_mills": self.max_bundle_time_millis,
            "object_reuse": self.object_reuse,
            # Of streaming jobs only; batch jobs have it from the job server's configuration.
            "number_of_execution_retries": self._restarts,
            "execution_retry_delay": int(1000 * self.restart_delay_seconds),
        }
        place = {
            "external": self.worker_pool,
            "process": self._process_payload(),
            "docker": self.worker_image,
        }.get(self.environment)
        if place is not None:
            options["environment_config"] = place
        if self.master is not None:
            options["flink_master"] = self.master
        if self.checkpointing_interval_millis is not None:
            options["checkpointing_interval"] = self.checkpointing_interval_millis
        for name in ("job_endpoint", "parallelism"):
            if getattr(self, name) is not None:
                options[name] = getattr(self, name)
        options["sdk_worker_parallelism"] = self.sdk_worker_parallelism or 1
        return options

    def _process_payload(self) -> str | None:
        if self.worker_command is None:
            return None
        return json.dumps({"command": self.worker_command})

    # -- what is started -------------------------------------------------------------------------

    def check(self) -> None:
        if self.job_endpoint is None:
            java()
        if self.temporary_folder is not None and not self.temporary_folder.is_dir():
            raise RuntimeError(
                f"temporary_folder={str(self.temporary_folder)!r} is no folder here."
            )

    def logs(self) -> str:
        return self._logs() if self._logs is not None else ""

    @contextlib.contextmanager
    def started(self) -> Iterator[Self]:
        """Start what the run needs and isn't there: a job server, workers of an embedded Flink.

        Yields:
            Settings that lead to it.

        Raises:
            ClusterError: the master doesn't answer, or can't do what the settings ask for.
            MissingTool: Java is missing, or Maven is needed and missing.
            WorkerPoolError: the worker pool, on this machine, starts no worker.
            RuntimeError: a process doesn't start; has its log's end.
        """
        with contextlib.ExitStack() as started:
            folder = Path(
                started.enter_context(
                    tempfile.TemporaryDirectory(
                        prefix="beam-distilabel-flink-",
                        dir=self.temporary_folder,
                        ignore_cleanup_errors=True,  # a process may be about to write its last
                    )
                )
            )
            logs: dict[str, Callable[[], str]] = {}
            found: dict[str, Any] = {}
            cluster = look_at(self.master) if self.master is not None else None
            if cluster is not None:
                self._check_cluster(cluster)
                self._look_at_restarts(cluster)
            parallelism = self.parallelism
            if parallelism is None and self.job_endpoint is None:
                parallelism = cluster.slots if cluster is not None else 1
            found["parallelism"] = parallelism
            found["sdk_worker_parallelism"] = self._workers(parallelism, cluster)
            if self.environment == "external" and self.worker_pool is None:
                pool = WorkerPool(
                    folder / "worker-pool.log", start_seconds=self.worker_start_seconds
                )
                started.callback(pool.close)
                logs["workers"] = pool.process.tail
                found["worker_pool"] = pool.address
            elif self.worker_pool is not None and self._sees_pool():
                probe_worker_pool(self.worker_pool, self.worker_start_seconds)
            if self.environment == "process" and self.worker_command is None:
                workers_log = folder / "workers.log"
                found["worker_command"] = str(_write_worker_command(folder, workers_log))
                logs["workers"] = lambda: tail(workers_log)
            server = None
            if self.job_endpoint is None:
                server = self._job_server(folder, cluster)
                started.callback(server.close)
                logs["job server"] = server.process.tail
                found["job_endpoint"] = server.endpoint
            ready = self.model_copy(update=found)
            ready._logs = lambda: "\n".join(f"{name}:\n{end()}" for name, end in logs.items())
            try:
                yield ready
            except Exception as error:
                if server is not None and server.process.ended:
                    raise ClusterError(
                        f"{'Flink' if cluster is None else 'the job server'}, a process of this "
                        "run, has ended; if its memory was too small, give it more by `heap`. "
                        f"The end of its log:\n{server.process.tail()}"
                    ) from error
                raise

    def _check_cluster(self, cluster: Cluster) -> None:
        wanted = self.parallelism or 1
        if cluster.slots < wanted:
            raise ClusterError(
                f"the Flink cluster at {self.master!r} has {cluster.slots} slots on "
                f"{cluster.task_managers} TaskManagers; parallelism={wanted} needs as many."
            )
        if self.environment != "loopback":
            return
        if cluster.task_managers > 1 or not _is_here(str(self.master)):
            raise ClusterError(
                "environment='loopback' runs all Steps in this process, which the "
                f"{cluster.task_managers} TaskManagers at {self.master!r} can't share or reach: "
                "give each a worker pool, environment='external'."
            )

    def _look_at_restarts(self, cluster: Cluster) -> None:
        """Warn where a worker that is killed would end a batch job, against these settings."""
        if self._restarts == 0 or cluster.version not in _OWN_RESTARTS:
            return
        with contextlib.suppress(ClusterError):  # one that doesn't tell
            if restart_strategy(str(self.master)) == "none":
                logger.warning(
                    "The Flink cluster at %r starts no batch job again: one that loses a worker or "
                    "a TaskManager fails, whatever restart_attempts says (%d), and goes on when "
                    "you run it again with the same output_dir. To have it start again by itself, "
                    "set in the cluster's configuration restart-strategy.type: fixed-delay, "
                    "restart-strategy.fixed-delay.attempts: 30 and "
                    "restart-strategy.fixed-delay.delay: 1 s.",
                    self.master,
                    self._restarts,
                )

    def _workers(self, parallelism: int | None, cluster: Cluster | None) -> int:
        if self.sdk_worker_parallelism is not None:
            return self.sdk_worker_parallelism
        if self.shares_process or parallelism is None:
            return 1
        if cluster is None:
            return parallelism
        # Flink may give a job all slots of a TaskManager before it takes another one's.
        return min(parallelism, -(-cluster.slots // max(1, cluster.task_managers)))

    def _sees_pool(self) -> bool:
        """Whether the pool is on this machine, and so is all of Flink: then it can be tried."""
        assert self.worker_pool is not None
        is_flink_here = self.master is None or _is_here(self.master)
        return is_flink_here and self.job_endpoint is None and _is_here(self.worker_pool)

    def _job_server(self, folder: Path, cluster: Cluster | None) -> JobServer:
        configuration = dict(self.configuration)
        restarts = {"restart-strategy.type": "none"}
        if self._restarts:
            restarts = {
                "restart-strategy.type": "fixed-delay",
                "restart-strategy.fixed-delay.attempts": str(self._restarts),
                "restart-strategy.fixed-delay.delay": (
                    f"{int(1000 * self.restart_delay_seconds)} ms"
                ),
            }
        return JobServer(
            folder,
            master=self.master or EMBEDDED,
            heap=self.heap if cluster is None else _CLIENT_HEAP,
            configuration={**restarts, **configuration},
            class_path=job_server_jars(cluster and cluster.version, self.job_server_jar),
        )


_FIELDS = {
    "flink_master": "master",
    "parallelism": "parallelism",
    "sdk_worker_parallelism": "sdk_worker_parallelism",
    "job_endpoint": "job_endpoint",
    "flink_job_server_jar": "job_server_jar",
    "execution_mode_for_batch": "execution_mode",
    "max_bundle_size": "max_bundle_size",
    "max_bundle_time_mills": "max_bundle_time_millis",
    "object_reuse": "object_reuse",
    "checkpointing_interval": "checkpointing_interval_millis",
}
"""Beam's options that there are settings for."""

_JOB_SERVER_OPTIONS = frozenset(
    """
    allow_non_restored_state attached_mode auto_watermark_interval bundle_processor_cache_timeout
    checkpoint_timeout_millis checkpointing_interval checkpointing_mode disable_metrics
    enable_stable_input_drain environment_expiration_millis execution_mode_for_batch
    execution_retry_delay externalized_checkpoints_enabled fail_on_checkpointing_errors faster_copy
    files_to_stage finish_bundle_before_checkpointing flink_conf_dir
    force_unaligned_checkpoint_enabled latency_tracking_interval load_balance_bundles
    max_bundle_size max_bundle_time_mills min_pause_between_checkpoints
    num_concurrent_checkpoints number_of_execution_retries object_reuse operator_chaining
    re_iterable_group_by_key_result report_checkpoint_duration
    retain_externalized_checkpoints_on_cancellation savepoint_path shutdown_sources_after_idle_ms
    state_backend state_backend_storage_path unaligned_checkpoint_enabled
    use_data_stream_for_batch
    """.split()
)
"""What the job server takes (FlinkPipelineOptions in Java), and Beam's Python side doesn't know."""

_PLACES = {"external": "worker_pool", "docker": "worker_image", "process": "worker_command"}

_NEEDED = {
    "worker_pool": "host and port of a worker pool beside each TaskManager",
    "worker_command": "the program that starts a worker on the hosts of the TaskManagers",
    "worker_image": "the image of the workers",
}


def _is_here(address: str) -> bool:
    """Whether an address is this machine's own loopback address."""
    host = address.rpartition("://")[2].rpartition(":")[0].strip("[]")
    try:
        found = {entry[4][0] for entry in socket.getaddrinfo(host, None)}
    except OSError:
        return False  # a name that TaskManagers know, and this machine doesn't
    return all(ipaddress.ip_address(one).is_loopback for one in found)


def _write_worker_command(folder: Path, log: Path) -> Path:
    """A program that is a worker with this interpreter, and what it can import.

    Flink throws away what it says, so that goes to a file.
    """
    path = folder / "worker"
    variables = {"PYTHONPATH": worker_environment()["PYTHONPATH"]}
    exports = "".join(f"export {k}={shlex.quote(v)}\n" for k, v in variables.items())
    path.write_text(
        f"#!/bin/sh\n{exports}exec {shlex.quote(sys.executable)} -m {_WORKER} "
        f'"$@" >> {shlex.quote(str(log))} 2>&1\n'
    )
    path.chmod(0o700)
    return path
