"""What a second run returns when something was changed: here, and in distilabel 1.5.3.

The part about distilabel runs where BEAM_DISTILABEL_COMPAT_PYTHON is set, see `make compat`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.compat import table

SCRIPT = Path(__file__).with_name("changed_inputs.py")

OF_DISTILABEL = {
    "the judge's rubric": "right",
    "one row of the loader": "stale",
    "the rows of run(dataset=...)": "stale",
    "the writer's temperature": "empty",
}
"""docs/resume.md says the same."""


def states(python: str, package: str, folder: Path) -> dict[str, str]:
    """Change to what the second run returned."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    if package == "beam_distilabel":
        environment["PYTHONPATH"] = str(SCRIPT.parents[2])
    done = subprocess.run(
        [python, str(SCRIPT), package],
        cwd=folder,
        env={**environment, "HOME": str(folder), "HF_HOME": str(folder / "hf")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    # distilabel logs to standard output.
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"package')]
    return {line["changed"]: line["state"] for line in lines}


def test_every_change_takes_effect(tmp_path: Path) -> None:
    found = states(sys.executable, "beam_distilabel", tmp_path)
    assert found == dict.fromkeys(OF_DISTILABEL, "right")


def test_what_distilabel_returns(tmp_path: Path) -> None:
    python = os.environ.get(table.VARIABLE)
    if not python:
        pytest.skip(f"{table.VARIABLE} is not set")
    assert states(python, "distilabel", tmp_path) == OF_DISTILABEL
