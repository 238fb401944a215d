"""How long a generator and a judge take in one chain on two real vLLM engines, on one worker.

    python benchmarks/chain.py [--tokens 65536] [--slots 64] [--step-seconds 0.03] [--rounds 3]

The chain is `rows | generate | judge`; the judge is asked about what the generator wrote. Both are
tiny models with random weights and answers of 8 to 512 tokens, log-normal. The base is the slower
of the two alone, and that depends on what an engine waits for, so two kinds are measured:

- `device`: each of vLLM's steps sleeps, as if a GPU computed. Two such engines don't hinder one
  another, like two on two GPUs: the chain shows how well both are kept busy.
- `cpu`: steps compute on this machine's cores, which both engines and the pipeline share. The chain
  can't be faster than the CPU time of both over the cores, whatever feeds them, so the base is the
  larger one of that and the slower one alone; both ratios are given.

`feeding.py` asks the same about engines that only sleep, with Beam's RunInference as the peer. The
last line is one JSON object.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apache_beam as beam
import psutil
from engines import (
    Row,
    SizedGeneration,
    counted_tokens,
    make_workload,
    our_llm,
    varying_length,
)
from rounds import print_result, spread
from slow_steps import STEP_VARIABLE

from tests.tiny_model import make_tiny_model

RATIO_ALLOWED = 1.15
KINDS = ("device", "cpu")


class Chain:
    """The two models, and the ways to run them."""

    def __init__(self, folder: Path, kind: str, options: argparse.Namespace) -> None:
        engine: dict[str, Any] = {}
        if kind == "device":
            os.environ[STEP_VARIABLE] = str(options.step_seconds)
            # Else OpenMP's threads spin while the step sleeps: a core per engine that computes
            # nothing, where a GPU would leave the host alone.
            os.environ.update(OMP_WAIT_POLICY="PASSIVE", GOMP_SPINCOUNT="0", KMP_BLOCKTIME="0")
            engine = {"logits_processors": ["slow_steps:SlowSteps"]}
        self.llms = {
            name: our_llm(str(make_tiny_model(folder / kind / name)), options.slots, **engine)
            for name in ("generator", "judge")
        }
        draw = random.Random(1)
        self.rows: list[Row] = [
            {**row, "judge_tokens": varying_length(draw)}
            for row in make_workload("varying", options.tokens, options.slots).rows
        ]
        self.generated: list[Row] = []

    def load(self) -> None:
        """Start both engines, and let the generator write what the judge alone is asked about."""
        for llm in self.llms.values():
            llm.load()
        self.generated = self.rows | self.generate()

    def unload(self) -> None:
        for llm in self.llms.values():
            llm.unload()

    def generate(self) -> SizedGeneration:
        return SizedGeneration(name="generate", llm=self.llms["generator"])

    def judge(self) -> SizedGeneration:
        return SizedGeneration(
            name="judge",
            llm=self.llms["judge"],
            input_mappings={"instruction": "generation", "new_tokens": "judge_tokens"},
            output_mappings={"generation": "judgement"},
        )

    def run(self, rows: list[Row], *tasks: Callable[[], Any]) -> tuple[float, float]:
        """Seconds of a pipeline of `tasks` over `rows`, and the CPU time of all its processes."""
        used = self._cpu_seconds()
        began = time.perf_counter()
        pipeline = beam.Pipeline()
        done: Any = pipeline | beam.Create(rows)
        for make in tasks:
            done = done | make()
        _ = done | "Count" >> beam.Map(_count_row)
        result = pipeline.run()
        result.wait_until_finish()
        seconds = time.perf_counter() - began
        if counted_tokens(result) != len(rows):
            raise RuntimeError(f"{counted_tokens(result)} rows came out, {len(rows)} went in")
        return seconds, self._cpu_seconds() - used

    def _cpu_seconds(self) -> float:
        engines: list[Any] = [llm._engine for llm in self.llms.values()]
        pids = [os.getpid(), *(pid for engine in engines for pid in engine.process_ids())]
        times = [psutil.Process(pid).cpu_times() for pid in set(pids)]
        return sum(spent.user + spent.system for spent in times)


def _count_row(row: Row) -> None:
    del row
    beam.metrics.Metrics.counter("benchmark", "tokens").inc()


def measure(kind: str, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """All ways with engines of one kind, in turns; the first round is discarded."""
    chain = Chain(folder, kind, options)
    ways: dict[str, Callable[[], tuple[float, float]]] = {
        "generator alone": lambda: chain.run(chain.rows, chain.generate),
        "judge alone": lambda: chain.run(chain.generated, chain.judge),
        "chain": lambda: chain.run(chain.rows, chain.generate, chain.judge),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    cpu: dict[str, list[float]] = {name: [] for name in ways}
    try:
        chain.load()
        for number in range(options.rounds + 1):
            for name, way in ways.items():
                took, used = way()
                print(f"{kind}, {number or 'warm-up'}: {name}: {took:.2f} s, {used:.2f} s of CPU")
                if number:
                    seconds[name].append(took)
                    cpu[name].append(used)
    finally:
        chain.unload()
    return compare(kind, seconds, cpu)


def compare(
    kind: str, seconds: dict[str, list[float]], cpu: dict[str, list[float]]
) -> dict[str, Any]:
    """Print the table of one kind; the same for the JSON line."""
    cores = len(os.sched_getaffinity(0))
    rounds = range(len(seconds["chain"]))
    slower = [max(seconds["generator alone"][i], seconds["judge alone"][i]) for i in rounds]
    shared = [(cpu["generator alone"][i] + cpu["judge alone"][i]) / cores for i in rounds]
    bases = {
        "slower alone": slower,
        "CPU time of both / cores": shared,
        "larger of the two": [max(slower[i], shared[i]) for i in rounds],
    }
    print(f"\n{kind:30}{'seconds':>9}{'chain / it':>12}   min to max")
    result: dict[str, Any] = {}
    for name, values in {**seconds, **bases}.items():
        result[f"{name}, seconds"] = round(statistics.median(values), 2)
        line = f"{name:30}{result[f'{name}, seconds']:9.2f}"
        if name in bases:
            ratio = spread([seconds["chain"][i] / values[i] for i in rounds])
            result[f"chain / {name}"] = ratio
            line += f"{ratio['median']:12.3f}   {ratio['min']} to {ratio['max']}"
        print(line)
    base = "slower alone" if kind == "device" else "larger of the two"
    print(f"The chain may take {RATIO_ALLOWED} times the {base}.", flush=True)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--tokens", type=int, default=65_536, help="of the generator")
    parser.add_argument("--slots", type=int, default=64)
    parser.add_argument("--step-seconds", type=float, default=0.03, help="of `device`")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = {kind: measure(kind, Path(folder), options) for kind in options.kinds}
    print_result(
        {
            "tokens": options.tokens,
            "slots": options.slots,
            "step_seconds": options.step_seconds,
            "rounds": options.rounds,
            "ratio_allowed": RATIO_ALLOWED,
            **results,
        }
    )


if __name__ == "__main__":
    main()
