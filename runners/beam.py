"""Any other runner of Beam's, with Beam's own options: what is given is passed on as it is."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions, PortableOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.runner import PipelineRunner
from pydantic import ConfigDict

from beam_distilabel.runners.direct import has_processes
from beam_distilabel.runners.settings import RunnerSettings


class BeamSettings(RunnerSettings):
    """A runner of Beam's, and options for it.

    Attributes:
        beam_runner: the runner.
        beam_options: its options.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    beam_runner: PipelineRunner
    beam_options: PipelineOptions

    @property
    def local(self) -> bool:
        return isinstance(self.beam_runner, FnApiRunner)

    @property
    def shares_process(self) -> bool:
        if self.local:
            return not has_processes(self.beam_options)
        with contextlib.suppress(AttributeError):
            return self.beam_options.view_as(PortableOptions).environment_type == "LOOPBACK"
        return False

    @property
    def other_hosts(self) -> bool:
        return type(self.beam_runner).__name__ == "DataflowRunner"

    def runner(self) -> PipelineRunner:
        return self.beam_runner

    def preset(self) -> Mapping[str, Any]:
        return {}

    def pipeline_options(self) -> PipelineOptions:
        return self.beam_options
