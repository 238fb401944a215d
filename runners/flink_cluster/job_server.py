"""Beam's Flink job server: with Flink inside of it, or for a cluster."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineState

from beam_distilabel.runners.flink_cluster.configuration import write_configuration
from beam_distilabel.runners.flink_cluster.guarded_process import GuardedProcess
from beam_distilabel.runners.flink_cluster.java import LIGHT, java_command, job_server_jars
from beam_distilabel.runners.flink_cluster.pool import WorkerPool

EMBEDDED = "[local]"
"""The master that is Flink inside of the job server."""

_SETTINGS: Mapping[str, object] = {
    # Of an embedded Flink: the buffers of each exchange that keeps what goes through it. Flink's
    # default of 512 is a quarter of all that it has, and a pipeline with a join has a dozen
    # exchanges at once.
    "taskmanager.network.sort-shuffle.min-buffers": 64,
}

_MAIN = "org.apache.beam.runners.flink.FlinkJobServerDriver"
_LOGGED = "org.apache.beam.runners.jobsubmission"
_START_SECONDS = 120.0  # Java on a busy machine


class JobServer:
    """A job server on a free port, in a process that ends with this one.

    Args:
        folder: for its log, its temporary files and those of an embedded Flink.
        master: host and port of a cluster's REST server, or `EMBEDDED`.
        heap: memory that Java may use, in the form of its option `-Xmx`. With an embedded Flink,
            what a job sends from one stage to the next goes through it.
        configuration: of Flink, by the names in its configuration file: of an embedded Flink, and
            of a job, such as its restart strategy.
        class_path: of Java; by default what `job_server_jars` finds.

    Attributes:
        endpoint: host and port.

    Raises:
        MissingTool: there is no Java, or the jars aren't there and can't be fetched.
        RuntimeError: it doesn't start; has its log.
    """

    def __init__(
        self,
        folder: Path,
        *,
        master: str = EMBEDDED,
        heap: str = "1g",
        configuration: Mapping[str, object] | None = None,
        class_path: str | None = None,
    ) -> None:
        temporary = folder / "tmp"
        temporary.mkdir(parents=True, exist_ok=True)
        write_configuration(folder, {**_SETTINGS, **(configuration or {})})
        arguments = ["--flink-master", master, "--artifacts-dir", str(temporary)]
        arguments += ["--job-port", "0", "--artifact-port", "0", "--expansion-port", "-1"]
        command = java_command(
            _MAIN,
            [*arguments, "--flink-conf-dir", str(folder)],
            class_path=class_path or job_server_jars(),
            temporary=temporary,
            options=[f"-Xmx{heap}", *(() if master == EMBEDDED else LIGHT)],
            info=[_LOGGED],
        )
        log = folder / "job-server.log"
        self.process = GuardedProcess(command, log, env=os.environ, cwd=folder)
        try:
            ready = self.process.wait_for(r"JobService started on (\S+:\d+)", _START_SECONDS)
            self.endpoint = ready[1]
        except BaseException:
            self.process.close()
            raise

    def close(self) -> None:
        """Kill it, and with it an embedded Flink."""
        self.process.close()


class FlinkJobServer:
    """A job server with an embedded Flink, and a pool of worker processes.

    Nothing of it outlives this process. The workers run this interpreter, with its path.

    Args:
        folder: for logs and temporary files.
        parallelism: slots, and worker processes, of every job.
        heap: memory that Java may use for Flink; see `JobServer`.
        settings: of Flink, by the names in its configuration file.

    Raises:
        MissingTool: there is no Java, or the jars aren't there and can't be fetched.
        RuntimeError: a process doesn't start; has its log.
    """

    def __init__(
        self,
        folder: Path,
        parallelism: int = 2,
        heap: str = "1g",
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._folder = folder
        self._parallelism = parallelism
        self._heap = heap
        self._settings = dict(settings or {})
        self._started = contextlib.ExitStack()

    def __enter__(self) -> FlinkJobServer:
        self._folder.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as started:
            self._server = JobServer(self._folder, heap=self._heap, configuration=self._settings)
            started.callback(self._server.close)
            self._pool = WorkerPool(self._folder / "worker-pool.log")
            started.callback(self._pool.close)
            self._started = started.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._started.close()

    @property
    def endpoint(self) -> str:
        """Host and port of the job server."""
        return self._server.endpoint

    @property
    def worker_pool(self) -> str:
        """Host and port of the pool."""
        return self._pool.address

    def pipeline(self, **options: Any) -> beam.Pipeline:
        """A pipeline to give to `run`; `options` are Beam's."""
        return beam.Pipeline(options=self.options(**options))

    def options(self, **options: Any) -> PipelineOptions:
        """The options that lead a pipeline here, and more of Beam's."""
        return PipelineOptions(
            flags=[],
            runner="PortableRunner",
            job_endpoint=self.endpoint,
            environment_type="EXTERNAL",
            environment_config=self.worker_pool,
            parallelism=self._parallelism,
            sdk_worker_parallelism=self._parallelism,
            **options,
        )

    def run(self, pipeline: beam.Pipeline, seconds: float) -> None:
        """Run a job to its end.

        Args:
            pipeline: made by `pipeline`.
            seconds: the job is cancelled after them: a worker that loses its connection leaves a
                job waiting for ever.

        Raises:
            RuntimeError: the job failed, or didn't end in time; has the logs' ends.
        """
        result = pipeline.run()
        try:
            state = result.wait_until_finish(duration=int(seconds * 1000))
        except Exception as error:
            raise RuntimeError(f"the job failed: {error}\n{self.logs()}") from error
        if state != PipelineState.DONE:
            with contextlib.suppress(Exception):  # the job's state says it all
                result.cancel()
            raise RuntimeError(f"the job is {state} after {seconds:.0f} s\n{self.logs()}")

    @property
    def worker_group(self) -> int:
        """The process group of the workers."""
        return self._pool.process.group

    @property
    def server_group(self) -> int:
        """The process group of the job server, in which Flink runs."""
        return self._server.process.group

    def logs(self) -> str:
        """The ends of the logs."""
        return f"job server:\n{self._server.process.tail()}\nworkers:\n{self._pool.process.tail()}"
