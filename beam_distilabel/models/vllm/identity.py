"""Which of vLLM's arguments decide what is answered, and which only how the engine runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

_PREFIXES = (
    "all2all_",
    "cpu_offload",
    "cudagraph_",
    "data_parallel_",
    "dbo_",
    "dcp_",
    "disable_log_",
    "enable_log",
    "eplb_",
    "kv_cache_memory",
    "kv_cache_metrics",
    "kv_offloading_",
    "log_",
    "logging_",
    "max_num_",
    "mm_processor_cache_",
    "numa_",
    "offload_",
    "otlp_",
    "prefix_ca",
    "safetensors_",
)
_NAMES = frozenset(
    """
    aggregate_engine_logging async_scheduling block_size collect_detailed_traces
    cpu_distributed_timeout_seconds decode_context_parallel_size device_ids
    disable_chunked_mm_input disable_custom_all_reduce disable_hybrid_kv_cache_manager
    distributed_executor_backend distributed_timeout_seconds download_dir
    enable_chunked_prefill enable_dbo enable_eplb enable_expert_parallel enable_prefix_caching
    enable_sleep_mode enforce_eager fully_sharded_loras gpu_memory_utilization hf_token
    long_prefill_token_threshold master_addr master_port max_cpu_loras
    max_cudagraph_capture_size max_loras max_parallel_loading_workers nnodes node_rank
    num_gpu_blocks_override nnodes_within_dp pipeline_parallel_size
    prefill_context_parallel_size ray_workers_use_nsight renderer_num_workers scheduling_policy
    show_hidden_metrics_for_version skip_mm_profiling stream_interval swap_space
    tensor_parallel_size ubatch_size use_tqdm_on_load
    """.split()
)


def of_answers(extra_kwargs: Mapping[str, Any] | None) -> dict[str, Any]:
    """The entries of `extra_kwargs` that an answer may depend on; what isn't known does.

    Example:
        >>> of_answers({"tensor_parallel_size": 2, "max_model_len": 512, "max_num_seqs": 8})
        {'max_model_len': 512}
    """
    return {
        name: value
        for name, value in (extra_kwargs or {}).items()
        if name not in _NAMES and not name.startswith(_PREFIXES)
    }


def text_of_file(template: str | None) -> str | None:
    """A chat template itself, where `template` is the path of a file with one."""
    if template is None or "\n" in template or "{" in template:
        return template
    try:
        return Path(template).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return template
