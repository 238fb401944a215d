"""docs/pipelines.md does what it says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "pipelines.md"


def test_the_page_runs_as_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "pipelines_page"}
    checked = 0
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL):
        exec(compile(block, str(PAGE), "exec"), names)  # noqa: S102
        # What a block prints stands behind its `print`, or in the comment at its end.
        behind = re.findall(r"^print\(.*\)  # (.*)$", block, re.MULTILINE)
        below = re.search(r"((?:^# .*\n)+)\Z", block, re.MULTILINE)
        said = " ".join(behind or (below[1] if below else "").replace("# ", "").split())
        assert " ".join(capsys.readouterr().out.split()) == said
        checked += bool(said)
    assert checked == 4
    assert not (tmp_path / "runs" / "wrong").exists()
