"""VertexAILLM under the import path of distilabel 1.5."""

from beam_distilabel.models.vertexai import VertexAILLM

__all__ = ["VertexAILLM"]
