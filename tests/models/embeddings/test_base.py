"""Users' own embedding models: batches, bad texts, what `encode` may return."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from apache_beam.ml.inference.base import RunInference
from hypothesis import given, strategies as st
from pydantic import PrivateAttr

from beam_distilabel.errors import DistilabelNotImplementedError, GenerationError
from beam_distilabel.inference import ContinuousRunInference
from beam_distilabel.models.embeddings import Embeddings
from beam_distilabel.models.embeddings.base import as_vector


class Lengths(Embeddings):
    """Vectors of lengths; refuses the empty text, and remembers the sizes of its batches."""

    as_array: bool = False
    short_by: int = 0

    _batches: list[int] = PrivateAttr(default_factory=list)

    @property
    def model_name(self) -> str:
        return "lengths"

    def encode(self, inputs: list[str]) -> Any:
        self._batches.append(len(inputs))
        if "" in inputs:
            raise ValueError("nothing to measure")
        vectors = [[float(len(text)), 0.5] for text in inputs][self.short_by :]
        return np.array(vectors, dtype=np.float32) if self.as_array else vectors


def vectors_of(embeddings: Embeddings, texts: Sequence[Any], way: Any) -> dict[Any, Any]:
    results: Any = list(texts) | way(embeddings)
    return {result.example: result.inference for result in results}


@pytest.mark.parametrize("way", [RunInference, ContinuousRunInference])
@pytest.mark.parametrize("as_array", [False, True])
def test_it_is_a_model_handler(way: Any, as_array: bool) -> None:
    answers = vectors_of(Lengths(as_array=as_array), ["a", "bcd"], way)
    assert answers == {"a": {"generations": [[1.0, 0.5]]}, "bcd": {"generations": [[3.0, 0.5]]}}


def test_a_text_that_fails_costs_itself_only() -> None:
    answers = vectors_of(Lengths(), ["a", "", "bcd"], RunInference)
    assert answers["a"]["generations"] == [[1.0, 0.5]]
    assert answers["bcd"]["generations"] == [[3.0, 0.5]]
    assert answers[""]["generations"] == [None]
    assert "nothing to measure" in answers[""]["failure"]["message"]


def test_texts_that_have_arrived_share_a_batch() -> None:
    embeddings = Lengths()
    engine: Any = embeddings.load_model()
    try:
        engine._llm._batches.clear()
        results = embeddings.run_inference([str(i) for i in range(21)], engine)
        assert len(list(results)) == 21
        assert sum(engine._llm._batches) == 21
        assert len(engine._llm._batches) < 5
    finally:
        engine.release()


def test_a_wrong_number_of_vectors_is_an_error_of_its_texts() -> None:
    answers = vectors_of(Lengths(short_by=1), ["a", "bcd"], RunInference)
    assert all(
        "encode returned 0 outputs for 1" in a["failure"]["message"] for a in answers.values()
    )


@given(st.lists(st.floats(allow_nan=False, width=32) | st.integers(-128, 127), min_size=1))
def test_any_numbers_are_a_vector(vector: list[float]) -> None:
    assert as_vector(vector, "encode") == vector
    assert as_vector(np.array(vector), "encode") == vector
    assert as_vector([np.float32(number) for number in vector], "encode") == vector


@pytest.mark.parametrize("value", [None, "text", [], [[1.0]], ["a"], [True], {"a": 1.0}, 3])
def test_anything_else_is_not(value: Any) -> None:
    with pytest.raises(GenerationError, match="encode returned .* expected a list of numbers"):
        as_vector(value, "encode")


def test_a_class_without_encode_says_so() -> None:
    with pytest.raises(DistilabelNotImplementedError, match="Embeddings has to define `encode`"):
        Embeddings().encode(["a"])


def test_equal_ones_share_an_engine() -> None:
    assert Lengths(short_by=2).fingerprint() == Lengths(short_by=2).fingerprint()
    assert Lengths(short_by=2).fingerprint() != Lengths().fingerprint()
