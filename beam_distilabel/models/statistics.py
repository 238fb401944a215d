"""What an engine tells of itself while it works, for metrics and the report."""

from __future__ import annotations

import os
import socket
import threading
import uuid
from collections import deque
from collections.abc import Mapping
from typing import Any


class EngineStatistics:
    """Kept up to date on the engine's loop, read by any thread.

    Attributes:
        name: of the engine, unlike any other's.
        restarts: how often the engine died and was started anew.
        running: requests that are being answered.
        waiting: requests that wait for a slot.
        kv_cache_usage: the part of the KV cache that is in use, 0 to 1.
        peak_kv_cache_usage: the greatest part since the start.
        prefix_queries: tokens of prompts looked up in the prefix cache, since the start.
        prefix_hits: those of them that were found.
        first_tokens: requests whose first token's time is known, since the start.
        first_token_seconds: the sum of their times from request to first token.
    """

    def __init__(self) -> None:
        self.name = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self.restarts = 0
        self.running = 0
        self.waiting = 0
        self.kv_cache_usage = 0.0
        self.peak_kv_cache_usage = 0.0
        self.prefix_queries = 0
        self.prefix_hits = 0
        self.first_tokens = 0
        self.first_token_seconds = 0.0
        self._steps = 0
        self._running_sum = 0
        self._taking = threading.Lock()
        self._taken = {"prefix_queries": 0, "prefix_hits": 0}
        self._first_token_times: deque[float] = deque(maxlen=10_000)

    def scheduled(self, running: int, waiting: int, kv_cache_usage: float) -> None:
        """Note the load at one of the engine's steps."""
        self.running = running
        self.waiting = waiting
        self.kv_cache_usage = kv_cache_usage
        if kv_cache_usage > self.peak_kv_cache_usage:
            self.peak_kv_cache_usage = kv_cache_usage
        if running:
            self._steps += 1
            self._running_sum += running

    def first_token(self, seconds: float) -> None:
        """Note a request's time to its first token."""
        self.first_tokens += 1
        self.first_token_seconds += seconds
        self._first_token_times.append(seconds)

    @property
    def mean_running(self) -> float:
        """The mean number of running requests over the steps that had any."""
        return self._running_sum / self._steps if self._steps else 0.0

    def take_new(self) -> dict[str, int]:
        """The tokens of the prefix cache since the last call; each one is given once."""
        with self._taking:
            now = {name: getattr(self, name) for name in self._taken}
            new = {name: now[name] - self._taken[name] for name in now}
            self._taken = now
        return new

    def take_first_token_seconds(self) -> list[float]:
        """The times since the last call; each one is given once."""
        with self._taking:
            times = self._first_token_times
            return [times.popleft() for _ in range(len(times))]

    def summary(self) -> dict[str, Any]:
        """For progress records and the report."""
        return {
            "restarts": self.restarts,
            "running": self.running,
            "waiting": self.waiting,
            "mean_running": round(self.mean_running, 1),
            "kv_cache_usage": round(self.kv_cache_usage, 4),
            "peak_kv_cache_usage": round(self.peak_kv_cache_usage, 4),
            "prefix_queries": self.prefix_queries,
            "prefix_hits": self.prefix_hits,
            "first_tokens": self.first_tokens,
            "first_token_seconds": round(self.first_token_seconds, 3),
        }


class MirroredStatistics(EngineStatistics):
    """The statistics of an engine in another process, as it tells them.

    Its tokens are counted where it runs: several processes may mirror it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._told: dict[str, Any] = super().summary()

    def tell(self, name: str, summary: Mapping[str, Any]) -> None:
        """Take over what the engine called `name` tells (its `summary`)."""
        self.name = name
        self._told = dict(summary)
        self.running = summary["running"]
        self.waiting = summary["waiting"]
        self.kv_cache_usage = summary["kv_cache_usage"]

    def summary(self) -> dict[str, Any]:
        return self._told
