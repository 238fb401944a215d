"""LLMs under distilabel's short import path."""

from beam_distilabel.models.llms import LLM, AsyncLLM, GenerateOutput, vLLM

__all__ = ["LLM", "AsyncLLM", "GenerateOutput", "vLLM"]
