"""TransformersLLM under the import path of distilabel 1.5."""

from beam_distilabel.models.transformers import TransformersLLM

__all__ = ["TransformersLLM"]
