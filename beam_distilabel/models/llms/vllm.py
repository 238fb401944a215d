"""vLLM and its client under the import path of distilabel 1.5."""

from beam_distilabel.models.client_vllm import ClientvLLM
from beam_distilabel.models.vllm import vLLM

__all__ = ["ClientvLLM", "vLLM"]
