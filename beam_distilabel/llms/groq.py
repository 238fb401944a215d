"""GroqLLM under the import path of distilabel 1.5."""

from beam_distilabel.models.groq import GroqLLM

__all__ = ["GroqLLM"]
