"""`beam-distilabel finalize|retry RUN_DIR`: what can be made of a run that was begun."""

from __future__ import annotations

from typing import Any, Literal

from beam_distilabel.cli.app import app, interruptible, show
from beam_distilabel.cli.arguments import (
    BEAM_FLAGS,
    CONFIG_OF_RUN,
    DATASET,
    PARAM,
    PARAMS_FILE,
    RUN_DIR,
    RUNNER,
    RUNNER_OPTION,
    SCRIPT,
    TRUST,
    VARIABLE,
    all_parameters,
    runner_options,
)
from beam_distilabel.cli.definitions import pipeline_of_run


@app.command()
def finalize(
    run_dir: str = RUN_DIR,
    config: str | None = CONFIG_OF_RUN,
    script: str | None = SCRIPT,
    trust_remote_code: bool = TRUST,
    param: list[str] = PARAM,
    params_file: list[str] = PARAMS_FILE,
    pipeline_variable_name: str = VARIABLE,
    dataset: str | None = DATASET,
    runner: str | None = RUNNER,
    runner_option: list[str] = RUNNER_OPTION,
    beam_flags: list[str] | None = BEAM_FLAGS,
) -> None:
    """Make a Distiset of what a run has finished so far; no model is asked.

    The run can be resumed afterwards.
    """
    _go_on(
        "finalize",
        run_dir,
        (config, script, pipeline_variable_name, trust_remote_code),
        all_parameters(params_file, param),
        dataset,
        runner,
        (runner_option, beam_flags),
    )


@app.command()
def retry(
    run_dir: str = RUN_DIR,
    config: str | None = CONFIG_OF_RUN,
    script: str | None = SCRIPT,
    trust_remote_code: bool = TRUST,
    param: list[str] = PARAM,
    params_file: list[str] = PARAMS_FILE,
    pipeline_variable_name: str = VARIABLE,
    dataset: str | None = DATASET,
    runner: str | None = RUNNER,
    runner_option: list[str] = RUNNER_OPTION,
    beam_flags: list[str] | None = BEAM_FLAGS,
) -> None:
    """Run again what failed in a run, and put what comes of it in its place."""
    _go_on(
        "retry",
        run_dir,
        (config, script, pipeline_variable_name, trust_remote_code),
        all_parameters(params_file, param),
        dataset,
        runner,
        (runner_option, beam_flags),
    )


def _go_on(
    method: Literal["finalize", "retry"],
    run_dir: str,
    definition: tuple[str | None, str | None, str, bool],
    parameters: dict[str, Any],
    dataset: str | None,
    runner: str | None,
    options: tuple[list[str], list[str] | None],
) -> None:
    """Have the pipeline of a run do `method`, and show what comes of it.

    Args:
        method: of `Pipeline`.
        run_dir: the run directory.
        definition: --config, --script, the variable, and whether a script from elsewhere may run.
        parameters: of the run.
        dataset: the rows that the run was given.
        runner: as given.
        options: the runner's settings, and Beam's own flags.
    """
    settings = runner_options(*options)
    pipeline = pipeline_of_run(run_dir, *definition)
    with interruptible():
        distiset = getattr(pipeline, method)(
            run_dir,
            dataset=dataset,
            parameters=parameters,
            runner=runner,
            options=settings,
        )
    show(distiset)
