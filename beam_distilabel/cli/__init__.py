"""The command line: `beam-distilabel pipeline run|info|draw|validate`, `preview`, `steps`,
`models`, `finalize`, `retry`, `launch`, `runners`, `doctor`, `flink up|down|status`.

Exit codes: 0 it is done; 1 it failed, or can't be done as asked, the reason is on standard error;
2 the command was written wrong; 130 it was interrupted by Ctrl-C, 143 by SIGTERM: what is finished
is kept either way.

Modules here import what is heavy inside of the commands: `--help` and completion come at once.
"""

from beam_distilabel.cli import (
    components as components,  # each module adds its commands
    doctor as doctor,
    flink as flink,
    launch as launch,
    looking as looking,
    pipelines as pipelines,
    preview as preview,
    runners as runners,
    runs as runs,
)
from beam_distilabel.cli.app import app, main
from beam_distilabel.cli.arguments import parse_parameters, runner_options
from beam_distilabel.cli.definitions import load_pipeline, pipeline_of_run
from beam_distilabel.cli.looking import describe

__all__ = [
    "app",
    "describe",
    "load_pipeline",
    "main",
    "parse_parameters",
    "pipeline_of_run",
    "runner_options",
]
