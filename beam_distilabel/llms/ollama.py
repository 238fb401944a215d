"""OllamaLLM under the import path of distilabel 1.5."""

from beam_distilabel.models.ollama import OllamaLLM

__all__ = ["OllamaLLM"]
