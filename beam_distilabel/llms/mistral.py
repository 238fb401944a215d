"""MistralLLM under the import path of distilabel 1.5."""

from beam_distilabel.models.mistral import MistralLLM

__all__ = ["MistralLLM"]
