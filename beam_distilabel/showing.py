"""What a Step looks like before it runs: a Task's prompt, the columns of any other."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from rich.console import Console, Group
from rich.panel import Panel
from rich.text import Text

from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.failures import message_of
from beam_distilabel.models.user_engine import run_coroutine
from beam_distilabel.row import Row

_CHATS = frozenset(("messages", "conversation", "chat"))
_LISTS = frozenset(
    ("answers", "candidates", "completions", "generations", "instructions", "ratings", "responses")
)
_LONGEST = 200


def sample_row(columns: Iterable[str]) -> Row:
    """A row with a placeholder in each column, of the form that columns of that name have.

    Example:
        >>> sample_row(["text", "generations"])["generations"]
        ['<PLACEHOLDER_GENERATION_0>', '<PLACEHOLDER_GENERATION_1>']
    """
    return {name: _placeholder(name) for name in columns}


def _placeholder(column: str) -> Any:
    if column in _CHATS:
        return [{"role": "user", "content": "<PLACEHOLDER_MESSAGE>"}]
    if column in _LISTS:
        return [f"<PLACEHOLDER_{column.removesuffix('s').upper()}_{i}>" for i in range(2)]
    if column == "structured_output":
        return {"format": "json", "schema": {"type": "object"}}
    if column == "image":
        return "https://example.org/<PLACEHOLDER_IMAGE>"
    return f"<PLACEHOLDER_{column.upper()}>"


def show_prompt(task: Any, sample_input: Any = None) -> None:
    """Print what a Task asks its model first.

    Args:
        task: the Task; its model isn't asked.
        sample_input: a row, or what `format_input` makes of one; None for placeholders.

    Raises:
        DistilabelUserError: no prompt can be made of it.
    """
    try:
        if sample_input is None:
            asked = task._sample_input()
        elif isinstance(sample_input, dict):
            asked = task.first_prompt(sample_input)
        else:
            asked = sample_input
        panels = _panels(asked)
    except Exception as error:
        hint = "" if isinstance(sample_input, dict) else " Give a row: `task.print({...})`."
        raise DistilabelUserError(
            f"{task._described()}: no prompt can be made of the sample: {message_of(error)}.{hint}"
        ) from error
    _show(f"Prompt: {type(task).__name__}", panels)


def show_columns(step: Any) -> None:
    """Print what a Step reads and makes."""
    reads = [
        name if required else f"{name} (optional)" for name, required in step.get_inputs().items()
    ]
    lines = [] if step.is_generator else [f"reads: {', '.join(reads) or 'nothing by name'}"]
    lines.append(f"makes: {', '.join(step.get_outputs()) or 'nothing by name'}")
    _show(f"{type(step).__name__}: {step.name}", [Text("\n".join(lines))])


def first_prompt(task: Any, row: Row) -> Any:
    """What the rollout of `row` asks first; nothing is asked."""

    async def note(input: Any, num_generations: int = 1, **kwargs: Any) -> Any:
        raise _Asked(input)

    try:
        run_coroutine(lambda: task.rollout(dict(row), note))
    except _Asked as asked:
        return asked.input
    raise DistilabelUserError("its rollout asks nothing about this row")


class _Asked(BaseException):
    """Ends a rollout at its first question; no Exception, which a rollout may mend."""

    def __init__(self, input: Any) -> None:
        super().__init__()
        self.input = input


def _panels(asked: Any) -> list[Any]:
    structure = None
    if isinstance(asked, tuple):
        asked, structure = asked
    if isinstance(asked, str):
        asked = [{"role": "prompt", "content": asked}]
    panels: list[Any] = [
        _panel(f"{str(message.get('role', '')).capitalize()} Message", _text(message["content"]))
        for message in asked
    ]
    if structure:
        schema = structure.get("schema")
        if hasattr(schema, "model_json_schema"):
            structure = {**structure, "schema": schema.model_json_schema()}
        panels.append(_panel("Structured Output", json.dumps(structure, indent=2, default=str)))
    return panels


def _text(content: Any) -> str:
    if not isinstance(content, list):
        return str(content)
    return "\n".join(part.get("text") or _short(part) for part in content)


def _short(part: Any) -> str:
    text = json.dumps(part, default=str)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _panel(title: str, text: str) -> Panel:
    # As Text, so that nothing in a prompt is taken for markup.
    return Panel(Text(text), title=Text(title, style="bold magenta"), border_style="light_cyan3")


def _show(title: str, parts: list[Any]) -> None:
    Console().print(
        Panel(
            Group(*parts),
            title=Text(title, style="bold magenta"),
            border_style="light_cyan3",
            expand=False,
        )
    )


__all__ = ["first_prompt", "sample_row", "show_columns", "show_prompt"]
