"""A run on a real engine that is killed three times."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.engine_run import REPORT
from tests.chaos.runs import IN_FLIGHT, UNFLUSHED, result_of

pytestmark = pytest.mark.chaos

ROWS = 120
NEVER = 10 * ROWS


def run(model: Path, folder: Path, rows_until_death: int) -> int:
    """Run in a process of its own; its exit status."""
    script = [sys.executable, "-m", "tests.chaos.engine_run", str(model), str(ROWS)]
    command = [*script, str(folder / "run"), str(rows_until_death)]
    return subprocess.run(command, check=False, timeout=300).returncode


def report_of(folder: Path) -> dict[str, Any]:
    """The Steps in the report of a run that has come to its end."""
    steps: dict[str, Any] = json.loads((folder / REPORT).read_text())["steps"]
    return steps


def test_three_kills(tiny_model_path: Path, tmp_path: Path) -> None:
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    undisturbed.mkdir()
    killed.mkdir()
    assert run(tiny_model_path, undisturbed, NEVER) == 0
    points = sorted(random.Random(5).sample(range(1, ROWS), 3))
    for point in points:
        assert run(tiny_model_path, killed, point) == -signal.SIGKILL
    assert run(tiny_model_path, killed, NEVER) == 0
    assert result_of(killed / "run") == result_of(undisturbed / "run")
    for name in ("write", "again"):
        counts = report_of(killed)[name]
        print(f"{name}: {counts['requests']} asked, {counts['reused']} reused")
        assert counts["requests"] + counts["reused"] == ROWS
        # A row that had come through was answered, and is kept unless it was the latest.
        assert counts["requests"] <= ROWS - points[-1] + UNFLUSHED <= ROWS - IN_FLIGHT
        assert report_of(undisturbed)[name]["requests"] == ROWS
