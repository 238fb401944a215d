"""Writes the commands in docs/cli.md: `python -m tools.cli_page`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from beam_distilabel.cli import app

PAGE = Path(__file__).resolve().parents[1] / "docs" / "cli.md"
_BEGIN = "<!-- the commands below are written by `python -m tools.cli_page` -->"
_END = "<!-- the end of the commands -->"
_FIRST = "beam-distilabel pipeline"


def with_commands(page: str) -> str:
    """The page with the commands as they are to be."""
    before, begin, rest = page.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"the page has to have the lines {_BEGIN!r} and {_END!r}")
    ordered = sorted(commands(), key=lambda found: not found[0].startswith(_FIRST))
    found = "\n".join(_of_command(path, command) for path, command in ordered)
    return f"{before}{_BEGIN}\n\n{found}\n{_END}{after}"


def commands() -> Iterator[tuple[str, Any]]:
    """Every command with its words, groups left out."""
    yield from _below("beam-distilabel", typer.main.get_command(app))


def _below(path: str, command: Any) -> Iterator[tuple[str, Any]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield path, command
        return
    for name, sub in inner.items():
        if not sub.hidden:
            yield from _below(f"{path} {name}", sub)


def _of_command(path: str, command: Any) -> str:
    parameters = [one for one in command.params if one.name != "help"]
    arguments = [one for one in parameters if one.param_type_name == "argument"]
    words = [_word(one) for one in arguments]
    last = [word for word in words if word.startswith("[--")]
    words = [path, *(word for word in words if word not in last), "[OPTIONS]", *last]
    lines = [f"### {path}", "", f"    {' '.join(words)}", "", command.help]
    if parameters:
        lines += ["", "| argument or option | default | meaning |", "|---|---|---|"]
    for one in parameters:
        name = _word(one) if one in arguments else ", ".join([*one.opts, *one.secondary_opts])
        cells = (f"`{name}`", _default(one), one.help or "")
        lines.append(f"| {' | '.join(_cell(cell) for cell in cells)} |")
    return "\n".join([*lines, ""])


def _word(argument: Any) -> str:
    if argument.metavar:
        return str(argument.metavar)
    name = argument.name.upper()
    return name if argument.required else f"[{name}]"


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    if isinstance(parameter.default, bool) and parameter.secondary_opts:
        return f"`{(parameter.opts if parameter.default else parameter.secondary_opts)[0]}`"
    if parameter.default in (None, [], (), False):
        return ""
    return f"`{parameter.default}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(with_commands(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
