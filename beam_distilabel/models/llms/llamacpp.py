"""LlamaCppLLM under the import path of distilabel 1.5."""

from beam_distilabel.models.llamacpp import LlamaCppLLM

__all__ = ["LlamaCppLLM"]
