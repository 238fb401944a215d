"""`beam-distilabel pipeline run`."""

from __future__ import annotations

import json
from typing import Any

import typer
from rich.console import Console

from beam_distilabel.cli.app import interruptible, note, pipeline_commands, show
from beam_distilabel.cli.arguments import (
    BEAM_FLAGS,
    CONFIG,
    FILE,
    LOAD_GROUPS,
    PARAM,
    PARAMS_FILE,
    RUNNER,
    RUNNER_OPTION,
    SCRIPT,
    TOKEN,
    TRUST,
    VARIABLE,
    WithBeamFlags,
    all_parameters,
    bytes_of,
    load_groups_of,
    one_config,
    runner_options,
)
from beam_distilabel.cli.definitions import load_pipeline, plain_token


@pipeline_commands.command(cls=WithBeamFlags)
def run(
    file: str | None = FILE,
    config: str | None = CONFIG,
    script: str | None = SCRIPT,
    trust_remote_code: bool = TRUST,
    param: list[str] = PARAM,
    params_file: list[str] = PARAMS_FILE,
    pipeline_variable_name: str = VARIABLE,
    dataset: str | None = typer.Option(
        None, help="A folder of data files, for a pipeline without a loader."
    ),
    dry_run: int | None = typer.Option(
        None,
        min=1,
        metavar="N",
        help="Run N rows of each loader, on this machine, and print what comes of them. Nothing is "
        "published.",
    ),
    resume: bool = typer.Option(
        True, help="Use what earlier runs in the run directory have finished."
    ),
    ignore_cache: bool = typer.Option(False, help="The same as --no-resume, distilabel's name."),
    output_dir: str | None = typer.Option(None, help="The run directory."),
    runner: str | None = RUNNER,
    runner_option: list[str] = RUNNER_OPTION,
    load_groups: str | None = LOAD_GROUPS,
    memory_budget: str | None = typer.Option(
        None,
        help="The memory that models loaded at once may take together, such as 40GiB; where they "
        "would take more, the pipeline runs as several jobs.",
    ),
    max_failure_ratio: float | None = typer.Option(
        None, help="Stop the run where more than this share of a Step's rows fail: above 0, to 1."
    ),
    repo_id: str | None = typer.Option(
        None, help="Publish the Distiset as this Hub dataset, in one commit at the end of the run."
    ),
    commit_message: str | None = typer.Option(None, help="The commit's message."),
    private: bool = typer.Option(False, help="Whether a new Hub dataset is private."),
    token: str | None = TOKEN,
    beam_flags: list[str] | None = BEAM_FLAGS,
) -> None:
    """Run a pipeline and print where its Distiset is."""
    options = runner_options(runner_option, beam_flags)
    parameters = all_parameters(params_file, param)
    groups = load_groups_of(load_groups)
    budget = bytes_of("--memory-budget", memory_budget)
    pipeline = load_pipeline(
        one_config(file, config),
        script,
        pipeline_variable_name,
        trust_remote_code=trust_remote_code,
        token=plain_token(token),
    )
    if dry_run is not None:
        of_runs = {
            "--runner": runner,
            "--runner-option": runner_option,
            "Beam's flags": beam_flags,
            "--output-dir": output_dir,
            "--load-groups": load_groups,
            "--memory-budget": memory_budget,
            "--max-failure-ratio": max_failure_ratio,
            "--repo-id": repo_id,
        }
        unused = [name for name, value in of_runs.items() if value]
        if unused:
            note(f"A dry run is made here and published nowhere: {', '.join(unused)} not used.")
        with interruptible():
            _print_rows(pipeline.dry_run(parameters, batch_size=dry_run, dataset=dataset))
        return
    with interruptible():
        distiset = pipeline.run(
            parameters=parameters,
            load_groups=groups,
            use_cache=resume and not ignore_cache,
            dataset=dataset,
            runner=runner,
            options=options,
            output_dir=output_dir,
            push_to_hub=_target(repo_id, commit_message, private, token),
            memory_budget=budget,
            max_failure_ratio=max_failure_ratio,
        )
    show(distiset)


def _target(
    repo_id: str | None, commit_message: str | None, private: bool, token: str | None
) -> dict[str, Any] | None:
    """Where the run publishes, as `push_to_hub` takes it."""
    if repo_id is None:
        return None
    target = {"repo_id": repo_id, "private": private, "token": token}
    return target if commit_message is None else {**target, "commit_message": commit_message}


def _print_rows(distiset: Any) -> None:
    """Every row of every subset, as JSON."""
    console = Console()
    for subset, splits in distiset.items():
        for split, rows in splits.items():
            console.rule(f"{subset} / {split}: {len(rows)} rows", align="left")
            for row in rows:
                text = json.dumps(row, indent=2, ensure_ascii=False, default=_short)
                typer.echo(text)


def _short(value: Any) -> str:
    """What JSON has no form for, such as an image or bytes."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
