"""LLMs under the import path of distilabel 1.5."""

from beam_distilabel.models.anthropic import AnthropicLLM
from beam_distilabel.models.base import LLM, AsyncLLM
from beam_distilabel.models.cohere import CohereLLM
from beam_distilabel.models.groq import GroqLLM
from beam_distilabel.models.inference_endpoints import InferenceEndpointsLLM
from beam_distilabel.models.litellm import LiteLLM
from beam_distilabel.models.llamacpp import LlamaCppLLM
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
from beam_distilabel.typing import GenerateOutput, HiddenState

__all__ = [
    "LLM",
    "AnthropicLLM",
    "AnyscaleLLM",
    "AsyncLLM",
    "AzureOpenAILLM",
    "ClientvLLM",
    "CohereLLM",
    "CudaDevicePlacementMixin",
    "GenerateOutput",
    "GroqLLM",
    "HiddenState",
    "InferenceEndpointsLLM",
    "LiteLLM",
    "LlamaCppLLM",
    "MistralLLM",
    "MixtureOfAgentsLLM",
    "MlxLLM",
    "OllamaLLM",
    "OpenAILLM",
    "TogetherLLM",
    "TransformersLLM",
    "VertexAILLM",
    "vLLM",
]
