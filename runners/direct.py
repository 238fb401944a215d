"""The local runner: Beam's in-memory FnApiRunner, in this process.

Named explicitly, since `DirectRunner` first tries Prism, which is a download. Everything between
two shuffles is held in memory; a bundle that fails is not retried.
"""

from __future__ import annotations

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from pydantic import BaseModel, ConfigDict, PositiveInt


class DirectSettings(BaseModel):
    """Settings of the local runner.

    Attributes:
        parallelism: worker threads. One is enough to keep an engine busy; more help Steps that wait
            (not Steps that compute: Python runs one thread at a time).
    """

    model_config = ConfigDict(extra="forbid")

    parallelism: PositiveInt = 1

    def runner(self) -> FnApiRunner:
        """A new in-memory runner."""
        return FnApiRunner()

    def pipeline_options(self) -> PipelineOptions:
        """The options for it; the command line isn't read."""
        return PipelineOptions(
            flags=[],
            direct_num_workers=self.parallelism,
            direct_running_mode="in_memory" if self.parallelism == 1 else "multi_threading",
        )
