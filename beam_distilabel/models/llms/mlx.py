"""MlxLLM under the import path of distilabel 1.5."""

from beam_distilabel.models.mlx import MlxLLM

__all__ = ["MlxLLM"]
