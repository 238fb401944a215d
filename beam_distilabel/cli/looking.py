"""`beam-distilabel pipeline info|draw|validate`: what a pipeline is, and whether it can run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.tree import Tree

from beam_distilabel.cli.app import pipeline_commands
from beam_distilabel.cli.arguments import (
    AS_JSON,
    CONFIG,
    FILE,
    LOAD_GROUPS,
    PARAM,
    PARAMS_FILE,
    SCRIPT,
    TOKEN,
    TRUST,
    VARIABLE,
    all_parameters,
    load_groups_of,
    one_config,
)
from beam_distilabel.cli.definitions import load_pipeline, plain_token

if TYPE_CHECKING:
    from beam_distilabel.pipeline import Pipeline


@pipeline_commands.command()
def info(
    file: str | None = FILE,
    config: str | None = CONFIG,
    script: str | None = SCRIPT,
    trust_remote_code: bool = TRUST,
    pipeline_variable_name: str = VARIABLE,
    load_groups: str | None = LOAD_GROUPS,
    token: str | None = TOKEN,
    as_json: bool = AS_JSON,
) -> None:
    """Print a pipeline's Steps, connections, load stages and runtime parameters."""
    pipeline = load_pipeline(
        one_config(file, config),
        script,
        pipeline_variable_name,
        trust_remote_code=trust_remote_code,
        token=plain_token(token),
    )
    found = facts_of(pipeline, load_groups_of(load_groups))
    if as_json:
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False, default=str))
    else:
        Console(highlight=False).print(described(found))


@pipeline_commands.command()
def draw(
    file: str | None = FILE,
    config: str | None = CONFIG,
    script: str | None = SCRIPT,
    trust_remote_code: bool = TRUST,
    pipeline_variable_name: str = VARIABLE,
    output: str = typer.Option(
        "pipeline.png",
        "--output",
        "-o",
        help="The picture: .png, .svg, or .mmd for Mermaid text.",
    ),
    top_to_bottom: bool = typer.Option(
        False, "--top-to-bottom", help="Have rows go from top to bottom, not from left to right."
    ),
    edge_labels: bool = typer.Option(True, help="Show the columns that each Step makes."),
    format: str | None = typer.Option(
        None, help="svg, png or mermaid, whatever the file's name says."
    ),
    token: str | None = TOKEN,
) -> None:
    """Draw a pipeline's Steps, routers and subsets. Nothing is sent anywhere."""
    pipeline = load_pipeline(
        one_config(file, config),
        script,
        pipeline_variable_name,
        trust_remote_code=trust_remote_code,
        token=plain_token(token),
    )
    typer.echo(pipeline.draw(output, top_to_bottom, edge_labels, format))


@pipeline_commands.command()
def validate(
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
    load_groups: str | None = LOAD_GROUPS,
    token: str | None = TOKEN,
) -> None:
    """Check a pipeline without running it; exit code 1 if it can't run as it is.

    No worker is started, no model is loaded, and nothing is asked.
    """
    parameters = all_parameters(params_file, param)
    pipeline = load_pipeline(
        one_config(file, config),
        script,
        pipeline_variable_name,
        trust_remote_code=trust_remote_code,
        token=plain_token(token),
    )
    pipeline.validate(parameters, dataset, load_groups_of(load_groups))
    typer.echo(f"The pipeline {pipeline.name!r} is valid: {len(pipeline.step_names)} Steps.")


def facts_of(pipeline: Pipeline, load_groups: Any = None) -> dict[str, Any]:
    """What `pipeline info` tells, as JSON-like data."""
    graph = pipeline.graph
    steps = []
    for name, step in graph.steps.items():
        router = graph.routers.get(name)
        steps.append(
            {
                "name": name,
                "class": type(step).__name__,
                "to": list(graph.successors(name)),
                "router": None if router is None else router.name,
                "runtime_parameters": _parameters(step, step.get_runtime_parameters_info()),
            }
        )
    return {
        "name": pipeline.name,
        "description": pipeline.description,
        "steps": steps,
        "load_stages": pipeline.get_load_stages(load_groups).stages,
        "requirements": pipeline.requirements,
    }


def _parameters(
    owner: Any, entries: list[dict[str, Any]], prefix: str = ""
) -> list[dict[str, Any]]:
    """The runtime parameters of a Step, those of its models included, by their dotted names."""
    from beam_distilabel.cli.catalogue import shortened

    found: list[dict[str, Any]] = []
    for entry in entries:
        name = entry["name"]
        inner = entry.get("runtime_parameters_info")
        value = getattr(owner, name)
        if isinstance(inner, dict):  # members in a list by number, in a dict by key
            for index, of_member in inner.items():
                member = value[index] if isinstance(value, dict) else value[int(index)]
                found += _parameters(member, of_member, f"{prefix}{name}.{index}.")
        elif inner is not None:
            found += _parameters(value, inner, f"{prefix}{name}.")
        else:
            found.append(
                {
                    "name": f"{prefix}{name}",
                    "type": entry.get("type", ""),
                    "value": shortened(value),
                    "required": not entry.get("optional", True),
                    "description": entry.get("description", ""),
                    **({"keys": [key["name"] for key in entry["keys"]]} if "keys" in entry else {}),
                }
            )
    return found


def describe(pipeline: Pipeline) -> Tree:
    """A pipeline as a tree: Steps, their classes, successors and runtime parameters."""
    return described(facts_of(pipeline))


def described(found: dict[str, Any]) -> Tree:
    """What `facts_of` gives, as a tree."""
    tree = Tree(escape(f"Pipeline {found['name']}"))
    if found["description"]:
        tree.add(escape(found["description"]))
    for step in found["steps"]:
        to = ", ".join(step["to"])
        routed = f" by {step['router']}" if step["router"] else ""
        line = f"{step['name']} ({step['class']})" + (f" >> {to}{routed}" if to else "")
        branch = tree.add(escape(line))
        for one in step["runtime_parameters"]:
            unset = one["name"].startswith("resources.") and one["value"] in ("None", "1")
            if not unset:  # every Step has them, few use them; `--json` has them all
                _add_parameter(branch, one)
    stages = [", ".join(stage) for stage in found["load_stages"]]
    if len(stages) > 1:
        branch = tree.add("Load stages")
        for number, stage in enumerate(stages, start=1):
            branch.add(escape(f"{number}: {stage}"))
    if found["requirements"]:
        tree.add(escape(f"Requirements: {', '.join(found['requirements'])}"))
    return tree


def _add_parameter(branch: Tree, one: dict[str, Any]) -> None:
    value = "required" if one["required"] and one["value"] == "None" else one["value"]
    text = f"{one['name']} = {value} ({one['type']})"
    if one["description"]:
        text += f": {one['description']}"
    added = branch.add(escape(text))
    if one.get("keys"):
        added.add(escape(", ".join(one["keys"])))
