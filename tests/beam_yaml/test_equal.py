"""A YAML file and the same pipeline in Python make equal Distisets: rows and features."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.yaml.yaml_transform import expand_pipeline

from beam_distilabel.beam_yaml import PROVIDERS
from beam_distilabel.distiset import Distiset, create_distiset
from beam_distilabel.models.llms import OpenAILLM
from beam_distilabel.pipeline import Pipeline, sample_n_steps
from beam_distilabel.steps import (
    CombineOutputs,
    ExpandColumns,
    FormatChatGenerationDPO,
    FormatTextGenerationDPO,
    GroupColumns,
    KeepColumns,
    LoadDataFromDicts,
    MergeColumns,
)
from beam_distilabel.steps.tasks import TextGeneration, UltraFeedback
from tests.openai_server import OpenAIServer

pytest_plugins = ["tests.openai_server.fixtures"]

Data = list[dict[str, Any]]

DATA: Data = [
    {"instruction": "one", "n": 1},
    {"instruction": "two", "n": 2},
    {"instruction": "two", "n": 2},
    {"instruction": "three", "n": 3, "tags": ["a", "b"]},
]
RATINGS = """#### Output for Text 1
Rating: 4
Rationale: good

#### Output for Text 2
Rating: 2
Rationale: bad"""


def in_yaml(transforms: str, subsets: str, data: Data, folder: Path) -> Distiset:
    text = f"""
pipeline:
  transforms:
    - {{type: LoadDataFromDicts, name: load, config: {{data: {json.dumps(data)}}}}}
    {transforms}
    - {{type: WriteDistiset, input: {{{subsets}}}, config: {{path: {folder}, ordered: true}}}}
