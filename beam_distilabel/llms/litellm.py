"""LiteLLM under the import path of distilabel 1.5."""

from beam_distilabel.models.litellm import LiteLLM

__all__ = ["LiteLLM"]
