"""Models: LLMs, embeddings, image generation; one module per engine family.

The names below are loaded when they are asked for, since `models.base` is imported by the modules
that define them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from beam_distilabel.models.anthropic import AnthropicLLM
    from beam_distilabel.models.base import LLM, AsyncLLM
    from beam_distilabel.models.cohere import CohereLLM
    from beam_distilabel.models.embeddings import Embeddings, vLLMEmbeddings
    from beam_distilabel.models.groq import GroqLLM
    from beam_distilabel.models.image_generation import (
        AsyncImageGenerationModel,
        ImageGenerationModel,
        InferenceEndpointsImageGeneration,
        OpenAIImageGeneration,
    )
    from beam_distilabel.models.inference_endpoints import InferenceEndpointsLLM
    from beam_distilabel.models.litellm import LiteLLM
    from beam_distilabel.models.llamacpp import LlamaCppLLM
    from beam_distilabel.models.llms.typing import GenerateOutput, HiddenState
    from beam_distilabel.models.mistral import MistralLLM
    from beam_distilabel.models.mixins.cuda_device_placement import CudaDevicePlacementMixin
    from beam_distilabel.models.mixture_of_agents import MixtureOfAgentsLLM
    from beam_distilabel.models.mlx import MlxLLM
    from beam_distilabel.models.ollama import OllamaLLM
    from beam_distilabel.models.openai import OpenAILLM
    from beam_distilabel.models.openai.anyscale import AnyscaleLLM
    from beam_distilabel.models.openai.azure import AzureOpenAILLM
    from beam_distilabel.models.openai.together import TogetherLLM
    from beam_distilabel.models.transformers import TransformersLLM
    from beam_distilabel.models.vertexai import VertexAILLM
    from beam_distilabel.models.vllm import vLLM
    from beam_distilabel.models.vllm.client import ClientvLLM

_MODULES = {
    "LLM": "base",
    "AnyscaleLLM": "openai.anyscale",
    "AsyncLLM": "base",
    "AzureOpenAILLM": "openai.azure",
    "ClientvLLM": "vllm.client",
    "CudaDevicePlacementMixin": "mixins.cuda_device_placement",
    "Embeddings": "embeddings",
    "GenerateOutput": "llms.typing",
    "HiddenState": "llms.typing",
    "OpenAILLM": "openai",
    "TogetherLLM": "openai.together",
    "AnthropicLLM": "anthropic",
    "CohereLLM": "cohere",
    "GroqLLM": "groq",
    "LiteLLM": "litellm",
    "MistralLLM": "mistral",
    "VertexAILLM": "vertexai",
    "AsyncImageGenerationModel": "image_generation",
    "ImageGenerationModel": "image_generation",
    "InferenceEndpointsImageGeneration": "image_generation",
    "OpenAIImageGeneration": "image_generation",
    "TransformersLLM": "transformers",
    "LlamaCppLLM": "llamacpp",
    "MlxLLM": "mlx",
    "MixtureOfAgentsLLM": "mixture_of_agents",
    "InferenceEndpointsLLM": "inference_endpoints",
    "OllamaLLM": "ollama",
    "vLLM": "vllm",
    "vLLMEmbeddings": "embeddings",
}

__all__ = [
    "LLM",
    "AnthropicLLM",
    "AnyscaleLLM",
    "AsyncImageGenerationModel",
    "AsyncLLM",
    "AzureOpenAILLM",
    "ClientvLLM",
    "CohereLLM",
    "CudaDevicePlacementMixin",
    "Embeddings",
    "GenerateOutput",
    "GroqLLM",
    "HiddenState",
    "ImageGenerationModel",
    "InferenceEndpointsImageGeneration",
    "InferenceEndpointsLLM",
    "LiteLLM",
    "LlamaCppLLM",
    "MistralLLM",
    "MixtureOfAgentsLLM",
    "MlxLLM",
    "OllamaLLM",
    "OpenAIImageGeneration",
    "OpenAILLM",
    "TogetherLLM",
    "TransformersLLM",
    "VertexAILLM",
    "vLLM",
    "vLLMEmbeddings",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
