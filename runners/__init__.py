"""Where a pipeline runs: typed settings in, Beam's runner and PipelineOptions out."""

from beam_distilabel.runners.options import RunnerChoice, choose_runner

__all__ = ["RunnerChoice", "choose_runner"]
