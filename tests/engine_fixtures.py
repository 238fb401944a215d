"""One real engine for the whole test session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from beam_distilabel.models.vllm import vLLM
from tests.tiny_model import make_tiny_model


@pytest.fixture(scope="session")
def tiny_model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny model with random weights and 1,024 tokens of context."""
    pytest.importorskip("vllm")
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def tiny_llm(tiny_model_path: Path) -> Iterator[vLLM]:
    """A vLLM with the tiny model whose engine stays open for the session.

    A test that makes an equal `vLLM(...)` joins the engine.
    """
    llm = vLLM(model=str(tiny_model_path), extra_kwargs={"max_num_seqs": 64})
    llm.load()
    yield llm
    llm.unload()
