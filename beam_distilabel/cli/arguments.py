"""Arguments and options that several commands have, and what is made of them."""

from __future__ import annotations

from typing import Any

import typer
import yaml
from typer.core import TyperCommand

from beam_distilabel.cli.completion import config_files, runner_names, runner_settings
from beam_distilabel.errors import DistilabelUserError

FILE = typer.Argument(
    None,
    metavar="[CONFIG]",
    autocompletion=config_files,
    help="The pipeline: a .yaml or .json file, its URL, or a dataset on the Hub that has a "
    "pipeline.yaml, org/name or hf://datasets/org/name[@revision]/pipeline.yaml.",
)
CONFIG = typer.Option(None, "--config", help="The same as CONFIG.", autocompletion=config_files)
CONFIG_OF_RUN = typer.Option(
    None,
    "--config",
    help="The pipeline, as `pipeline run` takes it, if it isn't to be that of the run directory.",
    autocompletion=config_files,
)
SCRIPT = typer.Option(None, "--script", help="A Python file that builds a pipeline, or its URL.")
TRUST = typer.Option(
    False, "--trust-remote-code", help="Run a --script from a URL. It can do whatever you can."
)
VARIABLE = typer.Option(
    "pipeline", "--pipeline-variable-name", help="The pipeline's variable in the script."
)
PARAM = typer.Option(
    [],
    "--param",
    help="A runtime parameter, such as task.llm.generation_kwargs.temperature=0.7; the value is "
    "read as YAML. May be repeated.",
)
PARAMS_FILE = typer.Option(
    [],
    "--params-file",
    help="A YAML or JSON file with runtime parameters, {step: {name: value}}. May be repeated: "
    "later files win, and --param wins over files.",
)
TOKEN = typer.Option(
    None,
    "--token",
    help="The Hub's token, or where to read it, such as env:MY_TOKEN; by default HF_TOKEN or that "
    "of `hf auth login`. Other users of this machine may see what is on a command line.",
)
LOAD_GROUPS = typer.Option(
    None,
    "--load-groups",
    help="Steps that are loaded together, as JSON or YAML: [[a, b], [c]]; or "
    "sequential_step_execution.",
)
RUNNER = typer.Option(
    None,
    help="direct (default), another of `beam-distilabel runners`, or a Beam runner's name.",
    autocompletion=runner_names,
)
RUNNER_OPTION = typer.Option(
    [],
    "--runner-option",
    help="A setting of the runner, such as parallelism=4; the value is read as YAML. May be "
    "repeated. See `beam-distilabel runners`.",
    autocompletion=runner_settings,
)
BEAM_FLAGS = typer.Argument(
    None,
    metavar="[-- BEAM_FLAGS]",
    help="After `--`: Beam's own options, such as --job_name=mine. They take precedence.",
)
AS_JSON = typer.Option(False, "--json", help="Print JSON.")

RUN_DIR = typer.Argument(..., help="The run directory: the `output_dir` of the run.")
DATASET = typer.Option(
    None, help="A folder of data files, if the run was given its rows in memory."
)


class WithBeamFlags(TyperCommand):
    """A command whose arguments after `--` are `beam_flags`, and none of its others."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        own, _, flags = _parted(args)
        rest = super().parse_args(ctx, own)
        if flags:
            ctx.params["beam_flags"] = [*(ctx.params.get("beam_flags") or ()), *flags]
        return rest


def _parted(args: list[str]) -> tuple[list[str], str, list[str]]:
    """What is before and after the first `--`."""
    if "--" not in args:
        return args, "", []
    at = args.index("--")
    return args[:at], "--", args[at + 1 :]


def one_config(file: str | None, config: str | None) -> str | None:
    """CONFIG, which may be an argument or an option.

    Raises:
        DistilabelUserError: it is both.
    """
    if file is not None and config is not None:
        raise DistilabelUserError(
            f"the pipeline file is given twice, as {file!r} and as --config {config!r}; give it "
            "once. Beam's own options come after `--`."
        )
    return file if file is not None else config


def all_parameters(files: list[str], texts: list[str]) -> dict[str, Any]:
    """The runtime parameters of `--params-file` and `--param`.

    Raises:
        DistilabelUserError: a file can't be read or has another form, or a text isn't of its form.
    """
    parameters: dict[str, Any] = {}
    for file in files:
        from beam_distilabel.pipeline.serialization import read_parameters

        _merge(parameters, read_parameters(file))
    _merge(parameters, parse_parameters(texts))
    return parameters


def _merge(parameters: dict[str, Any], others: dict[str, Any]) -> None:
    """Put `others` into `parameters`, dict by dict; theirs win."""
    for name, value in others.items():
        known = parameters.get(name)
        if isinstance(known, dict) and isinstance(value, dict):
            _merge(known, value)
        else:
            parameters[name] = value


def load_groups_of(text: str | None) -> Any:
    """`--load-groups` as `Pipeline.run` takes it.

    Raises:
        DistilabelUserError: it is no list of lists, and no name.

    Example:
        >>> load_groups_of("[[a, b], [c]]")
        [['a', 'b'], ['c']]
        >>> load_groups_of("sequential_step_execution")
        'sequential_step_execution'
    """
    if text is None:
        return None
    found = _value(f"--load-groups {text!r}", text)
    groups = isinstance(found, list) and all(isinstance(group, list) for group in found)
    if not groups and not isinstance(found, str):
        raise DistilabelUserError(
            f"--load-groups {text!r}: expected a list of lists of Steps, such as '[[a, b], [c]]', "
            "or sequential_step_execution."
        )
    return found


def bytes_of(option: str, text: str | None) -> int | None:
    """An amount of memory with its unit, in bytes.

    Raises:
        DistilabelUserError: it is none, or not above 0.

    Example:
        >>> bytes_of("--memory-budget", "1.5GiB")
        1610612736
    """
    if text is None:
        return None
    from pydantic import ByteSize, TypeAdapter, ValidationError

    try:
        size = int(TypeAdapter(ByteSize).validate_python(text))
    except ValidationError:
        size = 0
    if size <= 0:
        raise DistilabelUserError(
            f"{option} {text!r}: expected an amount of memory, such as 40GiB, 500MB or 1000000000."
        )
    return size


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
