"""LLMs under distilabel's short import path."""

from beam_distilabel.models.llms import (
    LLM,
    AnyscaleLLM,
    AsyncLLM,
    AzureOpenAILLM,
    ClientvLLM,
    GenerateOutput,
    OpenAILLM,
    TogetherLLM,
    vLLM,
)

__all__ = [
    "LLM",
    "AnyscaleLLM",
    "AsyncLLM",
    "AzureOpenAILLM",
    "ClientvLLM",
    "GenerateOutput",
    "OpenAILLM",
    "TogetherLLM",
    "vLLM",
]
