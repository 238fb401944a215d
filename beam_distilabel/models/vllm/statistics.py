"""vLLM's own statistics of its scheduler, without its Prometheus registry."""

from __future__ import annotations

from typing import Any

from beam_distilabel.models.statistics import EngineStatistics


def statistics_logger(statistics: EngineStatistics) -> type:
    """A class for `AsyncLLM`'s `stat_loggers` whose object keeps `statistics` up to date."""
    from vllm.v1.metrics.loggers import PrometheusStatLogger

    # vLLM adds its Prometheus logger, of which a process can have but one and which costs time,
    # unless a logger is derived of it. This one inherits the name alone.
    class StatisticsLogger(PrometheusStatLogger):  # type: ignore[misc]  # mypy skips vllm
        def __init__(self, vllm_config: Any, engine_indexes: list[int]) -> None:
            del vllm_config, engine_indexes
            self._loads: dict[int, Any] = {}

        def record(
            self,
            scheduler_stats: Any,
            iteration_stats: Any,
            mm_cache_stats: Any = None,
            engine_idx: int = 0,
        ) -> None:
            del mm_cache_stats
            if scheduler_stats is not None:
                prefix = scheduler_stats.prefix_cache_stats
                statistics.prefix_queries += prefix.queries
                statistics.prefix_hits += prefix.hits
                # With data parallelism every engine core tells of itself.
                self._loads[engine_idx] = scheduler_stats
                loads = self._loads.values()
                statistics.scheduled(
                    running=sum(load.num_running_reqs for load in loads),
                    waiting=sum(load.num_waiting_reqs for load in loads),
                    kv_cache_usage=max(load.kv_cache_usage for load in loads),
                )
            if iteration_stats is not None:
                for seconds in iteration_stats.time_to_first_tokens_iter:
                    statistics.first_token(seconds)

        def record_admission_rejection(self, reason: str) -> None:
            """Requests that are refused are counted where they are asked."""

        def log_engine_initialized(self) -> None:
            """Nothing to say."""

        def log(self) -> None:
            """Nothing to say."""

        def record_sleep_state(self, sleep: int = 0, level: int = 0) -> None:
            """Engines here don't sleep."""

    return StatisticsLogger


def of_scheduler_only(llm: Any) -> None:
    """Let an `AsyncLLM` that was just made keep no statistics of tokens.

    vLLM's bookkeeping for every token takes a third of what its host process does; the times to
    the first token are lost with it.
    """
    handler, llm.output_handler = llm.output_handler, None
    if handler is not None:
        handler.cancel()
    llm.log_stats = llm.output_processor.log_stats = False
    llm._run_output_handler()
