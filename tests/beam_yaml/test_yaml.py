"""Steps and pipelines in Beam YAML, expanded in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.yaml.yaml_provider import standard_providers
from apache_beam.yaml.yaml_transform import expand_pipeline

from beam_distilabel.beam_yaml import PROVIDERS, provider, step_classes
from beam_distilabel.beam_yaml.transforms import DistilabelPipeline, StepTransform
from beam_distilabel.distiset import create_distiset
from beam_distilabel.models.llms import OpenAILLM
from beam_distilabel.pipeline import Pipeline
from beam_distilabel.pipeline.registry import is_ours
from beam_distilabel.steps import KeepColumns, LoadDataFromDicts
from beam_distilabel.steps.tasks import TextGeneration
from tests.openai_server import OpenAIServer
from tests.openai_server.faults import Fault
from tests.pipeline.fakes import Times

pytest_plugins = ["tests.openai_server.fixtures"]

OURS = f"""
providers:
  - include: {PROVIDERS}
  - type: python
    transforms:
      Halve: tests.beam_yaml.steps.halve
      Side: tests.beam_yaml.steps.side
    config: {{}}
"""
NUMBERS = """
    - {type: Create, name: numbers, config: {elements: [{n: 2}, {n: 3}, {n: 4}, {n: 4}, {n: 8}]}}
