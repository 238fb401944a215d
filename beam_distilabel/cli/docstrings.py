"""What the docstrings of Steps and models say, in parts."""

from __future__ import annotations

import ast
import doctest
import inspect
import re
from collections.abc import Iterator
from typing import Any

_TITLE = re.compile(r"(?P<title>[A-Z][\w ]*?)s?:(?P<rest>(?: .*)?)")


def summary(cls: type) -> str:
    """The first paragraph, on one line."""
    return " ".join(_own_doc(cls).partition("\n\n")[0].split())


def description(cls: type) -> str:
    """The paragraphs before the first section."""
    lines = []
    for line in _own_doc(cls).splitlines():
        if _TITLE.fullmatch(line) and line.partition(":")[0].rstrip("s") in _SECTIONS:
            break
        lines.append(line)
    return "\n".join(lines).strip()


_SECTIONS = (
    *("Attribute", "Arg", "Input column", "Output column", "Raise", "Return", "Source", "Citation"),
    *("Reference", "Example", "Environment variable", "Note"),
)


def section(cls: type, title: str) -> str:
    """The text of a section such as "Input columns", on one line; empty where there is none.

    Example:
        >>> class Judge:
        ...     '''Judges.
        ...
        ...     Input columns: `text`;
        ...         `score`.
        ...     '''
        >>> section(Judge, "Input columns")
        '`text`; `score`.'
    """
    lines = _own_doc(cls).splitlines()
    for number, line in enumerate(lines):
        if not line.startswith(f"{title}:"):
            continue
        found = [line.partition(":")[2]]
        for following in lines[number + 1 :]:
            if following and not following.startswith(" "):
                break
            found.append(following)
        return " ".join(" ".join(found).split())
    return ""


def example_arguments(cls: type) -> dict[str, Any]:
    """The keyword arguments that the docstring's example makes an object with.

    Read, not run: those that are literals.

    Example:
        >>> class Judge:
        ...     '''Judges.
        ...
        ...     Example:
        ...         >>> judge = Judge(llm=object(), mode="strict")
        ...     '''
        >>> example_arguments(Judge)
        {'mode': 'strict'}
    """
    for call in _calls(cls):
        if isinstance(call.func, ast.Name) and call.func.id == cls.__name__:
            named = {word.arg: word.value for word in call.keywords if word.arg is not None}
            return {name: value for name, node in named.items() for value in _literals(node)}
    return {}


def example_row(cls: type) -> dict[str, Any] | None:
    """The row that the docstring's example gives to `process` or `format_input`, if it is literal.

    Example:
        >>> class Judge:
        ...     '''Judges.
        ...
        ...     Example:
        ...         >>> next(Judge().process([{"text": "?"}]))
        ...     '''
        >>> example_row(Judge)
        {'text': '?'}
    """
    for call in _calls(cls):
        method = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        if method not in ("process", "format_input") or not call.args:
            continue
        for value in _literals(call.args[0]):
            row = value[0] if isinstance(value, list) and value else value
            if isinstance(row, dict):
                return row
    return None


def _calls(cls: type) -> Iterator[ast.Call]:
    examples = doctest.DocTestParser().get_examples(_own_doc(cls))
    for example in examples:
        try:
            tree = ast.parse(example.source)
        except SyntaxError:  # doctest itself would say so
            continue
        yield from (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def _literals(node: ast.expr) -> Iterator[Any]:
    """The value of a literal; nothing for others."""
    try:
        yield ast.literal_eval(node)
    except ValueError:
        return


def _own_doc(cls: type) -> str:
    return inspect.cleandoc(cls.__dict__.get("__doc__") or "")
