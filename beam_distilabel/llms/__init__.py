"""LLMs under distilabel's short import path."""

from beam_distilabel.models.llms import (
    LLM,
    AnthropicLLM,
    AnyscaleLLM,
    AsyncLLM,
    AzureOpenAILLM,
    ClientvLLM,
    CohereLLM,
    GenerateOutput,
    GroqLLM,
    LiteLLM,
    MistralLLM,
    OpenAILLM,
    TogetherLLM,
    VertexAILLM,
    vLLM,
)

__all__ = [
    "LLM",
    "AnthropicLLM",
    "AnyscaleLLM",
    "AsyncLLM",
    "AzureOpenAILLM",
    "ClientvLLM",
    "CohereLLM",
    "GenerateOutput",
    "GroqLLM",
    "LiteLLM",
    "MistralLLM",
    "OpenAILLM",
    "TogetherLLM",
    "VertexAILLM",
    "vLLM",
]
