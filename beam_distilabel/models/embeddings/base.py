"""The base class of embedding models, for this package's and for users' own."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

from beam_distilabel.errors import DistilabelNotImplementedError, GenerationError
from beam_distilabel.models.base import EngineModel
from beam_distilabel.models.engine import Engine, GenerateRequest
from beam_distilabel.models.user_engine import SyncLLMEngine
from beam_distilabel.typing import GenerateOutput


class Embeddings(EngineModel):
    """A model that turns texts into vectors; subclasses define `model_name` and `encode`.

    Every one is also a Beam ModelHandler: `texts | RunInference(embeddings)` makes
    PredictionResults whose inference is `{"generations": [vector], ...}`.

    Example:
        >>> class Lengths(Embeddings):
        ...     @property
        ...     def model_name(self): return "lengths"
        ...     def encode(self, inputs): return [[float(len(text))] for text in inputs]
        >>> Lengths().encode(["four"])
        [[4.0]]
    """

    def encode(self, inputs: list[str]) -> list[list[float]]:
        """The vector of each text, in order; call `load()` first."""
        raise DistilabelNotImplementedError(f"{type(self).__name__} has to define `encode`.")

    def make_engine(self) -> Engine:
        return EncodeEngine(self)


class EncodeEngine(SyncLLMEngine):
    """Answers by `encode`, in batches of what has arrived, in a thread of their own."""

    method = "encode"
    output = "vector"

    def _call(self, requests: list[GenerateRequest]) -> Any:
        vectors = self._llm.encode(inputs=[request.input for request in requests])
        # Libraries return arrays, of which pydantic, Arrow and JSON know nothing.
        return vectors.tolist() if hasattr(vectors, "tolist") else vectors

    def _normalized(self, output: Any, request: GenerateRequest) -> GenerateOutput:
        vector: Any = [as_vector(output, f"{self.description}.encode")]
        return {"generations": vector}


def as_vector(value: Any, what: str) -> list[float]:
    """`value` as a list of numbers.

    Args:
        value: a list, or an array with `tolist`.
        what: made it; for the message.

    Raises:
        GenerationError: it isn't one.

    Example:
        >>> as_vector((1, 2.5), "encode")
        [1, 2.5]
    """
    vector = value.tolist() if hasattr(value, "tolist") else value
    is_numbers = isinstance(vector, Sequence) and all(
        isinstance(number, numbers.Real) and not isinstance(number, bool) for number in vector
    )
    if not is_numbers or not vector:
        raise GenerationError(
            f"{what} returned {str(value)[:80]!r} for a text; expected a list of numbers."
        )
    return [n.item() if hasattr(n, "item") else n for n in vector]
