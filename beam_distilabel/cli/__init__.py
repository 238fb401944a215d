"""The command line: `beam-distilabel pipeline run|info`, `finalize`, `retry`, `runners`, `doctor`.

Exit codes: 0 it is done; 1 it failed, the reason is on standard error; 2 the command was written
wrong; 130 it was interrupted by Ctrl-C, 143 by SIGTERM: what is finished is kept either way.
"""

from beam_distilabel.cli import (
    doctor as doctor,  # each module adds its commands
    launch as launch,
    pipelines as pipelines,
    runners as runners,
    runs as runs,
)
from beam_distilabel.cli.app import app, main
from beam_distilabel.cli.arguments import (
    load_pipeline,
    parse_parameters,
    pipeline_of_run,
    runner_options,
)
from beam_distilabel.cli.pipelines import describe

__all__ = [
    "app",
    "describe",
    "load_pipeline",
    "main",
    "parse_parameters",
    "pipeline_of_run",
    "runner_options",
]
