"""OpenAILLM under the import path of distilabel 1.5."""

from beam_distilabel.models.openai import OpenAILLM

__all__ = ["OpenAILLM"]
