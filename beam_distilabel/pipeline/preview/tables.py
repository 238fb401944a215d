"""A `Preview` for people: prompts and answers side by side, and the estimates."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from beam_distilabel.pipeline.preview.data import Exchange, Preview, StepEstimate
from beam_distilabel.pipeline.preview.estimates import Range

MAX_TEXT = 2000
"""How many characters of a prompt, an answer or a column are shown."""

_UNKNOWN = "unknown"

_COLUMNS = ("rows", "requests", "input_tokens", "output_tokens", "seconds", "cost")


def print_preview(preview: Preview, console: Console | None = None) -> None:
    """Print all tables."""
    console = console or Console()
    for step in dict.fromkeys(exchange.step for exchange in preview.exchanges):
        asked = [exchange for exchange in preview.exchanges if exchange.step == step]
        console.print(exchanges_table(step, asked))
    if preview.failures:
        console.print(failures_table(preview))
    print_estimates(preview, console)
    if preview.verdict is not None:
        console.print(Text(preview.verdict, "bold red"))


def print_estimates(preview: Preview, console: Console) -> None:
    """Print what all would take, and what that rests on."""
    console.print(estimates_table(preview))
    for line in preview.assumptions:
        console.print(Text(f"- {line}"))


def exchanges_table(step: str, exchanges: list[Exchange]) -> Table:
    """What a Task asked and was answered, row by row."""
    table = Table(title=Text(step), show_lines=True, expand=True)
    for name, share in (("prompt", 2), ("answer", 2), ("outputs", 1)):
        table.add_column(name, ratio=share, overflow="fold")
    for exchange in exchanges:
        outputs = "\n".join(f"{name}: {_shown(value)}" for name, value in exchange.outputs.items())
        if exchange.failure is not None:
            said = f"{exchange.failure.get('kind')}: {exchange.failure.get('message')}"
            outputs = f"failed: {said}\n{outputs}".rstrip()
        answer = exchange.answer if isinstance(exchange.answer, str) else _shown(exchange.answer)
        table.add_row(Text(_prompt(exchange.prompt)), Text(_short(answer)), Text(_short(outputs)))
    return table


def failures_table(preview: Preview) -> Table:
    """Which rows failed, and why."""
    table = Table(title="failures", expand=True)
    for name in ("step", "kind", "message"):
        table.add_column(name, overflow="fold")
    for row in preview.failures:
        table.add_row(*(Text(_short(str(row[name]))) for name in ("step", "kind", "message")))
    return table


def estimates_table(preview: Preview) -> Table:
    """What each Step took, and what it would take of all rows."""
    whole = any(step.whole for step in preview.steps)
    table = Table(
        title=Text(f"{preview.pipeline}: " + ("the whole run" if whole else "the rows seen"))
    )
    costs = any("cost" in step.seen for step in preview.steps)
    names = [name for name in _COLUMNS if name != "cost" or costs]
    table.add_column("step")
    table.add_column("model")
    for name in names:
        table.add_column("time" if name == "seconds" else name.replace("_", " "), justify="right")
    for step in preview.steps:
        table.add_row(
            Text(step.step), Text(step.model or ""), *(_cell(step, name) for name in names)
        )
    if preview.total:
        cells = (_total_cell(preview, name) for name in names)
        table.add_row(Text("total", "bold"), "", *cells)
    return table


def _total_cell(preview: Preview, name: str) -> str:
    if name not in preview.total:
        return _UNKNOWN if any(name in step.unknown for step in preview.steps) else ""
    found = preview.total[name]
    if name not in preview.lower_bounds:
        return _range(found, name)
    if found.low is None or found.low == found.value:
        return f"{_number(found.value, name)} or more"
    return f"{_number(found.value, name)} ({_number(found.low, name)} or more)"


def _cell(step: StepEstimate, name: str) -> str:
    if name in step.unknown:
        return _UNKNOWN
    if step.whole:
        return _range(step.whole.get(name), name)
    seen: Mapping[str, float] = {"rows": step.rows_out, **step.seen}
    return _number(seen[name], name) if name in seen else ""


def _range(value: Range | None, name: str) -> str:
    if value is None:
        return ""
    text = _number(value.value, name)
    if value.low is None or value.high is None:
        return f"~{text}"
    if value.low == value.high:
        return text
    return f"{text} ({_number(value.low, name)} to {_number(value.high, name)})"


def _number(value: float, name: str) -> str:
    if name == "seconds":
        for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
            if value >= 2 * length:
                return f"{value / length:.1f} {unit}"
        return f"{value:.1f} s"
    if name == "cost":
        return f"{value:,.2f}" if value >= 0.1 or not value else f"{value:.2g}"
    return f"{round(value):,}"


def _prompt(prompt: Any) -> str:
    """Messages one below the other."""
    if not isinstance(prompt, list):
        return _short(prompt if isinstance(prompt, str) else _shown(prompt))
    parts = [
        f"[{one.get('role')}]\n{_text(one.get('content'))}"
        if isinstance(one, Mapping)
        else _shown(one)
        for one in prompt
    ]
    return _short("\n".join(parts))


def _text(content: Any) -> str:
    return content if isinstance(content, str) else _shown(content)


def _shown(value: Any) -> str:
    if value is None:
        return "None"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=repr)


def _short(text: str) -> str:
    if len(text) <= MAX_TEXT:
        return text
    return f"{text[:MAX_TEXT]} ... ({len(text):,} characters)"


__all__ = [
    "estimates_table",
    "exchanges_table",
    "failures_table",
    "print_estimates",
    "print_preview",
]
