"""`steps` and `models`: what is listed, and what is shown of each."""

from __future__ import annotations

import inspect
import json
from typing import Any

import pytest
from typer.testing import CliRunner

from beam_distilabel.cli import app, main
from beam_distilabel.cli.catalogue import (
    MODEL_KINDS,
    STEP_KINDS,
    describe,
    matching,
    models,
    named,
    steps,
)
from beam_distilabel.cli.completion import model_names, step_names
from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.step import open_pipelines
from beam_distilabel.steps import LoadDataFromHub


def shown(*command: str) -> str:
    done = CliRunner().invoke(app, command, catch_exceptions=False, env={"COLUMNS": "100"})
    assert done.exit_code == 0
    return done.stdout


def shown_json(*command: str) -> Any:
    return json.loads(shown(*command, "--json"))


def test_all_steps_are_listed_by_their_kinds() -> None:
    listed = {item["name"]: item["kind"] for item in shown_json("steps", "list")}
    assert listed["KeepColumns"] == "step"
    assert listed["LoadDataFromHub"] == "loader"
    assert listed["PushToHub"] == "global step"
    assert listed["PrometheusEval"] == "task"
    assert set(listed.values()) <= set(STEP_KINDS)
    assert not {"Step", "GlobalStep", "Task", "GeneratorTask", "ImageTask", "step"} & set(listed)
    # What Tab offers, without importing anything, is what there is.
    assert sorted(listed) == step_names()


def test_all_models_are_listed_by_their_kinds() -> None:
    listed = {item["name"]: item["kind"] for item in shown_json("models", "list")}
    assert listed["vLLM"] == listed["OpenAILLM"] == "LLM"
    assert listed["vLLMEmbeddings"] == "embeddings"
    assert set(listed.values()) <= set(MODEL_KINDS)
    assert sorted(listed) == model_names()
    assert not {"LLM", "AsyncLLM", "Embeddings"} & set(listed)


def test_lists_can_be_narrowed() -> None:
    assert {item["kind"] for item in shown_json("steps", "list", "--kind", "loader")} == {"loader"}
    found = {item["name"] for item in shown_json("steps", "list", "PROMETHEUS")}
    assert found == {"PrometheusEval"}
    assert [item.name for item in matching(models(), "LLM", "ollama server")] == ["OllamaLLM"]
    table = shown("steps", "list", "prometheus")
    assert "Grades answers with Prometheus 2" in table and "KeepColumns" not in table


@pytest.mark.parametrize("name", step_names())
def test_every_step_can_be_shown(name: str) -> None:
    item = named(steps(), name, "step")
    found = describe(item)
    assert {one.name for one in found.arguments} == set(item.cls.model_fields)
    assert all(one.type and one.default for one in found.arguments)
    assert item.summary
    assert found.text.startswith(item.summary[:20])
    assert json.loads(json.dumps(found.as_dict(), default=str))["name"] == name
    if "task" in item.kind:
        assert found.prompt or found.note


@pytest.mark.parametrize("name", model_names())
def test_every_model_can_be_shown(name: str) -> None:
    item = named(models(), name, "model")
    found = describe(item)
    assert {one.name for one in found.arguments} == set(item.cls.model_fields)
    assert found.prompt == [] and found.columns == {}
    if item.kind == "LLM":
        assert found.note == "" or "needs at least one LLM" in found.note


def test_a_task_with_its_prompt_and_its_paper() -> None:
    found = shown_json("steps", "show", "prometheuseval")
    assert found["import"] == "from beam_distilabel.steps.tasks import PrometheusEval"
    by_name = {one["name"]: one for one in found["arguments"]}
    assert by_name["mode"]["type"] == "'absolute' or 'relative'"
    assert (
        by_name["mode"]["default"] == "required"
        and "score of 1 to 5" in by_name["mode"]["description"]
    )
    assert by_name["num_generations"]["runtime"] and by_name["num_generations"]["common"]
    assert found["columns"]["inputs"] == {"instruction": True, "generation": True}
    assert [message["role"] for message in found["prompt"]] == ["system", "user"]
    assert "2+2?" in found["prompt"][1]["content"]  # the row of the example
    assert "arxiv.org/abs/2405.01535" in found["source"]
    assert found["citations"][0].startswith("@misc{kim2024prometheus2")
    text = shown("steps", "show", "PrometheusEval")
    for part in ("mode: 'absolute' or 'relative'; required", "Prompt for an example row", "2+2?"):
        assert part in text


def test_a_step_without_a_model() -> None:
    found = shown_json("steps", "show", "KeepColumns")
    assert found["prompt"] == [] and found["input_columns"] == "those named."
    assert found["columns"] == {"inputs": {"answer": True}, "outputs": {"answer": True}}
    loader = {
        one["name"]: one for one in shown_json("steps", "show", "LoadDataFromHub")["arguments"]
    }
    assert set(loader) == set(LoadDataFromHub.model_fields)
    assert loader["split"]["default"] == "'train'"


def test_a_model_with_the_arguments_of_its_calls() -> None:
    found = shown_json("models", "show", "vllm")
    by_name = {one["name"]: one for one in found["generation_arguments"]}
    assert by_name["temperature"]["type"] == "float" and by_name["temperature"]["default"] == "1.0"
    text = shown("models", "show", "vLLM")
    assert "model: str; required" in text and "What `generation_kwargs` may have" in text


def test_showing_belongs_to_no_pipeline_and_shows_no_secret(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-" + "very5ecret" * 4)
    assert "very5ecret" not in shown("models", "show", "OpenAILLM")
    assert "very5ecret" not in json.dumps(shown_json("models", "show", "OpenAILLM"))
    assert open_pipelines.get() == ()


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["steps", "show", "PrometeusEval"], "Did you mean 'PrometheusEval'?"),
        (["steps", "show", "textgeneratoin"], "Did you mean 'TextGeneration'?"),
        (["models", "show", "OpenAI"], "Did you mean 'OpenAILLM'?"),
        (["steps", "list", "--kind", "taks"], "Did you mean 'task'?"),
    ],
)
def test_names_that_are_close(
    command: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(command)
    assert ended.value.code == 1
    assert said in capsys.readouterr().err


def test_a_name_that_is_close_to_nothing() -> None:
    with pytest.raises(DistilabelUserError, match="no step 'xyzzy'. All: `steps list`"):
        named(steps(), "xyzzy", "step")


def test_every_class_that_is_listed_documents_itself() -> None:
    for item in (*steps().values(), *models().values()):
        assert inspect.cleandoc(item.cls.__dict__["__doc__"]), item.name
