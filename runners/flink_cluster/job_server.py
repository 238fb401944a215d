"""Beam's Flink job server with Flink inside of it, and worker processes for its jobs."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineState

from beam_distilabel.runners.flink_cluster.guarded_process import GuardedProcess
from beam_distilabel.runners.flink_cluster.jars import fetch_jars, java

_OPENED = "lang util nio net time lang.invoke util.concurrent"  # packages that Flink looks into
_START_SECONDS = 60.0


class FlinkJobServer:
    """A job server on a free port with an embedded Flink, and a pool of worker processes.

    Nothing of it outlives this process. The workers run this interpreter, with its path.

    Args:
        folder: for logs and temporary files.
        parallelism: slots, and worker processes, of every job.
        heap: memory that Java may use for Flink, in the form of its option `-Xmx`. What a job sends
            from one stage to the next goes through it.
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
        with contextlib.ExitStack() as started:
            self._start(started)
            self._started = started.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._started.close()

    def _start(self, started: contextlib.ExitStack) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        temporary = self._folder / "tmp"
        temporary.mkdir(exist_ok=True)
        opened = [f"java.base/java.{name}" for name in _OPENED.split()] + ["java.base/sun.nio.ch"]
        command = [java(), f"-Xmx{self._heap}", f"-Djava.io.tmpdir={temporary}"]
        command += [f"--add-opens={package}=ALL-UNNAMED" for package in opened]
        command += ["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]
        command += ["-Dorg.slf4j.simpleLogger.log.org.apache.beam.runners.jobsubmission=info"]
        command += ["-cp", f"{fetch_jars()}/*"]
        command += ["org.apache.beam.runners.flink.FlinkJobServerDriver"]
        command += ["--flink-master", "[local]", "--artifacts-dir", str(temporary)]
        command += ["--job-port", "0", "--artifact-port", "0", "--expansion-port", "-1"]
        if self._settings:
            lines = [f"{name}: {value}\n" for name, value in self._settings.items()]
            (self._folder / "flink-conf.yaml").write_text("".join(lines))
            command += ["--flink-conf-dir", str(self._folder)]
        self._server = GuardedProcess(
            command, self._folder / "job-server.log", env=os.environ, cwd=self._folder
        )
        started.callback(self._server.close)
        # The pool starts its workers as `python`.
        environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
            "PYTHONPATH": os.pathsep.join(sys.path),  # what this process can import, workers can
        }
        self._pool = GuardedProcess(
            [sys.executable, "-m", "beam_distilabel.runners.flink_cluster.worker_pool"],
            self._folder / "worker-pool.log",
            env=environment,
            cwd=self._folder,
        )
        started.callback(self._pool.close)
        self._workers = self._pool.wait_for(r"(?m)^localhost:\d+$", _START_SECONDS)[0]
        ready = self._server.wait_for(r"JobService started on (localhost:\d+)", _START_SECONDS)
        self._endpoint = ready[1]

    def pipeline(self, **options: Any) -> beam.Pipeline:
        """A pipeline to give to `run`; `options` are Beam's."""
        return beam.Pipeline(options=self.options(**options))

    def options(self, **options: Any) -> PipelineOptions:
        """The options that lead a pipeline here, and more of Beam's."""
        return PipelineOptions(
            flags=[],
            runner="PortableRunner",
            job_endpoint=self._endpoint,
            environment_type="EXTERNAL",
            environment_config=self._workers,
            parallelism=self._parallelism,
            sdk_worker_parallelism=self._parallelism,
            **options,
        )

    def run(self, pipeline: beam.Pipeline, seconds: float) -> None:
        """Run a job to its end.

        Args:
            pipeline: made by `pipeline`.
            seconds: the job is cancelled after them: a worker that doesn't start, or loses its
                connection, leaves a job waiting for ever.

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
        return self._pool.group

    @property
    def server_group(self) -> int:
        """The process group of the job server, in which Flink runs."""
        return self._server.group

    def logs(self) -> str:
        """The ends of the logs."""
        return f"job server:\n{self._server.tail()}\nworkers:\n{self._pool.tail()}"
