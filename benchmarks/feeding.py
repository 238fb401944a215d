"""How well a generator and a judge in one chain keep two engines busy, on one worker.

    python benchmarks/feeding.py [--rows 4096] [--slots 64] [--mean-seconds 0.1] [--no-stock]

Each engine has slots: an answer takes one for as long as it lasts, the others wait. Answers last
differently: log-normal, cut off at 8 times the mean, and drawn from the prompt's hash, so every way
of running the chain has the same work to do. Nothing is computed, so the wall time tells how well
the slots were used.

Measured are the generator alone, the judge alone, their chain, and the same chain by Beam's own
RunInference in batches. The base is the slower of the two alone. Times are of whole runs, result
files included; `working` leaves out what comes before the first Step is ready and after the last
row is out. `ideal` is the work of the slower model over its slots, which nothing can undercut. The
last line is one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import hashlib
import json
import os
import random
import tempfile
import time
from collections.abc import Callable
from typing import Any

import apache_beam as beam
from apache_beam.ml.inference.base import PredictionResult, RunInference

from beam_distilabel.models.base import LLM
from beam_distilabel.models.engine import Engine, GenerateRequest
from beam_distilabel.pipeline import Pipeline
from beam_distilabel.runners import choose_runner
from beam_distilabel.steps import LoadDataFromDicts
from beam_distilabel.steps.tasks import PrometheusEval, TextGeneration
from beam_distilabel.typing import GenerateOutput

Row = dict[str, Any]

SPREAD = 0.8
"""The standard deviation of the logarithm of an answer's length."""

LONGEST = 8.0
"""The longest answer, in means: what a limit of tokens does."""

RATIO_ALLOWED = 1.3


def seconds_of(chat: Any, mean: float) -> float:
    """How long the answer to `chat` lasts."""
    digest = hashlib.blake2b(json.dumps(chat).encode(), digest_size=8).digest()
    length = random.Random(digest).lognormvariate(-(SPREAD**2) / 2, SPREAD)
    return mean * min(length, LONGEST)


class SlotEngine(Engine):
    """Answers as many requests at once as it has slots."""

    def __init__(self, llm: SlotLLM) -> None:
        super().__init__()
        self._llm = llm
        self.description = f"{llm.slots} slots"

    async def start(self) -> None:
        self._slots = asyncio.Semaphore(self._llm.slots)

    async def generate(self, request: GenerateRequest) -> GenerateOutput:
        async with self._slots:
            await asyncio.sleep(seconds_of(request.input, self._llm.mean_seconds))
        return {"generations": [self._llm.answer] * request.num_generations}  # type: ignore[typeddict-item]


class SlotLLM(LLM):
    """A model that answers the same to every prompt, after a while."""

    label: str
    answer: str
    slots: int
    mean_seconds: float
    stock_batch: int = 64

    @property
    def model_name(self) -> str:
        return self.label

    def make_engine(self) -> Engine:
        return SlotEngine(self)

    def batch_elements_kwargs(self) -> dict[str, Any]:
        return {"min_batch_size": self.stock_batch, "max_batch_size": self.stock_batch}


class Chain:
    """The two models, the rows, and the ways to run them."""

    def __init__(self, rows: int, slots: int, mean_seconds: float) -> None:
        shared = {"slots": slots, "mean_seconds": mean_seconds}
        self.generator = SlotLLM(label="generator", answer="It is so.", **shared)
        self.judge = SlotLLM(label="judge", answer="Feedback: Right. [RESULT] 5", **shared)
        self.rows: list[Row] = [{"instruction": f"Question {i}?"} for i in range(rows)]
        self.generated = [{**row, "generation": self.generator.answer} for row in self.rows]

    def generate(self) -> TextGeneration:
        return TextGeneration(name="generate", llm=self.generator)

    def grade(self) -> PrometheusEval:
        return PrometheusEval(
            name="grade", llm=self.judge, mode="absolute", rubric="factual-validity"
        )

    def ideal_seconds(self) -> float:
        """The work of the slower model over its slots."""
        works = (
            sum(seconds_of(task.format_input(row), task.llm.mean_seconds) for row in rows)
            for task, rows in ((self.generate(), self.rows), (self.grade(), self.generated))
        )
        return max(works) / self.judge.slots

    def run(self, data: list[Row], *tasks: Callable[[], Any]) -> tuple[float, float]:
        """Seconds of a pipeline of `tasks` over `data`, and how many of them its Steps worked."""
        with Pipeline(name="feeding") as pipeline:
            last: Any = LoadDataFromDicts(name="load", data=data)
            for make in tasks:
                last = last >> make()
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            handle = pipeline.submit(output_dir=folder)
            distiset = handle.distiset()
            seconds = time.perf_counter() - began
            check(len(distiset["default"]["train"]), len(data))
        steps = handle.report["steps"].values()
        first = min(step["started"] for step in steps)
        return seconds, max(step["finished"] for step in steps) - first

    def run_stock(self, batch: int) -> tuple[float, None]:
        """Seconds of the chain by two RunInference, written as Beam's documentation has it."""
        settings = choose_runner(None, None)
        generate, grade = self.generate(), self.grade()
        began = time.perf_counter()
        job = beam.Pipeline(runner=settings.runner(), options=settings.pipeline_options())
        results = (
            job
            | beam.Create(self.rows)
            | beam.Reshuffle()
            | "Ask" >> beam.Map(generate.format_input)
            | "Generator" >> RunInference(self._with_batch(self.generator, batch))
            | "Ask to grade" >> beam.Map(_grading_of, grade)
            | "Judge" >> RunInference(self._with_batch(self.judge, batch))
            | beam.Map(_grade_of, grade)
        )
        _ = results | "Count" >> beam.combiners.Count.Globally() | beam.Map(check, len(self.rows))
        job.run().wait_until_finish()
        return time.perf_counter() - began, None

    @staticmethod
    def _with_batch(llm: SlotLLM, batch: int) -> SlotLLM:
        return SlotLLM(**{**llm.model_dump(), "stock_batch": batch})


