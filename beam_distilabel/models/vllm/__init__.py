"""vLLM: in the worker's process, as a server of the host, or at an address."""

from beam_distilabel.models.vllm.llm import vLLM

__all__ = ["vLLM"]
