"""The local runner: Beam's in-memory FnApiRunner, in this process.

Named explicitly, since `DirectRunner` first tries Prism, which is a download. Everything between
two shuffles is held in memory; a bundle that fails is not retried.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from pydantic import PositiveInt

from beam_distilabel.runners.settings import RunnerSettings


def has_processes(options: PipelineOptions) -> bool:
    """Whether `options` make the in-memory runner process rows in processes of their own."""
    mode = options.get_all_options().get("direct_running_mode")
    return bool(mode == "multi_processing")


class DirectSettings(RunnerSettings):
    """Settings of the local runner.

    Attributes:
        parallelism: worker threads. One is enough to keep an engine busy; more help Steps that wait
            (not Steps that compute: Python runs one thread at a time).
    """

    parallelism: PositiveInt = 1

    @property
    def local(self) -> bool:
        return True

    @property
    def shares_process(self) -> bool:
        return not has_processes(self.pipeline_options())

    def runner(self) -> FnApiRunner:
        return FnApiRunner()

    def preset(self) -> Mapping[str, Any]:
        return {
            "direct_num_workers": self.parallelism,
            "direct_running_mode": "in_memory" if self.parallelism == 1 else "multi_threading",
        }
