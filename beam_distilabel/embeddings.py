"""Embedding models under distilabel's older import path."""

from beam_distilabel.models.embeddings import Embeddings, vLLMEmbeddings

__all__ = ["Embeddings", "vLLMEmbeddings"]