def _grading_of(result: PredictionResult, grade: PrometheusEval) -> Any:
    row = {
        "instruction": result.example[-1]["content"],
        "generation": result.inference["generations"][0],
    }
    return grade.format_input(row)


def _grade_of(result: PredictionResult, grade: PrometheusEval) -> Row:
    return grade.format_output(result.inference["generations"][0])


def check(found: int, expected: int) -> None:
    """Raise where a run has lost rows: its time would mean nothing."""
    if found != expected:
        raise RuntimeError(f"{found} rows came out, {expected} went in")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=4096)
    parser.add_argument("--slots", type=int, default=64)
    parser.add_argument("--mean-seconds", type=float, default=0.1)
    parser.add_argument("--no-stock", action="store_true", help="leave out Beam's RunInference")
    options = parser.parse_args()
    chain = Chain(options.rows, options.slots, options.mean_seconds)
    ways: dict[str, Callable[[], tuple[float, float | None]]] = {
        "generator alone": lambda: chain.run(chain.rows, chain.generate),
        "judge alone": lambda: chain.run(chain.generated, chain.grade),
        "chain": lambda: chain.run(chain.rows, chain.generate, chain.grade),
    }
    if not options.no_stock:
        for batch in (64, 256):
            ways[f"stock, batches of {batch}"] = functools.partial(chain.run_stock, batch)
    ideal = chain.ideal_seconds()
    print(f"ideal: {ideal:.2f} s", flush=True)
    seconds, working = {}, {}
    for name, way in ways.items():
        seconds[name], working[name] = way()
        print(f"{name}: {seconds[name]:.2f} s", flush=True)
    report(options, ideal, seconds, working)


def report(
    options: argparse.Namespace,
    ideal: float,
    seconds: dict[str, float],
    working: dict[str, float | None],
) -> None:
    """Print the table, then the same as JSON."""
    base = max(seconds["generator alone"], seconds["judge alone"])
    working_base = max(working["generator alone"] or 0, working["judge alone"] or 0)
    print(
        f"\n{'':24}{'seconds':>9}{'/ slower alone':>16}{'/ ideal':>9}{'working':>9}{'/ alone':>9}"
    )
    ways = {}
    for name, value in seconds.items():
        worked = working[name]
        ways[name] = {
            "seconds": round(value, 2),
            "to_slower_alone": round(value / base, 3),
            "to_ideal": round(value / ideal, 3),
            "working_seconds": worked and round(worked, 2),
            "working_to_slower_alone": worked and round(worked / working_base, 3),
        }
        own = f"{worked:9.2f}{worked / working_base:9.2f}" if worked else ""
        print(f"{name:24}{value:9.2f}{value / base:16.2f}{value / ideal:9.2f}{own}")
    print(f"The chain may take {RATIO_ALLOWED} times the slower one alone.")
    result = {
        "rows": options.rows,
        "slots": options.slots,
        "mean_seconds": options.mean_seconds,
        "load_average": round(os.getloadavg()[0], 2),
        "ideal_seconds": round(ideal, 2),
        "ways": ways,
        "chain_ratio": ways["chain"]["to_slower_alone"],
        "ratio_allowed": RATIO_ALLOWED,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
