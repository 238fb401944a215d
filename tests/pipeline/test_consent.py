"""Code that a pipeline file names runs only where the run's parameters name it, too."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from typer.testing import CliRunner

from beam_distilabel.cli import app
from beam_distilabel.consent import names_code
from beam_distilabel.errors import DistilabelUserError, PipelineValidationError
from beam_distilabel.models.base import EngineModel
from beam_distilabel.models.embeddings import vLLMEmbeddings
from beam_distilabel.models.llms import MlxLLM, TransformersLLM, vLLM
from beam_distilabel.pipeline import Pipeline
from beam_distilabel.steps import EmbeddingGeneration
from beam_distilabel.steps.tasks import APIGenExecutionChecker, TextGeneration

CALL = {"answers": json.dumps([{"name": "leave", "arguments": {}}])}


class Library:
    """A pipeline file that names functions which leave a mark when they are loaded."""

    def __init__(self, folder: Path) -> None:
        self.mark = folder / "mark"
        self.path = folder / "library.py"
        self.path.write_text(f"open({str(self.mark)!r}, 'w').close()\ndef leave(): return 'left'")
        with Pipeline(name="checking") as pipeline:
            APIGenExecutionChecker(name="check", libpath=str(self.path))
        self.file = folder / "pipeline.yaml"
        pipeline.save(self.file, format="yaml")

    def load(self) -> Pipeline:
        return Pipeline.from_yaml(self.file)


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path)


@pytest.mark.parametrize("how", ["run", "validate", "preview", "dry_run", "outputs"])
def test_what_a_file_names_is_not_run(library: Library, how: str, tmp_path: Path) -> None:
    pipeline = library.load()
    with pytest.raises(DistilabelUserError) as caught:
        if how == "outputs":
            with beam.Pipeline() as outer:
                outer | beam.Create([CALL]) | pipeline
        else:
            folder = {"output_dir": tmp_path / "run"} if how == "run" else {}
            getattr(pipeline, how)(dataset=[CALL], **folder)
    for said in (
        "Step 'check' (APIGenExecutionChecker): ",
        f"libpath={str(library.path)!r} was named by a pipeline file",
        f"`--param check.libpath={library.path}`",
        f"`run(parameters={ {'check': {'libpath': str(library.path)}}!r})`",
    ):
        assert said in str(caught.value)
    assert not library.mark.exists() and not (tmp_path / "run").exists()


def test_what_the_run_names_too_is_run(library: Library, tmp_path: Path) -> None:
    pipeline = library.load()
    assert pipeline.dump() == Pipeline.from_dict(pipeline.dump()).dump()
    distiset = pipeline.run(
        dataset=[CALL],
        parameters={"check": {"libpath": str(library.path)}},
        output_dir=tmp_path / "run",
    )
    assert distiset["default"]["train"][0]["execution_result"] == ["left"]
    with pytest.raises(PipelineValidationError):  # another run asks again
        pipeline.validate(dataset=[CALL])
    pipeline.graph.get("check").set_runtime_parameters({"libpath": str(library.path)})
    pipeline.validate(dataset=[CALL])


def test_the_command_line_asks_too(library: Library, tmp_path: Path) -> None:
    rows = tmp_path / "rows"
    rows.mkdir()
    (rows / "rows.jsonl").write_text(json.dumps(CALL))
    command = ["pipeline", "validate", str(library.file), "--dataset", str(rows)]
    refused = CliRunner().invoke(app, command)
    assert refused.exit_code == 1
    option = f"check.libpath={library.path}"
    done = CliRunner().invoke(app, [*command, "--param", option])
    assert done.exit_code == 0, done.output
    shown = CliRunner().invoke(app, ["pipeline", "info", str(library.file)])
    assert "libpath = " in shown.output


def test_copies_and_pickles_remember(library: Library) -> None:
    step = library.load().graph.get("check")
    for same in (step.copied(), pickle.loads(pickle.dumps(step))):
        assert same.code_of_file() == {"libpath": str(library.path)}
    confirmed = step.copied()
    confirmed.set_runtime_parameters({"libpath": str(library.path)})
    assert confirmed.code_of_file() == {} and step.code_of_file()


def test_a_check_that_a_file_leaves_out(library: Library) -> None:
    with Pipeline(name="unchecked") as pipeline:
        APIGenExecutionChecker(name="check", libpath="a.py", check_is_dangerous=False)
    loaded = Pipeline.from_dict(pipeline.dump())
    parameters = {"check": {"libpath": str(library.path)}}
    with pytest.raises(PipelineValidationError, match="`--param check.check_is_dangerous=false`"):
        loaded.validate(parameters, dataset=[CALL])


MODELS = [
    (vLLM(model="m", trust_remote_code=True), "trust_remote_code", True),
    (vLLM(model="m", extra_kwargs={"worker_cls": "w"}), "extra_kwargs", {"worker_cls": "w"}),
    (vLLMEmbeddings(model="m", trust_remote_code=True), "trust_remote_code", True),
    (TransformersLLM(model="m", trust_remote_code=True), "trust_remote_code", True),
    (
        TransformersLLM(model="m", model_kwargs={"weights_only": False}),
        "model_kwargs",
        {"weights_only": False},
    ),
    (
        MlxLLM(path_or_hf_repo="m", tokenizer_config={"trust_remote_code": True}),
        "tokenizer_config",
        {"trust_remote_code": True},
    ),
]


@pytest.mark.parametrize(("model", "field", "value"), MODELS)
def test_models_that_bring_code(model: EngineModel, field: str, value: Any) -> None:
    with Pipeline(name="asking") as pipeline:
        if isinstance(model, vLLMEmbeddings):
            EmbeddingGeneration(name="ask", embeddings=model)
        else:
            TextGeneration(name="ask", llm=model)
    inner = "embeddings" if isinstance(model, vLLMEmbeddings) else "llm"
    rows = [{"instruction": "?", "text": "!"}]
    pipeline.validate(dataset=rows)  # in Python it is the user's own
    loaded = Pipeline.from_dict(pipeline.dump())
    with pytest.raises(PipelineValidationError, match=f"{inner}.{field}=.* named by a pipeline"):
        loaded.validate(dataset=rows)
    loaded.validate({"ask": {inner: {field: value}}}, dataset=rows)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"max_model_len": 512, "enable_lora": True, "kv_cache_dtype": "fp8"}, False),
        ({"revision": "v1.0", "attn_implementation": "sdpa", "weights_only": True}, False),
        ({"speculative_config": {"model": "org/small", "method": "ngram"}}, False),
        ({"trust_remote_code": False, "worker_cls": None}, False),
        ({"distributed_executor_backend": "a.b.Executor"}, True),
        ({"logits_processors": ["module:Class"]}, True),
        ({"kv_transfer_config": {"kv_connector_module_path": "os"}}, True),
        ({"tool_parser_plugin": "parser.py"}, True),
        ({"attn_implementation": "org/kernels"}, True),
        ({"hf_overrides": {"auto_map": {"AutoConfig": "a.Config"}}}, True),
        ({"x": [{"y": [{"model_file": "x.py"}]}]}, True),
    ],
)
def test_options_that_have_an_engine_run_something(options: dict[str, Any], code: bool) -> None:
    assert names_code(options, {}) is code
