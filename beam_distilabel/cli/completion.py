"""What a shell offers when Tab is pressed.

It has to come at once: names are read from files, and no Step or model is imported.
"""

from __future__ import annotations

import ast
import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

STEP_MODULES = ("beam_distilabel.steps", "beam_distilabel.steps.tasks")
"""Where Steps are exported from."""

MODEL_MODULES = (
    "beam_distilabel.models.llms",
    "beam_distilabel.models.embeddings",
    "beam_distilabel.models.image_generation",
)
"""Where models are exported from."""


_WRITTEN_IN = ("beam_distilabel.transforms.", "beam_distilabel.models.", "beam_distilabel.steps.")


def step_names(incomplete: str = "") -> list[str]:
    """The names that `steps show` may know."""
    return _public_names(STEP_MODULES, incomplete)


def model_names(incomplete: str = "") -> list[str]:
    """The names that `models show` may know."""
    return _public_names(MODEL_MODULES, incomplete)


def runner_names(incomplete: str = "") -> list[str]:
    """The runners that have settings of their own."""
    from beam_distilabel.runners import RUNNERS

    return [name for name in RUNNERS if name.startswith(incomplete)]


def runner_settings(incomplete: str = "") -> list[str]:
    """`name=` of every setting that a runner has."""
    from beam_distilabel.runners import RUNNERS

    names = dict.fromkeys(name for kind in RUNNERS.values() for name in kind.model_fields)
    return [f"{name}=" for name in names if name.startswith(incomplete)]


def config_files(incomplete: str = "") -> list[str]:
    """Pipeline files and folders here."""
    folder, _, start = incomplete.rpartition("/")
    prefix = f"{folder}/" if "/" in incomplete else ""
    try:
        entries = sorted(os.scandir(prefix or "."), key=lambda entry: entry.name)
    except OSError:  # there is no such folder
        return []
    found = [
        f"{prefix}{entry.name}{'/' if entry.is_dir() else ''}"
        for entry in entries
        if entry.name.startswith(start)
        and (entry.is_dir() or entry.name.lower().endswith((".yaml", ".yml", ".json")))
    ]
    return [name for name in found if start or not name.startswith(f"{prefix}.")]


def _public_names(modules: tuple[str, ...], incomplete: str) -> list[str]:
    """The classes among the `__all__` of modules, read from their files."""
    names = {name for module in modules for name in exported(module)}
    return sorted(name for name in names if name.startswith(incomplete))


def exported(module: str) -> Iterator[str]:
    """The classes in the `__all__` of a module that are no base classes for others to extend."""
    spec = importlib.util.find_spec("beam_distilabel")
    assert spec is not None and spec.submodule_search_locations
    root = Path(spec.submodule_search_locations[0])
    file = root.joinpath(*module.split(".")[1:], "__init__.py")
    tree = ast.parse(file.read_text(encoding="utf-8"))
    sources = {
        alias.asname or alias.name: node.module or ""
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    for node in tree.body:
        if not isinstance(node, ast.Assign) or ast.unparse(node.targets[0]) != "__all__":
            continue
        for name in ast.literal_eval(node.value):
            source = sources.get(name, "")
            is_class = name != name.lower()
            if is_class and source.startswith(_WRITTEN_IN) and not source.endswith(".base"):
                yield name
