"""List the Python examples in the docstrings of an installed package, as JSON lines.

Run it with the interpreter of the environment that holds the package. Nothing is imported from
that package, its source is parsed:

    path/to/python tests/compat/extract.py distilabel > examples.jsonl

One line per example: ``{"id": "module:qualified name:index", "source": "..."}``. The module is
named without the package's own name, the index counts the examples of one docstring from 0.

An example is every block fenced with ```` ```python ```` in any docstring (module, class,
function, method; public or not; under an "Examples" heading or elsewhere). distilabel 1.5.3 has
178: 156 in classes, of which 154 stand under an "Examples" heading, and 22 in functions. Four of
them lack their closing fence; the next example ends those.

The text is the docstring's value. Where that isn't Python because a backslash was lost on the way
(``"\\"a\\""`` in a docstring that isn't raw), it is the text as typed in the source file.

This file needs the standard library only, since it runs in a foreign environment.
"""

import ast
import importlib.util
import inspect
import json
import pathlib
import sys
import textwrap
from collections.abc import Iterator

Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def documented(node: ast.AST, qualname: str = "") -> Iterator[tuple[str, Documented]]:
    """Yield every node from ``node`` down that can have a docstring, with its qualified name."""
    if isinstance(node, Documented):
        if not isinstance(node, ast.Module):
            qualname = f"{qualname}.{node.name}" if qualname else node.name
        yield qualname, node
    for child in ast.iter_child_nodes(node):
        yield from documented(child, qualname)


def fenced(docstring: str) -> Iterator[str]:
    """Yield the code of each Python fence of a docstring, without its indentation.

    A block without a closing fence ends before the title line of the next example.
    """
    block: list[str] | None = None
    for line in docstring.splitlines():
        opens = line.strip() == "```python"
        if block is not None and line.strip().startswith("```"):
            yield _dedented(block[: _last_text_line(block)] if opens else block)
            block = None
        if opens:
            block = []
        elif block is not None:
            block.append(line)
    if block is not None:
        yield _dedented(block)


def _last_text_line(lines: list[str]) -> int:
    return max(index for index, line in enumerate(lines) if line.strip())


def _dedented(lines: list[str]) -> str:
    return textwrap.dedent("\n".join(lines)).rstrip() + "\n"


def as_typed(node: Documented, source: str) -> str:
    """Return the docstring of ``node`` with its escapes as they stand in the file."""
    literal = ast.get_source_segment(source, node.body[0]) or ""
    body = literal.lstrip("rRuU")
    quotes = 3 if body[:3] in ('"""', "'''") else 1
    return inspect.cleandoc(body[quotes:-quotes])


def is_python(code: str) -> bool:
    """Tell whether ``code`` compiles."""
    try:
        ast.parse(code)
    except SyntaxError:
        return False
    return True


def examples_of(source: str) -> Iterator[tuple[str, int, str]]:
    """Yield (qualified name, index, code) of each example in a module's source."""
    for qualname, node in documented(ast.parse(source)):
        docstring = ast.get_docstring(node)
        if docstring is None:
            continue
        blocks = list(fenced(docstring))
        typed = list(fenced(as_typed(node, source)))
        if len(typed) != len(blocks):
            raise ValueError(
                f"{qualname}: {len(blocks)} examples in the docstring's value, {len(typed)} in its "
                "source text; the rule for extracting them doesn't hold for this package"
            )
        for index, (code, alternative) in enumerate(zip(blocks, typed, strict=True)):
            usable = not is_python(code) and is_python(alternative)
            yield qualname, index, alternative if usable else code


def extract(package: pathlib.Path) -> Iterator[dict[str, str]]:
    """Yield the examples of a package folder, ordered by module and place."""
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        for qualname, index, code in examples_of(path.read_text(encoding="utf-8")):
            yield {"id": f"{module}:{qualname}:{index}", "source": code}


def main() -> int:
    """Print the examples of the package named on the command line."""
    name = sys.argv[1] if len(sys.argv) > 1 else "distilabel"
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        print(f"{sys.executable} has no package {name!r}; install it there first", file=sys.stderr)
        return 1
    for example in extract(pathlib.Path(spec.submodule_search_locations[0])):
        print(json.dumps(example))
    return 0


if __name__ == "__main__":
    sys.exit(main())
