"""docs/failures.md does what it says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "failures.md"


def test_the_page_runs_as_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    names: dict[str, Any] = {"__name__": "failures_page"}
    printed, asked = [], []
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL):
        exec(compile(block, str(PAGE), "exec"), names)  # noqa: S102
        printed.append(capsys.readouterr().out.splitlines())
        report = tmp_path / "runs" / "first" / "report.json"
        if report.exists():
            asked.append(json.loads(report.read_text())["steps"]["judge"]["requests"])
    definitions, first, failures, again, rerun, retried, limited, plain = printed
    assert (definitions, rerun) == ([], [])
    assert first == ["rain 4 None", "None None render", "??? None parse"]
    assert failures == ["judge render None None", "judge parse ??? Hm."]
    assert again[-1] == "3"
    assert retried == ["[4, 4, 4]"]
    [message] = limited
    assert "66.7% of the rows of Step 'judge' failed: 2 of 3; max_failure_ratio is 0.5" in message
    assert "to go on: " in message
    assert sorted(plain) == [
        "??? None",
        "parse expected exactly one [RESULT] in the answer, got 0",
        "rain 4",
    ]
    assert asked[:5] == [2, 2, 2, 1, 1]
