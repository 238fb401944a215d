"""A step of vLLM that takes time and no CPU, as on a GPU; runs in vLLM's own process."""

from __future__ import annotations

import os
import time
from typing import Any

from vllm.v1.sample.logits_processor import LogitsProcessor

STEP_VARIABLE = "BENCHMARK_STEP_SECONDS"
"""The environment variable with the seconds that a step sleeps; read when the engine starts."""


class SlowSteps(LogitsProcessor):  # type: ignore[misc]
    """Changes nothing, and sleeps once per step."""

    def __init__(self, vllm_config: Any, device: Any, is_pin_memory: bool) -> None:
        del vllm_config, device, is_pin_memory
        self._seconds = float(os.environ[STEP_VARIABLE])

    def is_argmax_invariant(self) -> bool:
        return False  # what is may be left out where all requests are greedy

    def update_state(self, batch_update: Any) -> None:
        """There is no state."""

    def apply(self, logits: Any) -> Any:
        time.sleep(self._seconds)
        return logits
