"""Embedding models: texts in, vectors out."""

from beam_distilabel.models.embeddings.base import Embeddings
from beam_distilabel.models.vllm.embeddings import vLLMEmbeddings

__all__ = ["Embeddings", "vLLMEmbeddings"]
