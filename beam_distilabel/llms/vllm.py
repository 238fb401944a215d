"""vLLM under the import path of distilabel 1.5."""

from beam_distilabel.models.vllm import vLLM

__all__ = ["vLLM"]
