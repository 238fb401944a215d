"""`MlxLLM`: with a real tiny model where MLX is installed, an error elsewhere."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from beam_distilabel.errors import DistilabelUserError, EngineError
from beam_distilabel.models.engine import GenerateRequest
from beam_distilabel.models.mlx import MlxLLM

CHAT: Any = [{"role": "user", "content": "how many words does the fox need"}]


@pytest.fixture
def llm(tiny_model_path: Path) -> Iterator[MlxLLM]:
    pytest.importorskip("mlx_lm")
    made = MlxLLM(path_or_hf_repo=str(tiny_model_path))
    made.load()
    yield made
    made.unload()


@pytest.mark.skipif(
    sys.platform == "darwin" or importlib.util.find_spec("mlx_lm") is not None,
    reason="MLX is here",
)
def test_it_is_an_error_off_macos() -> None:
    llm = MlxLLM(path_or_hf_repo="mlx-community/some-model")
    with pytest.raises(EngineError, match="macOS on Apple silicon"):
        llm.load()


def test_answers_have_tokens_seeds_and_structures(llm: MlxLLM) -> None:
    (greedy,) = llm.generate_outputs([CHAT], 2, max_tokens=6)
    assert greedy["generations"][0] == greedy["generations"][1]
    assert greedy["statistics"] == {"input_tokens": [10], "output_tokens": [6, 6]}
    engine = llm.loaded_engine()
    first, second, again = (
        engine.call(engine.generate(GenerateRequest(CHAT, 2, {"max_tokens": 8, "temp": 1.0}, seed)))
        for seed in (1, 2, 1)
    )
    assert first["generations"] == again["generations"] != second["generations"]
    schema = {"type": "object", "properties": {"a": {"enum": ["x", "y"]}}, "required": ["a"]}
    structure = {
        "format": "json",
        "schema": {**schema, "additionalProperties": False},
        "whitespace_pattern": " ?",
    }
    inputs: Any = [(CHAT, structure), (CHAT, {"format": "regex", "schema": "yes|no"})]
    outputs = llm.generate_outputs(inputs, max_tokens=60, temp=1.0)
    assert json.loads(str(outputs[0]["generations"][0]))["a"] in ("x", "y")
    assert outputs[1]["generations"][0] in ("yes", "no")


def test_arguments_are_checked_early() -> None:
    with pytest.raises(DistilabelUserError, match="Did you mean 'max_tokens'"):
        MlxLLM(path_or_hf_repo="x", generation_kwargs={"max_token": 1}).check_generation_kwargs()
    with pytest.raises(ValueError, match="magpie_pre_query_template"):
        MlxLLM(path_or_hf_repo="x", use_magpie_template=True)
