"""`vLLMEmbeddings` with the real pooling engine, beside transformers' own hidden states."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import numpy as np
import psutil
import pytest
from apache_beam.ml.inference.base import RunInference

from beam_distilabel.errors import DistilabelUserError, EngineError, PromptTooLongError
from beam_distilabel.models.vllm import embedded
from beam_distilabel.models.vllm.embeddings import vLLMEmbeddings
from beam_distilabel.steps import EmbeddingGeneration
from tests.tiny_encoder import CONTEXT, make_tiny_encoder

TEXTS = ["the quick brown fox", "a", "", "rows go in, rows come out", "x " * 20]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[vLLMEmbeddings]:
    """Keeps the engine between the tests."""
    pytest.importorskip("vllm")
    path = make_tiny_encoder(tmp_path_factory.mktemp("models") / "encoder")
    embeddings = vLLMEmbeddings(model=str(path), dtype="float32")
    embeddings.load()
    yield embeddings
    embeddings.unload()


@pytest.fixture
def encoder(kept: vLLMEmbeddings) -> Iterator[vLLMEmbeddings]:
    """Has a new engine after a test that leaves a dead one."""
    embeddings = vLLMEmbeddings(model=kept.model, dtype="float32")
    embeddings.load()
    yield embeddings
    embeddings.unload()


def expected(model: str, text: str) -> Any:
    """The normalized mean of the last hidden states."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokens = AutoTokenizer.from_pretrained(model)(text, return_tensors="pt")
    with torch.no_grad():
        states = AutoModel.from_pretrained(model, dtype=torch.float32)(
            tokens["input_ids"]
        ).last_hidden_state[0]
    mean = states.mean(0)
    return (mean / mean.norm()).numpy()


def test_vectors_are_those_of_transformers(encoder: vLLMEmbeddings) -> None:
    vectors = encoder.encode(TEXTS)
    assert all(type(number) is float for number in vectors[0])
    for text, vector in zip(TEXTS, vectors, strict=True):
        np.testing.assert_allclose(vector, expected(encoder.model, text), atol=1e-5)


def test_a_text_that_is_too_long_is_an_error_with_its_length(encoder: vLLMEmbeddings) -> None:
    with pytest.raises(PromptTooLongError, match=f"has 802 tokens.*holds {CONTEXT}"):
        encoder.encode(["short", "x " * 400])


def test_in_a_pipeline_a_bad_text_costs_its_row(encoder: vLLMEmbeddings) -> None:
    same = vLLMEmbeddings(model=encoder.model, dtype="float32")  # joins the engine
    rows = [{"text": "x " * 400}, *({"text": text} for text in TEXTS), {"text": None}]
    outputs: Any = rows | EmbeddingGeneration(embeddings=same).with_failures()
    assert sorted(failure.kind for failure in outputs["failures"]) == ["render", "too_long"]
    vectors = {row["text"]: row["embedding"] for row in outputs["rows"]}
    assert vectors.pop(None) is None
    assert vectors.pop("x " * 400) is None
    # Other texts in the same step change the last bits.
    np.testing.assert_allclose([vectors[text] for text in TEXTS], encoder.encode(TEXTS), atol=1e-5)


def test_it_is_a_model_handler(encoder: vLLMEmbeddings) -> None:
    results: Any = ["a", "x " * 400] | RunInference(
        vLLMEmbeddings(model=encoder.model, dtype="float32")
    )
    answers = {result.example: result.inference for result in results}
    np.testing.assert_allclose(
        answers["a"]["generations"][0], expected(encoder.model, "a"), atol=1e-5
    )
    assert answers["a"]["statistics"]["input_tokens"] == [3]
    assert answers["x " * 400]["failure"]["kind"] == "too_long"


def test_encode_needs_load() -> None:
    with pytest.raises(DistilabelUserError, match="Call `load\\(\\)`"):
        vLLMEmbeddings(model="nowhere").encode(["a"])


def test_an_unknown_argument_is_named() -> None:
    with pytest.raises(DistilabelUserError, match="max_model_lenn.*max_model_len"):
        vLLMEmbeddings(model="a", extra_kwargs={"max_model_lenn": 5}).load()


def test_a_model_that_is_not_there_is_an_engine_error() -> None:
    with pytest.raises(EngineError, match="is not there"):
        vLLMEmbeddings(model="/no/such/model").load()


def test_an_engine_that_dies_too_often_is_given_up(
    encoder: vLLMEmbeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "MAX_RESTARTS", 0)
    engine = encoder.load_model()
    try:
        assert isinstance(engine, embedded.EmbeddedEngine)
        processes = [psutil.Process(pid) for pid in engine.process_ids()]
        os.kill(processes[0].pid, signal.SIGKILL)
        for _ in range(2):
            with pytest.raises(EngineError, match="died 1 times"):
                encoder.encode(["a"])
        assert engine.dead
        assert not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in processes)
    finally:
        engine.release()