"""


def expand(text: str) -> None:
    """Run a file of transforms."""
    with beam.Pipeline(runner=FnApiRunner()) as p:
        expand_pipeline(p, f"pipeline:\n  transforms:{text}{OURS}")


def written(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """The rows of each subset, in an order of their own."""
    distiset = create_distiset(folder, enable_metadata=True)
    return {
        name: sorted(distiset[name]["train"].to_list(), key=lambda row: str(sorted(row.items())))
        for name in distiset
    }


def test_every_step_is_there_and_none_takes_a_name_of_beams() -> None:
    provided = set(provider().provided_transforms())
    assert {"DistilabelPipeline", "WriteDistiset", "PushToHub", "PrometheusEval"} <= provided
    assert {"LoadDataFromHub", "KeepColumns", "TextGeneration"} <= provided
    # Other tests have Steps too, with any names.
    ours = {name for name, cls in step_classes().items() if is_ours(cls.__module__)}
    assert ours <= provided
    assert {"DistilabelPipeline", "WriteDistiset", *ours}.isdisjoint(standard_providers())
    assert not {"Step", "Task", "GlobalStep", "GeneratorTask"} & set(step_classes())


def test_what_beam_shows_of_a_step() -> None:
    judge = provider({"Judge": "PrometheusEval"})
    assert list(judge.provided_transforms()) == ["Judge"]
    fields = {field.name: field for field in judge.config_schema("Judge").fields}
    assert {"llm", "mode", "rubric", "error_handling", "checkpoint"} <= set(fields)
    assert fields["mode"].description
    assert judge.description("Judge")
    assert judge.requires_inputs("Judge", {})
    with pytest.raises(ValueError, match="no Step or Task 'PromEval' here. Did you mean"):
        provider({"Judge": "PromEval"})


def test_errors_and_misfits_have_an_output_of_their_own(tmp_path: Path) -> None:
    expand(
        f"""{NUMBERS}
    - type: Halve
      name: Halve them
      input: numbers
      config: {{error_handling: {{output: errors}}, input_batch_size: 2}}
    - type: StripErrorMetadata
      input: Halve them.errors
    - {{type: KeepColumns, name: again, input: StripErrorMetadata, config: {{columns: [n]}}}}
    - type: MapToFields
      name: told
      input: Halve them.errors
      config: {{language: python, fields: {{step: step, kind: kind, msg: msg, row: row_json}}}}
    - type: WriteDistiset
      input: {{done: Halve them, again: again, told: told}}
      config: {{path: {tmp_path}/out}}
    """
    )
    subsets = written(tmp_path / "out")
    subsets["told"].sort(key=lambda row: row["kind"], reverse=True)
    assert subsets["done"] == [{"n": 2, "half": 1}, {"n": 4, "half": 2}, {"n": 4, "half": 2}]
    assert subsets["again"] == [{"n": 3}, {"n": 8}]
    assert [(row["step"], row["kind"]) for row in subsets["told"]] == [
        ("Halve-them", "user_code"),
        ("Halve-them", "schema"),
    ]
    odd, misfit = subsets["told"]
    assert odd["msg"] == "ValueError: 3 is odd" and odd["row"] is None
    assert "column 'half' has a str, and is declared to have int64" in misfit["msg"]
    assert misfit["row"] == '{"n": 8, "half": "four"}'


def test_without_error_handling_rows_that_failed_go_on_and_misfits_end_the_job(
    tmp_path: Path,
) -> None:
    with pytest.raises(Exception, match="'half' has a str.*error_handling: {output: errors}"):
        expand(f"{NUMBERS}    - {{type: Halve, input: numbers}}\n")
    expand(
        f"""
    - {{type: Create, config: {{elements: [{{n: 2}}, {{n: 3}}]}}}}
    - {{type: Halve, input: Create}}
    - {{type: WriteDistiset, input: Halve, config: {{path: {tmp_path}/out}}}}
    """
    )
    two, three = sorted(written(tmp_path / "out")["default"], key=lambda row: row["n"])
    assert (two["half"], two["distilabel_metadata"]) == (1, None)
    assert three["distilabel_metadata"]["failure_halve_0"]["message"] == "ValueError: 3 is odd"


def test_branches_are_joined_by_the_rows_they_stem_from(tmp_path: Path) -> None:
    expand(
        f"""
    - type: LoadDataFromDicts
      name: load
      config: {{data: [{{n: 2}}, {{n: 4}}, {{n: 4}}]}}
    - {{type: Halve, input: load}}
    - type: MapToFields
      name: more
      input: load
      config:
        language: python
        append: true
        fields: {{more: {{expression: n + 1, output_type: integer}}}}
    - {{type: Side, input: {{a: Halve, b: more}}}}
    - {{type: WriteDistiset, input: Side, config: {{path: {tmp_path}/out, ordered: true}}}}
    """
    )
    assert create_distiset(tmp_path / "out")["default"]["train"].to_list() == [
        {"n": n, "half": n // 2, "more": n + 1, "branches": 2} for n in (2, 4, 4)
    ]


def test_rows_that_beam_made_of_one_are_rows_of_their_own(tmp_path: Path) -> None:
    expand(
        f"""
    - type: LoadDataFromDicts
      name: load
      config: {{data: [{{ns: [2, 4, 4]}}]}}
    - type: Explode
      input: load
      config: {{fields: ns}}
    - type: Halve
      input: Explode
      config: {{input_mappings: {{n: ns}}, input_batch_size: 3}}
    - {{type: WriteDistiset, input: Halve, config: {{path: {tmp_path}/out, keep_row_ids: true}}}}
    """
    )
    rows = written(tmp_path / "out")["default"]
    assert sorted((row["ns"], row["half"]) for row in rows) == [(2, 1), (4, 2), (4, 2)]
    assert len({row["_row_id"] for row in rows}) == 3


def test_rows_that_beam_made_of_one_are_joined_with_their_own_or_not_at_all(
    tmp_path: Path,
) -> None:
    expand(
        f"""
    - {{type: LoadDataFromDicts, name: load, config: {{data: [{{a: 1, tags: [x, y, z]}}]}}}}
    - {{type: Explode, name: one, input: load, config: {{fields: tags}}}}
    - {{type: KeepColumns, name: first, input: one, config: {{columns: [a, tags]}}}}
    - {{type: Filter, name: yz, input: one, config: {{language: python, keep: tags != 'x'}}}}
    - type: MapToFields
      name: loud
      input: yz
      config:
        language: python
        fields:
          distilabel_row_id: distilabel_row_id
          b: {{expression: tags + '!', output_type: string}}
    - type: CombineOutputs
      name: torn
      input: {{one: first, two: loud}}
      config: {{error_handling: {{output: errors}}}}
    - {{type: KeepColumns, name: second, input: yz, config: {{columns: [tags]}}}}
    - {{type: Side, name: whole, input: {{one: second, two: yz}}}}
    - {{type: KeepColumns, name: whole rows, input: load, config: {{columns: [a]}}}}
    - {{type: Side, name: to all, input: {{one: whole rows, two: second}}}}
    - type: MapToFields
      name: told
      input: torn.errors
      config: {{language: python, fields: {{kind: kind, msg: msg}}}}
    - type: WriteDistiset
      input: {{torn: torn, whole: whole, to_all: to all, told: told}}
      config: {{path: {tmp_path}/out}}
    """
    )
    subsets = written(tmp_path / "out")
    assert subsets.get("torn", []) == []
    assert {row["kind"] for row in subsets["told"]} == {"join"} and len(subsets["told"]) == 5
    assert "transforms of Beam's own made other rows" in subsets["told"][0]["msg"]
    for name in ("whole", "to_all"):
        assert [(row["a"], row["tags"]) for row in subsets[name]] == [(1, "y"), (1, "z")]


def test_a_pipeline_file_gives_its_subsets(
    tmp_path: Path, openai_server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    openai_server.faults.append(Fault("content_filter", prompt="bad", times=None))
    file = tmp_path / "pipe.yaml"
    monkeypatch.setenv("TEST_KEY", openai_server.key)
    with Pipeline(name="pipe") as pipeline:
        ask = TextGeneration(name="ask", llm=OpenAILLM(model="tiny", base_url=openai_server.url))
        keep = KeepColumns(name="keep", columns=["instruction", "generation"])
        times = Times(name="times", times=2)
        ask >> [keep, times]
    pipeline.save(file, "yaml")
    expand(
        f"""
    - type: Create
      name: rows
      config: {{elements: [{{instruction: good, x: 1}}, {{instruction: bad, x: 2}}]}}
    - type: DistilabelPipeline
      name: pipe
      input: rows
      config:
        file: {file}
        parameters: {{ask: {{llm: {{api_key: "env:TEST_KEY"}}}}, times: {{}}}}
        checkpoint: {tmp_path}/kept
        error_handling: {{output: errors}}
    - type: MapToFields
      name: failed
      input: pipe.errors
      config: {{language: python, fields: {{step: step, kind: kind}}}}
    - type: Filter
      name: answered
      input: pipe.times
      config: {{language: python, keep: generation is not None}}
    - type: WriteDistiset
      input: {{keep: pipe.keep, times: answered, errors: failed}}
      config: {{path: {tmp_path}/out}}
    """
    )
    subsets = written(tmp_path / "out")
    answers = {row["instruction"]: row["generation"] for row in subsets["keep"]}
    assert answers == {"bad": None, "good": "answer to good"}
    assert sorted((row["x"], row["k"]) for row in subsets["times"]) == [(1, 0), (1, 1)]
    assert subsets["errors"] == [{"step": "ask", "kind": "refused"}]
    assert (tmp_path / "kept" / "checkpoint" / "ask").is_dir()


@pytest.mark.parametrize(
    ("transform", "message"),
    [
        (
            "{type: KeepColumns, input: numbers, config: {column: [n]}}",
            "'column'. Did you mean 'co",
        ),
        ("{type: KeepColumns, input: numbers, config: {columns: [m]}}", "don't have: 'm'.*have: n"),
        (
            "{type: KeepColumns, input: numbers, config: {columns: []}}",
            "KeepColumns: columns: List",
        ),
        ("{type: Halve, input: [numbers, numbers, more]}", "Unknown transform.*more"),
        ("{type: Halve, input: {a: numbers, b: numbers}}", "takes one input, got 2"),
        ("{type: KeepColumn, input: numbers}", "Unknown type or missing provider.*KeepColumn"),
        (
            "{type: TextGeneration, input: numbers, config: {llm: {type: vLM, model: m}}}",
            "'llm': there is no class 'vLM' here. Did you mean 'vLLM'",
        ),
        (
            "{type: TextGeneration, input: numbers, config: {llm: vLLM}}",
            "'vLLM' describes no model. A model is its class and its fields",
        ),
        (
            "{type: TextGeneration, input: numbers, config: {llm: {type: OpenAILLM, model: m, "
            "api_key: sk-very-secret}}}",
            "'api_key' is a secret.*api_key: env:NAME",
        ),
        (
            "{type: TextGeneration, input: numbers, config: {llm: {type: OpenAILLM, modle: m}}}",
            "OpenAILLM.*has no argument 'modle'. Did you mean 'model'",
        ),
        (
            "{type: TextGeneration, input: numbers, config: {llm: {type: OpenAILLM, model: m, "
            "base_url: 'http://x/v1'}}}",
            "requires inputs that its rows don't have: 'instruction'",
        ),
        (
            "{type: Halve, input: numbers, config: {checkpoint: {fold: x}}}",
            "names no folder; write `checkpoint:",
        ),
        (
            "{type: TextGeneration, input: numbers, config: {llm: {type: LLM}}}",
            "LLM is what models are made of, and none itself",
        ),
        (
            "{type: Halve, input: numbers, config: {checkpoint: 5}}",
            "checkpoint=5 names no folder; write `checkpoint:",
        ),
        ("{type: DistilabelPipeline, config: {file: /nowhere.yaml}}", "no file '/nowhere.yaml'"),
        (
            "{type: LoadDataFromDicts, input: numbers, config: {data: [{a: 1}]}}",
            "leave out `input`",
        ),
        (
            "{type: WriteDistiset, input: numbers, config: {path: /x, hub: {repo: a/b}}}",
            "Hub's tar",
        ),
    ],
)
def test_mistakes_are_told_before_anything_runs(transform: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        expand(f"{NUMBERS}    - {transform}\n")
    assert "very-secret" not in str(error.value)


def test_error_handling_has_one_form() -> None:
    for value in ({"outptu": "errors"}, {"output": "out"}, {"output": ""}, "errors"):
        with pytest.raises(ValueError, match="error_handling has to be `{output: <name>}`"):
            StepTransform(KeepColumns, {"columns": ["n"], "error_handling": value})


def test_parameters_hold_no_secret(tmp_path: Path) -> None:
    with Pipeline(name="pipe") as pipeline:
        TextGeneration(name="ask", llm=OpenAILLM(model="tiny"))
    pipeline.save(tmp_path / "pipe.json")
    with pytest.raises(ValueError, match="'ask.llm.api_key' is a secret.*env:NAME"):
        DistilabelPipeline(
            str(tmp_path / "pipe.json"), parameters={"ask": {"llm": {"api_key": "sk-very-secret"}}}
        )


def test_rows_take_the_place_of_a_loader_whose_data_no_file_has(tmp_path: Path) -> None:
    with Pipeline(name="pipe") as pipeline:
        load = LoadDataFromDicts(name="load", data=[{"a": 1}], output_mappings={"a": "n"})
        load >> KeepColumns(name="keep", columns=["n"])
    file = tmp_path / "pipe.yaml"
    pipeline.save(file)
    expand(
        f"""
    - {{type: Create, name: rows, config: {{elements: [{{a: 2}}, {{a: 3}}]}}}}
    - {{type: DistilabelPipeline, name: pipe, input: rows, config: {{file: {file}}}}}
    - {{type: Filter, input: pipe, config: {{language: python, keep: n > 2}}}}
    - {{type: WriteDistiset, input: Filter, config: {{path: {tmp_path}/out}}}}
    """
    )
    assert written(tmp_path / "out") == {"default": [{"n": 3}]}
    with pytest.raises(ValueError, match="the pipeline 'pipe' receives rows; give it an `input`"):
        expand(f"\n    - {{type: DistilabelPipeline, config: {{file: {file}}}}}\n")
    reloaded = Pipeline.from_file(str(file))
    with pytest.raises(ValueError, match="'load'.*has no data.*`rows | pipeline`"):
        with beam.Pipeline(runner=FnApiRunner()) as p:
            p | reloaded


def test_rows_of_unknown_columns_go_on_without_a_schema(tmp_path: Path) -> None:
    """A column that can't be a field of Beam's; `KeepColumns` makes a schema of the others."""
    expand(
        f"""
    - type: LoadDataFromDicts
      name: load
      config: {{data: [{{"my n": 2, n: 4}}]}}
    - {{type: Halve, input: load}}
    - {{type: KeepColumns, input: Halve, config: {{columns: [n, half]}}}}
    - {{type: Filter, input: KeepColumns, config: {{language: python, keep: half == 2}}}}
    - type: WriteDistiset
      input: {{all: Halve, two: Filter}}
      config: {{path: {tmp_path}/out}}
    """
    )
    assert written(tmp_path / "out") == {
        "all": [{"my n": 2, "n": 4, "half": 2}],
        "two": [{"n": 4, "half": 2}],
    }
