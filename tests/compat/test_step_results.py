"""Steps that ask no model make the same of good rows as those of distilabel."""

import json
import os
import subprocess
from typing import Any

import pytest

from tests.compat import step_results, table, verdicts


def rounded(value: Any) -> Any:
    """`value` with floats as they are when sums are formed in another order."""
    if isinstance(value, float):
        return round(value, 9)
    if isinstance(value, list):
        return [rounded(item) for item in value]
    if isinstance(value, dict):
        return {name: rounded(item) for name, item in value.items()}
    return value


@pytest.fixture(scope="module")
def theirs() -> list[Any]:
    python = os.environ.get(table.VARIABLE)
    if not python:
        pytest.skip(f"{table.VARIABLE} names no python with distilabel (`make compat` does)")
    done = subprocess.run(
        [python, "-m", "tests.compat.step_results", "distilabel"],
        capture_output=True,
        text=True,
        cwd=verdicts.ROOT,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return list(json.loads(done.stdout))


def test_results_are_those_of_distilabel(theirs: list[Any]) -> None:
    ours = json.loads(json.dumps(list(step_results.results("beam_distilabel")), default=float))
    named = [f"{name} {arguments}" for _, name, arguments, _ in step_results.cases()]
    assert len(theirs) == len(named)
    assert dict(zip(named, rounded(ours), strict=True)) == dict(
        zip(named, rounded(theirs), strict=True)
    )


def test_every_case_gives_rows() -> None:
    assert all(step_results.results("beam_distilabel"))
