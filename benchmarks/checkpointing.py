"""What does it cost to keep the answers?

One Task, alone in a Beam pipeline, with a checkpoint and without one by turns:

- paced: its model answers 1,000 rows/s, so what counts is how much longer it takes;
- full speed: its model answers at once.

`cpu` is the time that the process computed, per row. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import tempfile
import time
from typing import Any

import apache_beam as beam
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from beam_distilabel.checkpoint import CheckpointSettings
from beam_distilabel.context import RunContext
from beam_distilabel.llms import AsyncLLM
from beam_distilabel.pipeline.garbage import rare_collections
from beam_distilabel.progress import forget
from beam_distilabel.steps.tasks import TextGeneration

ROWS_PER_SECOND = 1_000
PERCENT_WANTED = 5.0
ANSWER = " ".join(f"{i * 7919 % 10007:x}" for i in range(200))


class Paced(AsyncLLM):
    """Answers so many prompts a second; 0 for as many as come."""

    rate: int = 0
    _begun: float | None = None
    _count: int = 0

    @property
    def model_name(self) -> str:
        return "paced"

    async def agenerate(self, input: Any, num_generations: int = 1) -> Any:  # type: ignore[override]
        if self.rate:
            now = time.perf_counter()
            if self._begun is None:
                self._begun = now
            self._count += 1
            await asyncio.sleep(max(0.0, self._begun + self._count / self.rate - now))
        return {
            "generations": [f"{ANSWER} {input[-1]['content']}"],
            "statistics": {"input_tokens": [9], "output_tokens": [200]},
        }


def measure(rate: int, count: int, kept: bool) -> tuple[float, float]:
    """(seconds, microseconds of CPU per row) of one run."""
    rows = [{"instruction": f"Question {i}: why is {i} what it is?"} for i in range(count)]
    task: Any = TextGeneration(name="generate", llm=Paced(rate=rate))
    with tempfile.TemporaryDirectory() as folder:
        task._context = RunContext(folder, checkpoint=CheckpointSettings() if kept else None)
        wall, cpu = time.perf_counter(), time.process_time()
        with rare_collections(), beam.Pipeline(runner=FnApiRunner()) as pipeline:
            _ = pipeline | beam.Create(rows, reshuffle=False) | task | beam.Map(lambda row: None)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        forget(folder)
    return wall, cpu / count * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    results: dict[str, Any] = {}
    measure(0, 100, True)
    for name, rate in (("paced", ROWS_PER_SECOND), ("full speed", 0)):
        taken: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
        for turn in range(options.rounds):
            for kept in (turn % 2 == 0, turn % 2 == 1):
                taken[kept].append(measure(rate, options.rows, kept))
        seconds = {kept: statistics.median(t for t, _ in runs) for kept, runs in taken.items()}
        cpu = {kept: statistics.median(c for _, c in runs) for kept, runs in taken.items()}
        results[name] = {
            "percent_longer": round(100 * (seconds[True] / seconds[False] - 1), 2),
            "rows_per_second": round(options.rows / seconds[True]),
            "rows_per_second_without": round(options.rows / seconds[False]),
            "cpu_us_per_row": round(cpu[True], 1),
            "cpu_us_per_row_without": round(cpu[False], 1),
        }
        print(f"{name}: {results[name]}", flush=True)
    print(f"Wanted, paced: {PERCENT_WANTED} % longer at most.")
    print(
        json.dumps(
            {
                "cpus": os.cpu_count(),
                "load_average": round(os.getloadavg()[0], 2),
                "rows": options.rows,
                "rounds": options.rounds,
                "percent_wanted": PERCENT_WANTED,
                "ways": results,
            }
        )
    )


if __name__ == "__main__":
    main()
