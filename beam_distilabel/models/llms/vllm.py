"""vLLM and its client under the import path of distilabel 1.5."""

from beam_distilabel.models.vllm import vLLM
from beam_distilabel.models.vllm.client import ClientvLLM

__all__ = ["ClientvLLM", "vLLM"]
