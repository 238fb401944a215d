"""The versions that were tried together."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest
import setuptools
from packaging.requirements import Requirement

from beam_distilabel.doctor.versions import CORE, ENGINES, look_at_packages, look_at_python

SETUP = Path(__file__).resolve().parents[2] / "setup.py"


@pytest.fixture(scope="module")
def declared() -> dict[str, Any]:
    """What setup.py gives to setuptools."""
    given: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(setuptools, "setup", given.update)
        patch.chdir(SETUP.parent)
        runpy.run_path(str(SETUP))
    return given


def bounds(requirements: list[str]) -> dict[str, str]:
    """Name to lower bound."""
    found = {}
    for text in requirements:
        requirement = Requirement(text)
        for specifier in requirement.specifier:
            if specifier.operator in (">=", "=="):
                found[requirement.name] = specifier.version
    return found


def test_the_table_is_that_of_setup_py(declared: dict[str, Any]) -> None:
    assert bounds(declared["install_requires"]) == CORE
    extras = {
        name: bound
        for extra, requirements in declared["extras_require"].items()
        if extra != "dev"
        for name, bound in bounds(requirements).items()
    }
    assert {name: bound for name, bound in extras.items() if name in ENGINES} == ENGINES


def test_this_environment() -> None:
    assert look_at_packages().status in ("ok", "warning")
    assert look_at_python().status in ("ok", "warning")


@pytest.mark.parametrize(
    ("version", "status"),
    [((3, 9), "failed"), ((3, 10), "ok"), ((3, 11), "ok"), ((3, 14), "warning")],
)
def test_python(version: tuple[int, int], status: str) -> None:
    assert look_at_python(version).status == status


@pytest.mark.parametrize(
    ("changed", "status", "said", "remedy"),
    [
        ({}, "ok", "apache-beam 2.77", ""),
        ({"numpy": "1.26"}, "failed", "numpy 1.26 (tried: 2.2)", "pip install 'numpy>=2.2'"),
        ({"rich": None}, "failed", "rich is missing (tried: 15.0)", "'rich>=15.0'"),
        ({"pydantic": "3.0"}, "warning", "pydantic 3.0", "'pydantic~=2.14'"),
        ({"apache-beam": "2.99"}, "ok", "apache-beam 2.99", ""),
        ({"vllm": "0.33.1"}, "warning", "vllm 0.33.1", "'vllm~=0.32.0'"),
        ({"vllm": "0.32.4"}, "ok", "vllm 0.32.4", ""),
        ({"vllm": "0.20"}, "failed", "vllm 0.20 (tried: 0.32)", "'vllm>=0.32'"),
        ({"torch": "2.13.0+cpu"}, "ok", "torch 2.13.0+cpu", ""),
    ],
)
def test_packages(changed: dict[str, str | None], status: str, said: str, remedy: str) -> None:
    versions = {**CORE, **changed}
    finding = look_at_packages({name: v for name, v in versions.items() if v is not None})
    assert finding.status == status
    assert said in finding.detail
    assert remedy in finding.remedy
