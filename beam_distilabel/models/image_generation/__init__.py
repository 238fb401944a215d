"""Models that make images of prompts."""

from beam_distilabel.models.image_generation.base import (
    AsyncImageGenerationModel,
    ImageGenerationModel,
)
from beam_distilabel.models.image_generation.huggingface.inference_endpoints import (
    InferenceEndpointsImageGeneration,
)
from beam_distilabel.models.image_generation.openai import OpenAIImageGeneration

__all__ = [
    "AsyncImageGenerationModel",
    "ImageGenerationModel",
    "InferenceEndpointsImageGeneration",
    "OpenAIImageGeneration",
]
