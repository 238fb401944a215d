"""The examples in the package's docstrings, and those of CONTRIBUTING.md, run."""

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import beam_distilabel

CONTRIBUTING = Path(__file__).resolve().parents[1] / "CONTRIBUTING.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", CONTRIBUTING.read_text("utf-8"), re.M | re.S)
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(beam_distilabel.__path__, "beam_distilabel.")
    if not module.name.endswith(".__main__")
)


def test_mapped_folders_are_among_the_modules() -> None:
    assert "beam_distilabel.transforms.columns.keep_columns" in MODULES


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples_run(name: str) -> None:
    module = importlib.import_module(name)
    results = doctest.testmod(module, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert results.failed == 0


def test_contributing_has_an_example_of_each_part() -> None:
    bases = [re.search(r"^class \w+\((\w+)\)", block, re.M) for block in BLOCKS]
    assert [base and base[1] for base in bases] == ["RowStep", "Task", "AsyncLLM", "BaseModel"]


@pytest.mark.parametrize("block", BLOCKS, ids=["step", "task", "llm", "runner"])
def test_contributing_example_runs(block: str) -> None:
    exec(compile(block, CONTRIBUTING.name, "exec"), {"__name__": "example"})
