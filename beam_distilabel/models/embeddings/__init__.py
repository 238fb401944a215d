"""Embedding models: texts in, vectors out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from beam_distilabel.models.embeddings.base import Embeddings

if TYPE_CHECKING:
    from beam_distilabel.models.vllm.embeddings import vLLMEmbeddings

__all__ = ["Embeddings", "vLLMEmbeddings"]


def __getattr__(name: str) -> Any:
    # Loaded when it is asked for: its module imports the base class from here.
    if name != "vLLMEmbeddings":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from beam_distilabel.models.vllm.embeddings import vLLMEmbeddings

    return vLLMEmbeddings
