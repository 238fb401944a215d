"""What the benchmarks with a real engine share: the workload, ours, and vLLM's own `LLM`."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import random
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.metrics import MetricsFilter
from rounds import Way, spread

from beam_distilabel.models.vllm import vLLM
from beam_distilabel.steps.tasks import TextGeneration
from tests.tiny_model import make_tiny_model

Row = dict[str, Any]

# The raw engine's processes write to standard output, where the tables go.
os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")

SHORTEST, MEDIAN, LONGEST = 8, 48, 512
"""Answers of varying lengths, in tokens: what a log-normal draw is cut off at, and its median."""

SPREAD = 0.9
"""The standard deviation of the logarithm of a varying length."""

SAMPLE_SECONDS = 0.05


@dataclasses.dataclass(frozen=True)
class Workload:
    """Rows with an `instruction` and the length of its answer, `new_tokens`.

    Attributes:
        name: "fixed" or "varying".
        rows: what is asked; no two are equal.
        slots: how many requests the engine runs at once.
    """

    name: str
    rows: list[Row]
    slots: int

    @property
    def tokens(self) -> int:
        """The tokens of all answers."""
        return sum(row["new_tokens"] for row in self.rows)

    @property
    def chats(self) -> list[list[dict[str, str]]]:
        """What the model is asked."""
        return [[{"role": "user", "content": row["instruction"]}] for row in self.rows]


def make_workload(name: str, tokens: int, slots: int, length: int = 128) -> Workload:
    """A workload of at least `tokens` tokens.

    Args:
        name: "fixed": all answers have `length` tokens. "varying": they are log-normal, 8 to 512,
            with a median of 48.
        tokens: the sum of all answers' lengths.
        slots: how many requests the engine runs at once.
        length: of fixed answers.
    """
    draw = random.Random(0)
    rows: list[Row] = []
    while tokens > 0:
        new_tokens = length if name == "fixed" else varying_length(draw)
        rows.append({"instruction": _instruction(len(rows)), "new_tokens": new_tokens})
        tokens -= new_tokens
    return Workload(name, rows, slots)


def varying_length(draw: random.Random) -> int:
    """The length of an answer, in tokens: log-normal, cut off on both sides."""
    return max(SHORTEST, min(LONGEST, round(MEDIAN * draw.lognormvariate(0, SPREAD))))


def _instruction(number: int) -> str:
    sentence = "the quick brown fox jumps over the lazy dog and packs a box ".split()
    return f"Question {number}: " + " ".join(sentence * (1 + number % 4))


class SizedGeneration(TextGeneration):
    """TextGeneration whose answers have the length that the row's `new_tokens` says."""

    async def rollout(self, row: Row, generate: Any) -> list[Row]:
        return await super().rollout(
            row, functools.partial(generate, max_new_tokens=row["new_tokens"])
        )


def tiny_or(model: str | None, folder: Path) -> str:
    """`model`, or a tiny one with random weights that is made in `folder`."""
    return model or str(make_tiny_model(folder / "model"))


def our_llm(
    model: str, slots: int, generation: Mapping[str, Any] | None = None, **engine: Any
) -> vLLM:
    """A `vLLM` whose answers are as long as they may be.

    Args:
        model: a folder.
        slots: how many requests the engine runs at once.
        generation: further generation arguments.
        engine: further arguments of vLLM's engine.
    """
    return vLLM(
        model=model,
        extra_kwargs={"max_num_seqs": slots, "max_model_len": 1024, **engine},
        generation_kwargs={
            "max_new_tokens": 128,
            "extra_sampling_params": {"ignore_eos": True},
            **(generation or {}),
        },
    )


def raw_llm(model: str, slots: int, **engine: Any) -> Any:
    """`vllm.LLM` with the arguments that our engine has."""
    from vllm import LLM

    arguments = {"max_num_seqs": slots, "max_model_len": 1024, **cpu_arguments(), **engine}
    return LLM(model=model, seed=0, **arguments)


def cpu_arguments() -> dict[str, Any]:
    """What our engine tells vLLM on a CPU, for the peers; nothing on a GPU."""
    from vllm.platforms import current_platform

    if not current_platform.is_cpu():
        return {}
    return {
        "enforce_eager": True,
        "enable_chunked_prefill": False,
        "kv_cache_memory_bytes": 2 * 2**30,
    }


def raw_params(workload: Workload, seeds: bool = False, temperature: float = 1.0) -> list[Any]:
    """vLLM's sampling parameters of each row."""
    from vllm import SamplingParams

    return [
        SamplingParams(
            max_tokens=row["new_tokens"],
            ignore_eos=True,
            seed=i if seeds else None,
            temperature=temperature,
        )
        for i, row in enumerate(workload.rows)
    ]


