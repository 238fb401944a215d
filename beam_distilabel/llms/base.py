"""The LLM base classes under the import path of distilabel 1.5."""

from beam_distilabel.models.base import LLM, AsyncLLM

__all__ = ["LLM", "AsyncLLM"]
