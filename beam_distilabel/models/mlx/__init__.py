"""The `MlxLLM` language model."""

from beam_distilabel.models.mlx.llm import MlxLLM

__all__ = ["MlxLLM"]
