"""Where a pipeline runs: typed settings in, Beam's runner and PipelineOptions out."""

from beam_distilabel.runners.options import RUNNERS, choose_runner
from beam_distilabel.runners.settings import RunnerSettings

__all__ = ["RUNNERS", "RunnerSettings", "choose_runner"]
