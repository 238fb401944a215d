"""`beam-distilabel finalize|retry RUN_DIR`: what can be made of a run that was begun."""

from __future__ import annotations

from pathlib import Path

from beam_distilabel.cli.app import app, interruptible, show
from beam_distilabel.cli.arguments import (
    CONFIG,
    DATASET,
    PARAM,
    RUN_DIR,
    RUNNER,
    SCRIPT,
    VARIABLE,
    parse_parameters,
    pipeline_of_run,
)


@app.command()
def finalize(
    run_dir: str = RUN_DIR,
    config: str | None = CONFIG,
    script: Path | None = SCRIPT,
    param: list[str] = PARAM,
    pipeline_variable_name: str = VARIABLE,
    dataset: str | None = DATASET,
    runner: str | None = RUNNER,
) -> None:
    """Make a Distiset of what a run has finished so far; no model is asked.

    The run can be resumed afterwards.
    """
    pipeline = pipeline_of_run(run_dir, config, script, pipeline_variable_name)
    with interruptible():
        distiset = pipeline.finalize(
            run_dir, dataset=dataset, parameters=parse_parameters(param), runner=runner
        )
    show(distiset)


@app.command()
def retry(
    run_dir: str = RUN_DIR,
    config: str | None = CONFIG,
    script: Path | None = SCRIPT,
    param: list[str] = PARAM,
    pipeline_variable_name: str = VARIABLE,
    dataset: str | None = DATASET,
    runner: str | None = RUNNER,
) -> None:
    """Run again what failed in a run, and put what comes of it in its place."""
    pipeline = pipeline_of_run(run_dir, config, script, pipeline_variable_name)
    with interruptible():
        distiset = pipeline.retry(
            run_dir, dataset=dataset, parameters=parse_parameters(param), runner=runner
        )
    show(distiset)
