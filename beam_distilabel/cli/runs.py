"""`beam-distilabel finalize|retry RUN_DIR`: what can be made of a run that was begun."""

from __future__ import annotations

from pathlib import Path

from beam_distilabel.cli.app import app, interruptible, show
from beam_distilabel.cli.arguments import (
    BEAM_FLAGS,
    CONFIG,
    DATASET,
    PARAM,
    RUN_DIR,
    RUNNER,
    RUNNER_OPTION,
    SCRIPT,
    VARIABLE,
    parse_parameters,
    pipeline_of_run,
    runner_options,
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
    runner_option: list[str] = RUNNER_OPTION,
    beam_flags: list[str] | None = BEAM_FLAGS,
) -> None:
    """Make a Distiset of what a run has finished so far; no model is asked.

    The run can be resumed afterwards.
    """
    options = runner_options(runner_option, beam_flags)
    pipeline = pipeline_of_run(run_dir, config, script, pipeline_variable_name)
    with interruptible():
        distiset = pipeline.finalize(
            run_dir,
            dataset=dataset,
            parameters=parse_parameters(param),
            runner=runner,
            options=options,
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
    runner_option: list[str] = RUNNER_OPTION,
    beam_flags: list[str] | None = BEAM_FLAGS,
) -> None:
    """Run again what failed in a run, and put what comes of it in its place."""
    options = runner_options(runner_option, beam_flags)
    pipeline = pipeline_of_run(run_dir, config, script, pipeline_variable_name)
    with interruptible():
        distiset = pipeline.retry(
            run_dir,
            dataset=dataset,
            parameters=parse_parameters(param),
            runner=runner,
            options=options,
        )
    show(distiset)
