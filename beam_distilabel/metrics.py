"""Beam's metrics of what talks to a model: counters, and distributions of times and loads.

Runners show them where they can. The names are those of `COUNTERS` and `DISTRIBUTIONS`, in the
namespace `beam_distilabel`, and Beam adds the Step. Rollouts count on the engine's loop, where Beam
doesn't know which Step runs, so that what is new since the last time is published from the
runner's thread.
"""

from __future__ import annotations

import time
from typing import Any

from apache_beam.metrics import Metrics

from beam_distilabel.progress import StepProgress

NAMESPACE = "beam_distilabel"

COUNTERS = ("requests", "failures", "input_tokens", "output_tokens")
"""Counters of every Task; `failures_<kind>` come as kinds occur."""

ENGINE_COUNTERS = ("prefix_queries", "prefix_hits")
"""Counters of the engine, in tokens; of a shared engine each token counts for one Step."""

DISTRIBUTIONS = (
    "latency_ms",
    "first_token_ms",
    "running_requests",
    "waiting_requests",
    "kv_cache_percent",
)
"""`latency_ms` and `first_token_ms` have a value per request, the others one per
`SAMPLE_SECONDS`."""

THROTTLED = "cumulativeThrottlingSeconds"
"""The counter by which Beam tells a runner to start no more workers against a busy endpoint."""

SAMPLE_SECONDS = 0.5


class StepMetrics:
    """Publishes what is new of one Step in one copy of its DoFn.

    Args:
        progress: the Step's counts.
    """

    def __init__(self, progress: StepProgress) -> None:
        self._progress = progress
        self._engine: Any = None
        self._published = dict.fromkeys(COUNTERS, 0)
        self._published_kinds: dict[str, int] = {}
        self._counters = {name: Metrics.counter(NAMESPACE, name) for name in COUNTERS}
        self._engine_counters = {name: Metrics.counter(NAMESPACE, name) for name in ENGINE_COUNTERS}
        self._distributions = {
            name: Metrics.distribution(NAMESPACE, name) for name in DISTRIBUTIONS
        }
        self._throttled = Metrics.counter(NAMESPACE, THROTTLED)
        self._published_throttled = 0
        self._next_sample = 0.0

    def use(self, engine: Any) -> None:
        """Tell of `engine` too, which the Step asks from now on."""
        # What others of this process were held back before isn't this copy's.
        self._published_throttled = int(engine.throttled_seconds)
        self._engine = engine

    def publish(self, force: bool = False) -> None:
        """To be called on the runner's thread, while it processes a bundle.

        Args:
            force: whether to look at the engine's load though it isn't time.
        """
        progress, published = self._progress, self._published
        for name, counter in self._counters.items():
            count = getattr(progress, name)
            if count != published[name]:
                counter.inc(count - published[name])
                published[name] = count
        latency = self._distributions["latency_ms"]
        latencies = progress.latencies
        while latencies:
            latency.update(int(latencies.popleft() * 1000))
        now = time.monotonic()
        if force or now >= self._next_sample:
            self._next_sample = now + SAMPLE_SECONDS
            self._sample()

    def _sample(self) -> None:
        for kind, count in list(self._progress.kinds.items()):
            new = count - self._published_kinds.get(kind, 0)
            if new:
                Metrics.counter(NAMESPACE, f"failures_{kind}").inc(new)
                self._published_kinds[kind] = count
        if self._engine is None:
            return
        throttled = int(self._engine.throttled_seconds)
        if throttled > self._published_throttled:
            self._throttled.inc(throttled - self._published_throttled)
            self._published_throttled = throttled
        statistics = self._engine.statistics
        if statistics is None:
            return
        for name, value in (
            ("running_requests", statistics.running),
            ("waiting_requests", statistics.waiting),
            ("kv_cache_percent", round(100 * statistics.kv_cache_usage)),
        ):
            self._distributions[name].update(value)
        for name, new in statistics.take_new().items():
            if new:
                self._engine_counters[name].inc(new)
        first_token = self._distributions["first_token_ms"]
        for seconds in statistics.take_first_token_seconds():
            first_token.update(int(seconds * 1000))
