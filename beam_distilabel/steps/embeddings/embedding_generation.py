"""EmbeddingGeneration under distilabel's import path."""

from beam_distilabel.transforms.embeddings.embedding_generation import EmbeddingGeneration

__all__ = ["EmbeddingGeneration"]
