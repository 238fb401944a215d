"""The local runner: Beam's in-memory FnApiRunner, in this process.

Named explicitly, since `DirectRunner` first tries Prism, which is a download. Everything between
two shuffles is held in memory; a bundle that fails is not retried.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from pydantic import ByteSize, Field, PositiveInt

from beam_distilabel.runners.settings import RunnerSettings


def has_processes(options: PipelineOptions) -> bool:
    """Whether `options` make the in-memory runner process rows in processes of their own."""
    mode = options.get_all_options().get("direct_running_mode")
    return bool(mode == "multi_processing")


class DirectSettings(RunnerSettings):
    """This process: Beam's in-memory runner, for results that fit into its memory.

    What it sets: one worker thread by default, since Python runs one at a time and Tasks wait for
    all their requests on one; `in_memory` and `multi_threading` are Beam's two modes of workers in
    this process (https://beam.apache.org/documentation/runners/direct/). In Beam's third one,
    `multi_processing`, which `flags` can ask for, worker processes share engines by their host's
    server.

    Attributes:
        parallelism: worker threads. One is enough to keep an engine busy; more help Steps that wait
            (not Steps that compute: Python runs one thread at a time).
        max_memory: of this process, at which a run is stopped: it holds all rows that joins and
            global Steps wait for. What is finished is kept. None is what the process has at the
            start, and 80% of what it could still get (the container's limits included).

    Example:
        >>> DirectSettings(max_memory="8GiB").max_memory
        8589934592
    """

    parallelism: PositiveInt = 1
    max_memory: Annotated[ByteSize, Field(gt=0)] | None = None

    @property
    def local(self) -> bool:
        return True

    @property
    def shares_process(self) -> bool:
        return not has_processes(self.pipeline_options())

    @property
    def default_engine(self) -> str:
        return "embedded" if self.shares_process else "server"

    def runner(self) -> FnApiRunner:
        return FnApiRunner()

    def preset(self) -> Mapping[str, Any]:
        return {
            "direct_num_workers": self.parallelism,
            "direct_running_mode": "in_memory" if self.parallelism == 1 else "multi_threading",
        }
