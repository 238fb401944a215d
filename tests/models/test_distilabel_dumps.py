"""What distilabel 1.5.3 dumps of its LLMs, read here; `distilabel_dumps.json` was written by it."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from beam_distilabel.pipeline import Pipeline
from beam_distilabel.steps import LoadDataFromDicts
from beam_distilabel.steps.tasks import TextGeneration
from tests.fakes import FakeLLM

DUMPS: list[dict[str, Any]] = json.loads(
    Path(__file__).with_name("distilabel_dumps.json").read_text(encoding="utf-8")
)


@pytest.fixture(scope="module")
def pipeline() -> dict[str, Any]:
    with Pipeline("one") as made:
        load = LoadDataFromDicts(data=[{"instruction": "Hi"}])
        load >> TextGeneration(name="generate", llm=FakeLLM())
    return made.dump()


@pytest.mark.parametrize("dump", DUMPS, ids=lambda dump: dump["type_info"]["name"])
def test_the_dump_is_read_and_written_again(
    dump: dict[str, Any], pipeline: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    described = copy.deepcopy(pipeline)
    described["pipeline"]["steps"][1]["step"]["llm"] = dump
    again = Pipeline.from_dict(described).dump()["pipeline"]["steps"][1]["step"]["llm"]
    assert again["type_info"]["name"] == dump["type_info"]["name"]
    for name, value in dump.items():
        if name in ("type_info", "token"):
            continue
        if name == "aggregator_llm":
            assert again[name]["model_id"] == value["model_id"]
        elif name == "proposers_llms":
            assert [member["type_info"]["name"] for member in again[name]] == [
                value[key]["type_info"]["name"] for key in sorted(value, key=int)
            ]
        else:
            assert again[name] == value, name
