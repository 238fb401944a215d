"""docs/cost.md and docs/beam.md do what they say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
import yaml
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.yaml.yaml_transform import expand_jinja, expand_pipeline

from beam_distilabel.beam_yaml import PROVIDERS
from beam_distilabel.distiset import create_distiset
from tests.openai_server import OpenAIServer

pytest_plugins = ["tests.openai_server.fixtures"]

DOCS = Path(__file__).parents[1] / "docs"


def blocks(page: str, language: str) -> list[str]:
    text = (DOCS / page).read_text("utf-8")
    found: list[str] = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    return found


@pytest.mark.parametrize(("page", "checked"), [("cost.md", 1), ("beam.md", 2)])
def test_the_page_runs_as_written(
    page: str, checked: int, capsys: pytest.CaptureFixture[str]
) -> None:
    names: dict[str, Any] = {"__name__": page}
    for block in blocks(page, "python"):
        # Blocks don't name a runner, so that they are short; Beam's own choice may try a download.
        block = block.replace("beam.Pipeline()", "beam.Pipeline(runner='FnApiRunner')")
        exec(compile(block, page, "exec"), names)  # noqa: S102
        below = re.search(r"((?:^# .*\n)+)\Z", block, re.MULTILINE)
        assert below is not None
        said = below[1].replace("# ", "").splitlines()
        assert sorted(capsys.readouterr().out.splitlines()) == sorted(said)
        checked -= 1
    assert not checked


def test_the_yaml_runs_as_written(
    tmp_path: Path, openai_server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", openai_server.key)
    openai_server.answer = lambda body, _: (
        "Right. [RESULT] 5" if "2 + 2" in json.dumps(body) else "Well. Who knows?"
    )
    [text] = blocks("beam.md", "yaml")
    command = re.search(r"--jinja_variables='(.*)'", (DOCS / "beam.md").read_text("utf-8"))
    assert command is not None
    variables = json.loads(command[1])
    as_given = yaml.safe_load(expand_jinja(text, variables))
    judge = as_given["pipeline"]["transforms"][1]
    assert judge["config"]["llm"]["base_url"] == "https://api.openai.com/v1"
    assert as_given["pipeline"]["transforms"][3]["config"]["path"] == "out/graded"
    # Only where the endpoint is and where the result goes differ from the command.
    openai_server.models = [judge["config"]["llm"]["model"]]
    assert set(variables) == {"out", "base_url"}
    filled = expand_jinja(text, {"out": str(tmp_path), "base_url": openai_server.url})
    with beam.Pipeline(runner=FnApiRunner()) as p:
        expand_pipeline(p, filled)
    graded = create_distiset(tmp_path / "graded")
    assert {name: len(graded[name]["train"]) for name in graded} == {"graded": 1, "good": 1}
    errors = create_distiset(tmp_path / "errors")["errors"]["train"].to_list()
    assert [(row["step"], row["kind"], row["element"]["generation"]) for row in errors] == [
        ("judge", "parse", "6")
    ]
    assert yaml.safe_load(Path(PROVIDERS).read_text())[-1] == yaml.safe_load(text)["providers"][-1]
