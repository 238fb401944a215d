"""Beam's programs in Go, built once per machine."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from apache_beam.version import __version__ as beam_version

_BUILD_SECONDS = 900


def go_program(name: str, package: str) -> Path:
    """The program that `go install` makes of a package, kept for this version of Beam.

    The first call on a machine builds it, which takes minutes and fetches Beam's Go modules; skips
    the test where that can't be done.

    Args:
        name: what it is called by us.
        package: with its version.
    """
    folder = Path.home() / ".cache" / "beam_distilabel" / f"{name}-{beam_version}"
    program = folder / name
    if program.is_file():
        return program
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.is_file():
            _build(program, package)
    return program


def _build(program: Path, package: str) -> None:
    go = shutil.which("go")
    if go is None:
        pytest.skip(f"{program} isn't there, and there is no `go` on PATH to build it")
    # Under its name it is complete; what a build that was cut off has left isn't used.
    partial = program.parent / "partial"
    done = subprocess.run(
        [go, "install", package],
        env={**os.environ, "GOBIN": str(partial)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_BUILD_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"Go could not build {package}:\n{done.stdout[-3000:]}"
    # Go calls it as the package's last part.
    (partial / package.partition("@")[0].rpartition("/")[2]).rename(program)
