"""CohereLLM under the import path of distilabel 1.5."""

from beam_distilabel.models.cohere import CohereLLM

__all__ = ["CohereLLM"]
