"""LLMs under the import path of distilabel 1.5."""

from beam_distilabel.models.base import LLM, AsyncLLM
from beam_distilabel.models.vllm import vLLM
from beam_distilabel.typing import GenerateOutput

__all__ = ["LLM", "AsyncLLM", "GenerateOutput", "vLLM"]
