"""What the docstrings of Steps and models say, in parts."""

from __future__ import annotations

import ast
import copy
import doctest
import inspect
import re
from collections.abc import Iterator
from typing import Any

from beam_distilabel.docstrings import section_lines

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
    return " ".join(" ".join(section_lines(cls.__dict__.get("__doc__"), title)).split())


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
    trees = _example(cls)
    for call in _calls(trees):
        if isinstance(call.func, ast.Name) and call.func.id == cls.__name__:
            named = {word.arg: word.value for word in call.keywords if word.arg is not None}
            found = {name: _literals(node, trees) for name, node in named.items()}
            return {name: values[0] for name, values in found.items() if values}
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
    trees = _example(cls)
    for call in _calls(trees):
        method = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        if method not in ("process", "format_input") or not call.args:
            continue
        for value in _literals(call.args[0], trees):
            row = value[0] if isinstance(value, list) and value else value
            if isinstance(row, dict):
                return row
    return None


def _example(cls: type) -> list[ast.Module]:
    examples = doctest.DocTestParser().get_examples(_own_doc(cls))
    return [ast.parse(example.source) for example in examples]


def _calls(trees: list[ast.Module]) -> Iterator[ast.Call]:
    for tree in trees:
        yield from (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def _literals(node: ast.expr, trees: list[ast.Module]) -> list[Any]:
    """The value of a literal, in which names stand for other literals; none for anything else."""
    assigned = {
        target.id: line.value
        for tree in trees
        for line in tree.body
        if isinstance(line, ast.Assign)
        for target in line.targets
        if isinstance(target, ast.Name)
    }

    class Named(ast.NodeTransformer):
        depth = 0

        def visit_Name(self, name: ast.Name) -> ast.AST:
            if name.id not in assigned or self.depth == _DEEPEST:
                return name
            self.depth += 1
            found = self.visit(copy.deepcopy(assigned[name.id]))
            self.depth -= 1
            return found

    try:
        return [ast.literal_eval(Named().visit(copy.deepcopy(node)))]
    except ValueError:
        return []


_DEEPEST = 5
"""How many names may lead to one another."""


def _own_doc(cls: type) -> str:
    return inspect.cleandoc(cls.__dict__.get("__doc__") or "")
