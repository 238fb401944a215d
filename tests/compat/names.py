"""List the names that an installed distilabel offers, module by module, as JSON.

Run it with the interpreter of the environment that holds distilabel:

    path/to/python tests/compat/names.py > tests/compat/names.json

A module offers what its `__all__` names; without one, the classes, functions and constants that
it defines under a plain name. Its source is parsed, nothing is imported. Modules and names that
begin with an underscore are nobody's business. This file needs the standard library only, since
it runs in a foreign environment.
"""

import ast
import importlib.util
import json
import pathlib
import sys
from collections.abc import Iterator


def offered(source: str) -> list[str]:
    """The names that a module with this source offers."""
    tree = ast.parse(source)
    defined: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            defined.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [target.id for target in targets if isinstance(target, ast.Name)]
            if names == ["__all__"] and isinstance(node.value, ast.List):
                return sorted({str(ast.literal_eval(item)) for item in node.value.elts})
            defined.update(names)
    return sorted(name for name in defined if not name.startswith("_"))


def modules(package: str) -> Iterator[tuple[str, pathlib.Path]]:
    """The public modules of a package, without its own name, and their files."""
    spec = importlib.util.find_spec(package)
    assert spec is not None and spec.origin is not None
    root = pathlib.Path(spec.origin).parent
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        if parts[-1] == "__init__":
            parts = parts[:-1]
        if parts and not any(part.startswith("_") for part in parts):
            yield ".".join(parts), path


if __name__ == "__main__":
    found = {name: offered(path.read_text("utf-8")) for name, path in modules("distilabel")}
    json.dump({name: names for name, names in found.items() if names}, sys.stdout, indent=1)
    print()
