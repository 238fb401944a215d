"""`LlamaCppLLM` with a real tiny GGUF file; skipped where llama-cpp-python isn't compiled."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from beam_distilabel.errors import DistilabelUserError, EngineError
from beam_distilabel.models.engine import GenerateRequest
from beam_distilabel.models.llamacpp import LlamaCppLLM
from beam_distilabel.models.transformers import TransformersLLM
from tests.tiny_gguf import make_tiny_gguf

CHAT: Any = [{"role": "user", "content": "how many words does the fox need"}]
SCHEMA = {
    "type": "object",
    "properties": {"count": {"type": "integer", "minimum": 0, "maximum": 999}},
    "required": ["count"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def gguf(tiny_model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("llama_cpp")
    pytest.importorskip("gguf")
    return make_tiny_gguf(tiny_model_path, tmp_path_factory.mktemp("gguf") / "tiny.gguf")


@pytest.fixture(scope="module")
def llm(gguf: Path) -> Iterator[LlamaCppLLM]:
    made = LlamaCppLLM(model_path=gguf, extra_kwargs={"logits_all": True})
    made.load()
    yield made
    made.unload()


def test_the_greedy_answer_is_that_of_transformers(llm: LlamaCppLLM, tiny_model_path: Path) -> None:
    other = TransformersLLM(model=str(tiny_model_path), torch_dtype="float32")
    other.load()
    try:
        (expected,) = other.generate_outputs(
            [CHAT], max_new_tokens=8, temperature=0, repetition_penalty=1.0
        )
    finally:
        other.unload()
    (output,) = llm.generate_outputs([CHAT], max_new_tokens=8, temperature=0)
    told = expected["generations"][0]
    # llama-cpp-python leaves out bytes that are no UTF-8.
    assert output["generations"] == [told.replace("\N{REPLACEMENT CHARACTER}", "")]
    assert output["statistics"] == {"input_tokens": [10], "output_tokens": [8]}
    assert output["finish_reasons"] == ["length"]


def test_an_answer_depends_on_its_seed(llm: LlamaCppLLM) -> None:
    engine = llm.loaded_engine()

    async def ask() -> list[Any]:
        requests = [GenerateRequest(CHAT, 3, {"max_new_tokens": 10}, seed) for seed in (1, 2, 1)]
        return await asyncio.gather(*(engine.generate(request) for request in requests))

    first, second, again = (output["generations"] for output in engine.call(ask()))
    assert first == again != second
    assert len(set(first)) == 3


def test_structures_stay_with_their_rows(llm: LlamaCppLLM) -> None:
    tight = {"format": "json", "schema": SCHEMA, "whitespace_pattern": " ?"}
    regex = {"format": "regex", "schema": r"(yes|no)-\d{3}"}
    bad = {"format": "regex", "schema": "(?=look)ahead"}
    inputs: Any = [(CHAT, tight), (CHAT, regex), (CHAT, bad), CHAT]
    outputs = llm.generate_outputs(inputs, 2, max_new_tokens=60)
    for text in outputs[0]["generations"]:
        assert text is not None and 0 <= json.loads(text)["count"] <= 999
    for text in outputs[1]["generations"]:
        assert text is not None and text[:-4] in ("yes", "no")
    assert outputs[2]["failures"][0]["kind"] == "refused"
    assert not any(str(text).startswith("{") for text in outputs[3]["generations"])


def test_what_cannot_be_asked_costs_its_row_only(llm: LlamaCppLLM) -> None:
    inputs: Any = ["the fox " * 500, [{"role": "tool", "content": "x"}], CHAT]
    outputs = llm.generate_outputs(inputs, max_new_tokens=3)
    kinds = [(output.get("failures") or [{}])[0].get("kind") for output in outputs]
    assert kinds == ["too_long", "engine", None]


def test_log_probabilities(llm: LlamaCppLLM) -> None:
    (output,) = llm.generate_outputs(
        [CHAT],
        max_new_tokens=3,
        # What is sampled may be a part of a character: tokens of equal text count once.
        temperature=0.0,
        extra_generation_kwargs={"logprobs": True, "top_logprobs": 2},
    )
    for candidates in output["logprobs"][0]:
        assert 1 <= len(candidates) <= 3  # the chosen one too, where it isn't among the two
        assert all(candidate["logprob"] <= 0 for candidate in candidates)


def test_the_tokenizers_template_and_magpie(gguf: Path, tiny_model_path: Path) -> None:
    llm = LlamaCppLLM(
        model_path=gguf,
        tokenizer_id=str(tiny_model_path),
        use_magpie_template=True,
        magpie_pre_query_template="<|user|>",
    )
    llm.load()
    try:
        chat, next_is_user = llm.generate_outputs(
            [CHAT, [{"role": "system", "content": "Be kind."}]], max_new_tokens=4, temperature=0
        )
        assert chat["statistics"]["input_tokens"] == [10]
        assert next_is_user["generations"][0] is not None
    finally:
        llm.unload()


def test_a_path_that_is_not_there_or_missing(gguf: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.gguf").write_bytes(b"GGUFx")
    with pytest.raises(EngineError, match="can't load"):
        LlamaCppLLM(model_path=tmp_path / "broken.gguf").load()
    with pytest.raises(DistilabelUserError, match="model_path"):
        LlamaCppLLM().load()


def test_arguments_are_checked_early() -> None:
    with pytest.raises(DistilabelUserError, match="Did you mean 'temperature'"):
        LlamaCppLLM(generation_kwargs={"temprature": 1}).check_generation_kwargs()
    with pytest.raises(DistilabelUserError, match="can't hold 'stream'"):
        LlamaCppLLM(
            generation_kwargs={"extra_generation_kwargs": {"stream": True}}
        ).check_generation_kwargs()
    with pytest.raises(ValueError, match="tokenizer_id"):
        LlamaCppLLM(use_magpie_template=True, magpie_pre_query_template="qwen2")


def test_the_path_is_a_runtime_parameter_that_no_dump_has(tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    file.touch()
    llm = LlamaCppLLM()
    llm.set_runtime_parameters({"model_path": str(file)})
    assert llm.model_name == str(file)
    assert "model_path" not in llm.dump()
