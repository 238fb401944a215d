"""`beam-distilabel steps list|show` and `models list|show`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from beam_distilabel.cli.app import app
from beam_distilabel.cli.arguments import AS_JSON
from beam_distilabel.cli.completion import model_names, step_names
from beam_distilabel.errors import DistilabelUserError

if TYPE_CHECKING:
    from beam_distilabel.cli.catalogue import Argument, Description, Item

step_commands = typer.Typer(help="The Steps and Tasks that there are.", no_args_is_help=True)
model_commands = typer.Typer(help="The LLMs and other models.", no_args_is_help=True)
app.add_typer(step_commands, name="steps")
app.add_typer(model_commands, name="models")

_KIND = typer.Option(None, "--kind", help="Only those of a kind, such as task or loader.")
_TEXT = typer.Argument(None, help="Only those with this text in their name or in what they do.")


@step_commands.command("list")
def list_steps(text: str | None = _TEXT, kind: str | None = _KIND, as_json: bool = AS_JSON) -> None:
    """List the Steps and Tasks."""
    from beam_distilabel.cli.catalogue import STEP_KINDS, matching, steps

    _check_kind(kind, STEP_KINDS)
    _list(matching(steps(), kind, text), as_json)


@step_commands.command("show")
def show_step(
    name: str = typer.Argument(..., help="A Step or Task.", autocompletion=step_names),
    as_json: bool = AS_JSON,
) -> None:
    """Show a Step's arguments and columns, and the prompt of a Task for an example row."""
    from beam_distilabel.cli.catalogue import describe, named, steps

    _show(describe(named(steps(), name, "step")), as_json)


@model_commands.command("list")
def list_models(
    text: str | None = _TEXT,
    kind: str | None = typer.Option(None, "--kind", help="Only those of a kind, such as LLM."),
    as_json: bool = AS_JSON,
) -> None:
    """List the LLMs and other models."""
    from beam_distilabel.cli.catalogue import MODEL_KINDS, matching, models

    _check_kind(kind, MODEL_KINDS)
    _list(matching(models(), kind, text), as_json)


@model_commands.command("show")
def show_model(
    name: str = typer.Argument(..., help="A model's class.", autocompletion=model_names),
    as_json: bool = AS_JSON,
) -> None:
    """Show a model's arguments, and those of its calls (`generation_kwargs`)."""
    from beam_distilabel.cli.catalogue import describe, models, named

    _show(describe(named(models(), name, "model")), as_json)


def _check_kind(kind: str | None, kinds: tuple[str, ...]) -> None:
    from beam_distilabel.problems import closest

    if kind is not None and kind not in kinds:
        raise DistilabelUserError(
            f"--kind {kind!r}: there is no such kind.{closest(kind, kinds)} Kinds: "
            f"{', '.join(kinds)}."
        )


def _list(items: list[Item], as_json: bool) -> None:
    if as_json:
        found = [
            {
                "name": item.name,
                "kind": item.kind,
                "summary": item.summary,
                "import": f"from {item.module} import {item.name}",
            }
            for item in items
        ]
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    table = Table("name", "kind", "what it does", box=None, pad_edge=False)
    table.columns[0].no_wrap = True
    table.columns[1].no_wrap = True
    for item in items:
        table.add_row(item.name, item.kind, escape(item.summary))
    Console().print(table)


def _show(found: Description, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(found.as_dict(), indent=2, ensure_ascii=False, default=str))
        return
    Console(highlight=False).print(Group(*_parts(found)))


def _parts(found: Description) -> list[RenderableType]:
    item = found.item
    parts: list[RenderableType] = [
        Text(f"{item.name} ({item.kind})", style="bold"),
        Text(found.text),
        Text(f"\nfrom {item.module} import {item.name}\n", style="cyan"),
        *_lines(found.arguments),
    ]
    if found.generation_arguments:
        parts.append(Text("\nWhat `generation_kwargs` may have", style="bold"))
        parts += _lines(found.generation_arguments)
    for title, said, known in (
        ("Input columns", found.input_columns, found.columns.get("inputs")),
        ("Output columns", found.output_columns, found.columns.get("outputs")),
    ):
        names = ", ".join(n if needed else f"{n} (optional)" for n, needed in (known or {}).items())
        if said or names:
            parts.append(Text(f"\n{title}: {said or names}"))
    if found.prompt:
        of_row = "" if found.item.kind == "generator task" else " for an example row"
        parts.append(Text(f"\nPrompt{of_row}", style="bold"))
        parts += [
            Panel(Text(_text_of(message.get("content"))), title=str(message.get("role")))
            for message in found.prompt
        ]
    if found.note:
        parts.append(Text(f"\n{found.note}"))
    if found.source:
        parts.append(Text(f"\nSource: {found.source}"))
    if found.citations:
        parts.append(Text("\n" + "\n".join(found.citations)))
    return parts


def _text_of(content: Any) -> str:
    """A message's content; of several parts, such as images, each on its line."""
    if isinstance(content, str):
        return content
    return json.dumps(content, indent=2, ensure_ascii=False, default=str)


def _lines(arguments: list[Argument]) -> list[RenderableType]:
    """The arguments one by one; those that all of its kind have only by their names."""
    parts: list[RenderableType] = []
    for one in arguments:
        if one.common:
            continue
        given = "required" if one.default == "required" else f"default {one.default}"
        parts.append(Text.assemble((one.name, "bold"), f": {one.type or 'any'}; {given}"))
        if one.description:
            parts.append(Padding(Text(one.description), (0, 0, 0, 4)))
    common = [f"{one.name}={one.default}" for one in arguments if one.common]
    if common:
        parts.append(Text(f"\nWhat all of its kind have: {', '.join(common)}"))
    return parts
