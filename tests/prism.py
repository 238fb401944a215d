"""Prism, built with Go once per machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from beam_distilabel.runners.prism import PACKAGE, VARIABLE, PrismSettings
from tests.go_programs import go_program


def _program() -> Path:
    """The program that the environment names, or the one of this version of Beam that is kept."""
    if named := os.environ.get(VARIABLE):
        return Path(named)
    return go_program("prism", PACKAGE)


@pytest.fixture(scope="session")
def prism() -> Iterator[PrismSettings]:
    """Prism, started once for the session."""
    with PrismSettings(location=_program()).started() as started:
        yield started
