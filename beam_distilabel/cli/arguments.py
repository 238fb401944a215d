"""Arguments and options that several commands have, and what is made of them."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import typer
import yaml

from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.layout import PIPELINE_FILE
from beam_distilabel.pipeline import Pipeline

SCRIPT_NAME = "beam_distilabel_script"
"""The `__name__` of a script that the command line loads: its `__main__` block doesn't run."""

PARAM = typer.Option(
    [],
    "--param",
    help="A runtime parameter, such as task.llm.generation_kwargs.temperature=0.7; the value is "
    "read as YAML. May be repeated.",
)
CONFIG = typer.Option(None, "--config", help="A pipeline file: .yaml, .yml or .json.")
SCRIPT = typer.Option(None, "--script", help="A Python file that builds a pipeline.")
RUNNER = typer.Option(
    None, help="direct (default), another of `beam-distilabel runners`, or a Beam runner's name."
)
RUNNER_OPTION = typer.Option(
    [],
    "--runner-option",
    help="A setting of the runner, such as parallelism=4; the value is read as YAML. May be "
    "repeated. See `beam-distilabel runners`.",
)
BEAM_FLAGS = typer.Argument(
    None,
    metavar="[-- BEAM_FLAGS]",
    help="After `--`: Beam's own options, such as --job_name=mine. They take precedence.",
)
VARIABLE = typer.Option(
    "pipeline", "--pipeline-variable-name", help="The pipeline's variable in the script."
)

RUN_DIR = typer.Argument(..., help="The run directory: the `output_dir` of the run.")
DATASET = typer.Option(
    None, help="A folder of data files, if the run was given its rows in memory."
)


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
        inner[names[-1]] = _value(f"--param {text!r}", value)
    return parameters


def runner_options(texts: list[str], flags: list[str] | None = None) -> dict[str, Any] | None:
    """`["parallelism=4"]` and flags of Beam's as `options` of `Pipeline.run`.

    A dot parts a setting that is a dict from the name of an entry, which may have dots itself.

    Args:
        texts: settings, whose values are read as YAML.
        flags: of Beam.

    Returns:
        None where there are none.

    Raises:
        DistilabelUserError: a text isn't of that form, or has a name twice.

    Example:
        >>> runner_options(["parallelism=4", "configuration.a.b=x"], ["--job_name=mine"])
        {'parallelism': 4, 'configuration': {'a.b': 'x'}, 'flags': ['--job_name=mine']}
    """
    options: dict[str, Any] = {}
    for text in texts:
        path, equals, value = text.partition("=")
        name, dot, entry = path.partition(".")
        what = f"--runner-option {text!r}"
        if not equals or not name or (dot and not entry):
            raise DistilabelUserError(
                f"{what}: expected <setting>=<value>, such as parallelism=4. What there is: "
                "`beam-distilabel runners`. Beam's own options come after `--`."
            )
        inner = options.setdefault(name, {}) if dot else options
        key = entry if dot else name
        if not isinstance(inner, dict) or key in inner:
            raise DistilabelUserError(f"{what}: {name!r} already has a value.")
        inner[key] = _value(what, value)
    if flags:
        options["flags"] = [*options.get("flags", ()), *flags]
    return options or None


def _value(what: str, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise DistilabelUserError(f"{what}: the value is no YAML: {error}") from None