providers: [{{include: {PROVIDERS}}}]
"""
    with beam.Pipeline(runner=FnApiRunner()) as p:
        expand_pipeline(p, text)
    return create_distiset(folder, enable_metadata=True)


def assert_equal(made: Distiset, expected: Distiset) -> None:
    assert set(made) == set(expected)
    for name in expected:
        assert made[name]["train"].to_list() == expected[name]["train"].to_list()
        assert made[name]["train"].features == expected[name]["train"].features


@pytest.fixture
def server(openai_server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> OpenAIServer:
    monkeypatch.setenv("OPENAI_API_KEY", openai_server.key)
    openai_server.models = ["a", "b", "judge"]

    def answer(body: Any, _: int) -> str:
        asked = str(body["messages"])
        return RATINGS if body["model"] == "judge" else f"{body['model']} says {len(asked)}"

    openai_server.answer = answer
    return openai_server


def test_branches_that_are_grouped_judged_and_formatted(
    tmp_path: Path, server: OpenAIServer
) -> None:
    columns, lists = ["generation", "model_name"], ["generations", "generation_models"]
    with Pipeline(name="same") as pipeline:
        load = LoadDataFromDicts(name="load", data=DATA)
        a, b = (
            TextGeneration(name=name, llm=OpenAILLM(model=name, base_url=server.url))
            for name in "ab"
        )
        group = GroupColumns(name="group", columns=columns, output_columns=lists)
        judge = UltraFeedback(name="judge", llm=OpenAILLM(model="judge", base_url=server.url))
        dpo = FormatTextGenerationDPO(name="dpo")
        expand = ExpandColumns(name="expand", columns=["generations", "ratings"])
        load >> [a, b] >> group >> judge >> [dpo, expand]
    expected = pipeline.run(output_dir=tmp_path / "run", logging_handlers=[])

    def llm(name: str) -> str:
        return f"llm: {{type: OpenAILLM, model: {name}, base_url: '{server.url}'}}"

    made = in_yaml(
        f"""
    - {{type: TextGeneration, name: a, input: load, config: {{{llm("a")}}}}}
    - {{type: TextGeneration, name: b, input: load, config: {{{llm("b")}}}}}
    - type: GroupColumns
      name: group
      input: {{first: a, second: b}}
      config: {{columns: {columns}, output_columns: {lists}}}
    - {{type: UltraFeedback, name: judge, input: group, config: {{{llm("judge")}}}}}
    - {{type: FormatTextGenerationDPO, name: dpo, input: judge}}
    - type: ExpandColumns
      name: expand
      input: judge
      config: {{columns: [generations, ratings]}}
    """,
        "dpo: dpo, expand: expand",
        DATA,
        tmp_path / "yaml",
    )
    assert_equal(made, expected)
    assert [row["ratings"] for row in made["expand"]["train"]] == [4, 2] * 4
    assert made["dpo"]["train"]["chosen_model"] == ["a"] * 4


def test_a_pipeline_file_with_a_route(tmp_path: Path, server: OpenAIServer) -> None:
    with Pipeline(name="routed") as pipeline:
        a, b = (
            TextGeneration(name=name, llm=OpenAILLM(model=name, base_url=server.url))
            for name in "ab"
        )
        group = GroupColumns(name="group", columns=["generation"])
        (
            KeepColumns(name="keep", columns=["instruction", "n"])
            >> sample_n_steps(1)
            >> [
                a,
                b,
            ]
            >> group
        )
    pipeline.save(tmp_path / "routed.yaml")
    expected = pipeline.run(dataset=DATA, output_dir=tmp_path / "run", logging_handlers=[])
    made = in_yaml(
        f"- {{type: DistilabelPipeline, name: it, input: load, "
        f"config: {{file: {tmp_path}/routed.yaml}}}}",
        "default: it",
        DATA,
        tmp_path / "yaml",
    )
    assert_equal(made, expected)


MESSAGES = [{"role": "user", "content": "x"}]


@pytest.mark.parametrize(
    ("step", "config", "data"),
    [
        (
            FormatTextGenerationDPO,
            {},
            [{"instruction": "x", "generations": ["a", "b"], "ratings": [1, 2]}],
        ),
        (
            FormatChatGenerationDPO,
            {},
            [{"messages": MESSAGES, "generations": ["a", "b"], "ratings": [1, 2]}],
        ),
        (ExpandColumns, {"columns": ["ns"]}, [{"ns": [1, 2], "t": "x"}, {"ns": [3]}]),
        (MergeColumns, {"columns": ["instruction", "n"]}, DATA),
        (KeepColumns, {"columns": ["n"]}, [{"n": 1}, {"n": None}]),
    ],
)
def test_a_step(step: Any, config: dict[str, Any], data: Data, tmp_path: Path) -> None:
    with Pipeline(name="same") as pipeline:
        LoadDataFromDicts(name="load", data=data) >> step(name="it", **config)
    expected = pipeline.run(output_dir=tmp_path / "run", logging_handlers=[])
    made = in_yaml(
        f"- {{type: {step.__name__}, name: it, input: load, config: {json.dumps(config)}}}",
        "default: it",
        data,
        tmp_path / "yaml",
    )
    assert_equal(made, expected)


@pytest.mark.parametrize(
    ("step", "config"),
    [(CombineOutputs, {}), (GroupColumns, {"columns": ["n"]}), (MergeColumns, {"columns": ["n"]})],
)
def test_what_joins_branches(step: Any, config: dict[str, Any], tmp_path: Path) -> None:
    kept = {"first": ["instruction", "n"], "second": ["n", "tags"]}
    if step is MergeColumns:
        kept = {"first": ["instruction", "n"]}
    data = [{**row, "tags": [str(row["n"])]} for row in DATA]
    with Pipeline(name="same") as pipeline:
        load = LoadDataFromDicts(name="load", data=data)
        (
            load
            >> [KeepColumns(name=n, columns=c) for n, c in kept.items()]
            >> step(name="it", **config)
        )
    expected = pipeline.run(output_dir=tmp_path / "run", logging_handlers=[])
    branches = "\n    ".join(
        f"- {{type: KeepColumns, name: {n}, input: load, config: {{columns: {c}}}}}"
        for n, c in kept.items()
    )
    inputs = ", ".join(f"{name}: {name}" for name in kept)
    made = in_yaml(
        f"{branches}\n    - {{type: {step.__name__}, name: it, input: {{{inputs}}}, "
        f"config: {json.dumps(config)}}}",
        "default: it",
        data,
        tmp_path / "yaml",
    )
    assert_equal(made, expected)
