"""Every example in a docstring of the package runs and prints what it says."""

import doctest
import importlib
import pkgutil

import pytest

import beam_distilabel

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(beam_distilabel.__path__, "beam_distilabel.")
    if not module.name.endswith(".__main__")
)


def test_mapped_folders_are_among_the_modules() -> None:
    assert "beam_distilabel.transforms.columns.keep_columns" in MODULES


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str) -> None:
    module = importlib.import_module(name)
    results = doctest.testmod(module, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert results.failed == 0
