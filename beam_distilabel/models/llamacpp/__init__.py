"""The `LlamaCppLLM` language model."""

from beam_distilabel.models.llamacpp.llm import LlamaCppLLM

__all__ = ["LlamaCppLLM"]
