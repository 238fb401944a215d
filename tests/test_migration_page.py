"""docs/migration.md is true."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import beam_distilabel.errors
import beam_distilabel.exceptions
from tests.test_import_paths import NOT_BUILT, is_here

PAGE = Path(__file__).parents[1] / "docs" / "migration.md"
TEXT = PAGE.read_text("utf-8")


def test_the_page_runs_as_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("DISTILABEL_CACHE_DIR", str(tmp_path / "runs"))
    names: dict[str, Any] = {"__name__": "migration_page"}
    printed = []
    for block in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL):
        exec(compile(block, str(PAGE), "exec"), names)  # noqa: S102
        printed.append(capsys.readouterr().out)
    first, mistake, drawn, prompt, missing = printed
    assert first.splitlines()[-1] == "['Say hi.', 'Say hi.']"
    assert "Did you mean 'num_generations'?" in mistake
    assert drawn == "first.svg\n"
    assert (tmp_path / "first.svg").read_text().startswith("<svg")
    assert "User Message" in prompt and "Say hi." in prompt
    assert missing == "['a-package-that-nobody-has>=1']\n"


def test_the_exceptions() -> None:
    """Each of ours is in the table, with its bases."""
    table = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", TEXT.split("## Exceptions")[1], re.M))
    ours = {
        name: ", ".join(f"`{base.__name__}`" for base in value.__bases__)
        for name, value in vars(beam_distilabel.errors).items()
        if isinstance(value, type) and value.__module__ == "beam_distilabel.errors"
    }
    assert table == ours
    assert set(beam_distilabel.exceptions.__all__) <= ours.keys()


def test_what_is_not_built_yet() -> None:
    """Each class of distilabel that isn't here is named, and none that is."""
    (named,) = re.findall(r"^- Not built yet: (.*?)\.$", TEXT, re.DOTALL | re.MULTILINE)
    assert sorted(re.findall(r"`(\w+)`", named)) == sorted(n for n in NOT_BUILT if not is_here(n))
