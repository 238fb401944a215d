"""`beam-distilabel pipeline run|info`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.tree import Tree

from beam_distilabel.cli.app import interruptible, pipeline_commands, show
from beam_distilabel.cli.arguments import (
    BEAM_FLAGS,
    CONFIG,
    PARAM,
    RUNNER,
    RUNNER_OPTION,
    SCRIPT,
    VARIABLE,
    load_pipeline,
    parse_parameters,
    runner_options,
)
from beam_distilabel.pipeline import Pipeline


@pipeline_commands.command()
def run(
    config: str | None = CONFIG,
    script: Path | None = SCRIPT,
    param: list[str] = PARAM,
    pipeline_variable_name: str = VARIABLE,
    resume: bool = typer.Option(
        True, help="Use what earlier runs in the run directory have finished."
    ),
    ignore_cache: bool = typer.Option(False, help="The same as --no-resume, distilabel's name."),
    output_dir: str | None = typer.Option(None, help="The run directory."),
    runner: str | None = RUNNER,
    runner_option: list[str] = RUNNER_OPTION,
    repo_id: str | None = typer.Option(None, help="Push the Distiset to this Hub dataset."),
    commit_message: str | None = typer.Option(None, help="The commit's message."),
    private: bool = typer.Option(False, help="Whether a new Hub dataset is private."),
    token: str | None = typer.Option(None, envvar="HF_TOKEN", help="The Hub token."),
    beam_flags: list[str] | None = BEAM_FLAGS,
) -> None:
    """Run a pipeline and print where its Distiset is."""
    options = runner_options(runner_option, beam_flags)
    pipeline = load_pipeline(config, script, pipeline_variable_name)
    with interruptible():
        distiset = pipeline.run(
            parameters=parse_parameters(param),
            use_cache=resume and not ignore_cache,
            runner=runner,
            options=options,
            output_dir=output_dir,
        )
    show(distiset)
    if repo_id is not None:
        distiset.push_to_hub(repo_id, private, token, commit_message=commit_message)


@pipeline_commands.command()
def info(
    config: str | None = CONFIG,
    script: Path | None = SCRIPT,
    pipeline_variable_name: str = VARIABLE,
) -> None:
    """Print a pipeline's Steps and their runtime parameters."""
    pipeline = load_pipeline(config, script, pipeline_variable_name)
    Console().print(describe(pipeline))


def describe(pipeline: Pipeline) -> Tree:
    """A pipeline as a tree: Steps, their classes, successors and runtime parameters."""
    tree = Tree(f"Pipeline {pipeline.name}")
    if pipeline.description:
        tree.add(pipeline.description)
    for name, step in pipeline.graph.steps.items():
        to = ", ".join(pipeline.graph.successors(name))
        branch = tree.add(f"{name} ({type(step).__name__})" + (f" >> {to}" if to else ""))
        _add_parameters(branch, step.get_runtime_parameters_info())
    return tree


def _add_parameters(tree: Tree, info: list[dict[str, Any]]) -> None:
    for entry in info:
        if "runtime_parameters_info" in entry:
            _add_parameters(tree.add(entry["name"]), entry["runtime_parameters_info"])
            continue
        needed = "" if entry.get("optional", True) else ", required"
        branch = tree.add(f"{entry['name']}{needed}: {entry.get('description', '')}".rstrip(": "))
        keys = [key["name"] for key in entry.get("keys", [])]
        if keys:
            branch.add(", ".join(keys))
