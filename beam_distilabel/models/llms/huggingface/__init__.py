"""LLMs of Hugging Face under the import path of distilabel 1.5."""

from beam_distilabel.models.inference_endpoints import InferenceEndpointsLLM
from beam_distilabel.models.transformers import TransformersLLM

__all__ = ["InferenceEndpointsLLM", "TransformersLLM"]
