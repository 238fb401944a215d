"""The command line: `beam-distilabel pipeline run|info`, `finalize`, `retry`.

Exit codes: 0 it is done; 1 it failed, the reason is on standard error; 2 the command was written
wrong; 130 it was interrupted by Ctrl-C, 143 by SIGTERM: what is finished is kept either way.
"""

from __future__ import annotations

import contextlib
import runpy
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
import yaml
from rich.console import Console
from rich.tree import Tree

from beam_distilabel.errors import DistilabelError, DistilabelUserError, RunInterrupted
from beam_distilabel.layout import PIPELINE_FILE
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
_RUNNER = typer.Option(None, help="direct (default), or a Beam runner's name.")
_VARIABLE = typer.Option(
    "pipeline", "--pipeline-variable-name", help="The pipeline's variable in the script."
)

_RUN_DIR = typer.Argument(..., help="The run directory: the `output_dir` of the run.")
_DATASET = typer.Option(
    None, help="A folder of data files, if the run was given its rows in memory."
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
    resume: bool = typer.Option(
        True, help="Use what earlier runs in the run directory have finished."
    ),
    ignore_cache: bool = typer.Option(False, help="The same as --no-resume, distilabel's name."),
    output_dir: str | None = typer.Option(None, help="The run directory."),
    runner: str | None = _RUNNER,
    repo_id: str | None = typer.Option(None, help="Push the Distiset to this Hub dataset."),
    commit_message: str | None = typer.Option(None, help="The commit's message."),
    private: bool = typer.Option(False, help="Whether a new Hub dataset is private."),
    token: str | None = typer.Option(None, envvar="HF_TOKEN", help="The Hub token."),
) -> None:
    """Run a pipeline and print where its Distiset is."""
    pipeline = load_pipeline(config, script, pipeline_variable_name)
    with _interruptible():
        distiset = pipeline.run(
            parameters=parse_parameters(param),
            use_cache=resume and not ignore_cache,
            runner=runner,
            output_dir=output_dir,
        )
    _show(distiset)
    if repo_id is not None:
        distiset.push_to_hub(repo_id, private, token, commit_message=commit_message)


@app.command()
def finalize(
    run_dir: str = _RUN_DIR,
    config: str | None = _CONFIG,
    script: Path | None = _SCRIPT,
    param: list[str] = _PARAM,
    pipeline_variable_name: str = _VARIABLE,
    dataset: str | None = _DATASET,
    runner: str | None = _RUNNER,
) -> None:
    """Make a Distiset of what a run has finished so far; no model is asked.

    The run can be resumed afterwards.
    """
    pipeline = pipeline_of_run(run_dir, config, script, pipeline_variable_name)
    with _interruptible():
        distiset = pipeline.finalize(
            run_dir, dataset=dataset, parameters=parse_parameters(param), runner=runner
        )
    _show(distiset)


@app.command()
def retry(
    run_dir: str = _RUN_DIR,
    config: str | None = _CONFIG,
    script: Path | None = _SCRIPT,
    param: list[str] = _PARAM,
    pipeline_variable_name: str = _VARIABLE,
    dataset: str | None = _DATASET,
    runner: str | None = _RUNNER,
) -> None:
    """Run again what failed in a run, and put what comes of it in its place."""
    pipeline = pipeline_of_run(run_dir, config, script, pipeline_variable_name)
    with _interruptible():
        distiset = pipeline.retry(
            run_dir, dataset=dataset, parameters=parse_parameters(param), runner=runner
        )
    _show(distiset)


@pipelines.command()
def info(
    config: str | None = _CONFIG,
    script: Path | None = _SCRIPT,
    pipeline_variable_name: str = _VARIABLE,
) -> None:
    """Print a pipeline's Steps and their runtime parameters."""
    pipeline = load_pipeline(config, script, pipeline_variable_name)
    Console().print(describe(pipeline))


def _show(distiset: Any) -> None:
    Console().print(repr(distiset), highlight=False, markup=False)


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """SIGTERM, which schedulers send before they kill, is as Ctrl-C; exits with their codes."""
    received = [signal.SIGINT]

    def terminate(number: int, *_: Any) -> None:
        received.append(signal.Signals(number))
        signal.raise_signal(signal.SIGINT)

    in_main_thread = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, terminate) if in_main_thread else None
    try:
        yield
    except RunInterrupted as error:
        Console(stderr=True).print(str(error), highlight=False, markup=False, soft_wrap=True)
        raise typer.Exit(128 + received[-1]) from None
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)


def pipeline_of_run(
    run_dir: str, config: str | None, script: Path | None, variable: str
) -> Pipeline:
    """The pipeline of a run: the one of a file or script if given, else the run's own file.

    Raises:
        DistilabelUserError: both are given, or the run's file needs classes of a script.
    """
    if config is not None or script is not None:
        return load_pipeline(config, script, variable)
    file = f"{run_dir.rstrip('/')}/{PIPELINE_FILE}"
    try:
        return Pipeline.from_file(file)
    except DistilabelUserError as error:
        raise DistilabelUserError(
            f"{error} The pipeline of the run can't be made of {file!r}: give the script that "
            "builds it, --script FILE, or a file that has it, --config FILE."
        ) from None


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


__all__ = ["app", "describe", "load_pipeline", "main", "parse_parameters", "pipeline_of_run"]
