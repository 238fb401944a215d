"""Prism, built with Go once per machine."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from apache_beam.version import __version__ as beam_version

from beam_distilabel.runners.prism import PACKAGE, VARIABLE, PrismSettings

_BUILD_SECONDS = 900


def _program() -> Path:
    """The program that the environment names, or the one of this version of Beam that is kept.

    The first call on a machine builds it, which takes minutes and fetches Beam's Go modules.
    """
    if named := os.environ.get(VARIABLE):
        return Path(named)
    folder = Path.home() / ".cache" / "beam_distilabel" / f"prism-{beam_version}"
    program = folder / "prism"
    if program.is_file():
        return program
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.is_file():
            _build(program)
    return program


def _build(program: Path) -> None:
    go = shutil.which("go")
    if go is None:
        pytest.skip(f"Prism isn't in {program.parent}, and there is no `go` on PATH to build it")
    # Under its name it is complete; what a build that was cut off has left isn't used.
    partial = program.parent / "partial"
    done = subprocess.run(
        [go, "install", PACKAGE],
        env={**os.environ, "GOBIN": str(partial)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_BUILD_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"Go could not build Prism:\n{done.stdout[-3000:]}"
    (partial / "prism").rename(program)


@pytest.fixture(scope="session")
def prism() -> Iterator[PrismSettings]:
    """Prism, started once for the session."""
    with PrismSettings(location=_program()).started() as started:
        yield started