def run_raw_chat(
    raw: Any, workload: Workload, seeds: bool = False, temperature: float = 1.0
) -> float:
    """Seconds of `LLM.chat`."""
    began = time.perf_counter()
    outputs = raw.chat(workload.chats, raw_params(workload, seeds, temperature), use_tqdm=False)
    seconds = time.perf_counter() - began
    check_tokens(sum(len(output.outputs[0].token_ids) for output in outputs), workload)
    return seconds


def run_raw_generate(raw: Any, workload: Workload) -> float:
    """Seconds of `LLM.generate`, the chats' rendering as text included."""
    began = time.perf_counter()
    tokenizer = raw.get_tokenizer()
    prompts = [
        tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        for chat in workload.chats
    ]
    outputs = raw.generate(prompts, raw_params(workload), use_tqdm=False)
    seconds = time.perf_counter() - began
    check_tokens(sum(len(output.outputs[0].token_ids) for output in outputs), workload)
    return seconds


def run_pipeline(llm: vLLM, workload: Workload) -> float:
    """Seconds of a Beam pipeline with one Task, from before it is built until after its end."""
    task = TextGeneration if workload.name == "fixed" else SizedGeneration
    began = time.perf_counter()
    pipeline = beam.Pipeline()
    answers = pipeline | beam.Create(workload.rows) | task(name="generate", llm=llm)
    _ = answers | beam.Map(_count_tokens)
    result = pipeline.run()
    result.wait_until_finish()
    seconds = time.perf_counter() - began
    check_tokens(counted_tokens(result), workload)
    return seconds


def _count_tokens(row: Row) -> None:
    count_tokens(row["distilabel_metadata"]["statistics_generate"]["output_tokens"])


def count_tokens(tokens: int) -> None:
    """Count an answer's tokens, inside a pipeline."""
    beam.metrics.Metrics.counter("benchmark", "tokens").inc(tokens)


def counted_tokens(result: Any) -> int:
    """The tokens that `count_tokens` has counted in a finished pipeline."""
    counters = result.metrics().query(MetricsFilter().with_name("tokens"))["counters"]
    return sum(counter.result for counter in counters)


def check_tokens(found: int, workload: Workload) -> None:
    """Raise where a way has made fewer tokens or more: its time would mean nothing."""
    if found != workload.tokens:
        raise RuntimeError(f"{found} tokens came out, {workload.tokens} were asked for")


class Occupancy:
    """How many requests an engine runs, sampled while a way is measured.

    Both kinds of engine have vLLM's output processor in this process; what has its first token and
    not its last one is running. That leaves out the requests in their first step.

    Args:
        processor: returns the `OutputProcessor` of the engine that is watched.
        slots: how many requests it can run at once.
    """

    def __init__(self, processor: Callable[[], Any], slots: int) -> None:
        self._processor = processor
        self._slots = slots

    @contextlib.contextmanager
    def watched(self, shares: list[float]) -> Iterator[None]:
        """Append the mean share of busy slots between the 5% and the 95% point of the block."""
        running: list[int] = []
        over = threading.Event()

        def watch() -> None:
            while not over.wait(SAMPLE_SECONDS):
                states = list(self._processor().request_states.values())
                running.append(sum(not state.is_prefilling for state in states))

        thread = threading.Thread(target=watch, name="occupancy", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
        cut = round(len(running) * 0.05)
        middle = running[cut : len(running) - cut]
        shares.append(statistics.fmean(middle) / self._slots if middle else 0.0)

    def watching(self, ways: Mapping[str, Way]) -> tuple[dict[str, Way], dict[str, list[float]]]:
        """`ways` watched, and where their shares of busy slots will be, run by run."""
        shares: dict[str, list[float]] = {name: [] for name in ways}
        return {n: functools.partial(self._run, way, shares[n]) for n, way in ways.items()}, shares

    def _run(self, way: Way, shares: list[float]) -> float:
        with self.watched(shares):
            return way()


def reported(shares: Mapping[str, list[float]], rounds: int, slots: int) -> dict[str, Any]:
    """Print the shares of busy slots in the last `rounds` runs; the same for the JSON line."""
    result = {f"{name}, busy slots": spread(own[-rounds:]) for name, own in shares.items()}
    for name, busy in result.items():
        print(f"{name}: {busy['median']:.3f} of {slots} ({busy['min']} to {busy['max']})")
    return result


def our_processor(llm: vLLM) -> Callable[[], Any]:
    """Where `Occupancy` looks for a loaded `vLLM`."""
    engine: Any = llm._engine
    return lambda: engine._llm.output_processor


def raw_processor(raw: Any) -> Callable[[], Any]:
    """Where `Occupancy` looks for a `vllm.LLM`."""
    return lambda: raw.llm_engine.output_processor
