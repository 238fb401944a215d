"""What an engine tells of itself while it works, for metrics and the report."""

from __future__ import annotations

import dataclasses
from collections import deque


@dataclasses.dataclass(slots=True)
class EngineStatistics:
    """Written on the engine's loop, read by any thread.

    Attributes:
        running: requests that are being answered.
        waiting: requests that wait for a slot.
        kv_cache_usage: the part of the KV cache that is in use, 0 to 1.
        prefix_queries: tokens of prompts looked up in the prefix cache, since the start.
        prefix_hits: those of them that were found.
        first_token_seconds: from request to first token, of the latest requests; a reader takes
            them out.
    """

    running: int = 0
    waiting: int = 0
    kv_cache_usage: float = 0.0
    prefix_queries: int = 0
    prefix_hits: int = 0
    first_token_seconds: deque[float] = dataclasses.field(
        default_factory=lambda: deque(maxlen=10_000)
    )
