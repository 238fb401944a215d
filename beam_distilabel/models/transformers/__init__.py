"""The `TransformersLLM` language model."""

from beam_distilabel.models.transformers.llm import TransformersLLM

__all__ = ["TransformersLLM"]
