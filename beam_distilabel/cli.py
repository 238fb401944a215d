"""The command line: `beam-distilabel pipeline run|info`."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import typer
import yaml
from rich.console import Console
from rich.tree import Tree

from beam_distilabel.errors import DistilabelError, DistilabelUserError
from beam_distilabel.pipeline import Pipeline

SCRIPT_NAME = "beam_distilabel_script"
"""The `__name__` of a script that the command line loads: its `__main__` block doesn't run."""

app = typer.Typer(help="Synthetic data pipelines on Apache Beam.", no_args_is_help=True)
pipelines = typer.Typer(help="Run pipelines and look at them.", no_args_is_help=True)
app.add_typer(pipelines, name="pipeline")

_PARAM = typer.Option(
    [],
    "--param",
    help="A runtime parameter, such as task.llm.generation_kwargs.temperature=0.7; the value is "
    "read as YAML. May be repeated.",
)
_CONFIG = typer.Option(None, "--config", help="A pipeline file: .yaml, .yml or .json.")
_SCRIPT = typer.Option(None, "--script", help="A Python file that builds a pipeline.")
_VARIABLE = typer.Option(
    "pipeline", "--pipeline-variable-name", help="The pipeline's variable in the script."
)


@app.callback()
def _commands() -> None:
    """Keeps `pipeline` a command of its own."""


@pipelines.command()
def run(
    config: str | None = _CONFIG,
    script: Path | None = _SCRIPT,
    param: list[str] = _PARAM,
    pipeline_variable_name: str = _VARIABLE,
    ignore_cache: bool = typer.Option(False, help="Use nothing of an earlier run."),
    output_dir: str | None = typer.Option(None, help="The run directory."),
    runner: str | None = typer.Option(None, help="direct (default), or a Beam runner's name."),
    repo_id: str | None = typer.Option(None, help="Push the Distiset to this Hub dataset."),
    commit_message: str | None = typer.Option(None, help="The commit's message."),
    private: bool = typer.Option(False, help="Whether a new Hub dataset is private."),
    token: str | None = typer.Option(None, envvar="HF_TOKEN", help="The Hub token."),
) -> None:
    """Run a pipeline and print where its Distiset is."""
    pipeline = load_pipeline(config, script, pipeline_variable_name)
    distiset = pipeline.run(
        parameters=parse_parameters(param),
        use_cache=not ignore_cache,
        runner=runner,
        output_dir=output_dir,
    )
    Console().print(repr(distiset), highlight=False, markup=False)
    if repo_id is not None:
        distiset.push_to_hub(repo_id, private, token, commit_message=commit_message)


@pipelines.command()
def info(
    config: str | None = _CONFIG,
    script: Path | None = _SCRIPT,
    pipeline_variable_name: str = _VARIABLE,
) -> None:
    """Print a pipeline's Steps and their runtime parameters."""
    pipeline = load_pipeline(config, script, pipeline_variable_name)
    Console().print(describe(pipeline))


def load_pipeline(config: str | None, script: Path | None, variable: str) -> Pipeline:
    """The pipeline of a file, or of a script's variable.

    Raises:
        DistilabelUserError: not exactly one of the two is given, or the script has no pipeline.
    """
    if (config is None) == (script is None):
        raise DistilabelUserError("give exactly one of --config FILE and --script FILE.")
    if config is not None:
        return Pipeline.from_file(config)
    assert script is not None
    if not script.is_file():
        raise DistilabelUserError(f"there is no script {str(script)!r}.")
    # As when Python runs it: what lies beside the script can be imported.
    sys.path.insert(0, str(script.resolve().parent))
    found = runpy.run_path(str(script), run_name=SCRIPT_NAME).get(variable)
    if not isinstance(found, Pipeline):
        known = "no pipeline" if found is None else f"a {type(found).__name__}"
        raise DistilabelUserError(
            f"the script {str(script)!r} has {known} in its variable {variable!r}; build it at the "
            "top of the script, or name another with --pipeline-variable-name."
        )
    return found


def parse_parameters(texts: list[str]) -> dict[str, Any]:
    """`["step.llm.x=1"]` as `{"step": {"llm": {"x": 1}}}`; values are read as YAML.

    Raises:
        DistilabelUserError: a text isn't of that form.

    Example:
        >>> parse_parameters(["task.llm.generation_kwargs.temperature=0.7"])
        {'task': {'llm': {'generation_kwargs': {'temperature': 0.7}}}}
    """
    parameters: dict[str, Any] = {}
    for text in texts:
        path, equals, value = text.partition("=")
        names = path.split(".")
        if not equals or len(names) < 2 or not all(names):
            raise DistilabelUserError(
                f"--param {text!r}: expected <step>.<parameter>=<value>, such as "
                "task.num_generations=2."
            )
        inner = parameters
        for name in names[:-1]:
            inner = inner.setdefault(name, {})
            if not isinstance(inner, dict):
                raise DistilabelUserError(f"--param {text!r}: {name!r} already has a value.")
        try:
            inner[names[-1]] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise DistilabelUserError(f"--param {text!r}: the value is no YAML: {error}") from None
    return parameters


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


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; exit code 1 where a command failed, 2 where it was written wrong."""
    try:
        app(arguments, standalone_mode=True)
    except DistilabelError as error:
        Console(stderr=True).print(f"Error: {error}", highlight=False, markup=False)
        raise SystemExit(1) from None


__all__ = ["app", "describe", "load_pipeline", "main", "parse_parameters"]
