"""Answers of very different lengths: a pipeline against batches that wait for their longest one.

    python benchmarks/batches.py [--tokens 133120] [--slots 64] [--rounds 5]

All ways ask one and the same vLLM engine of ours: `rows | Task` on the in-memory runner; batches of
50 one after the other, which is what distilabel does by default (its own cost per batch, about 50
ms, isn't in it); and Beam's own RunInference in batches. Lengths are 8 to 512 tokens, log-normal.

The ways take turns, the first round is discarded. The running requests are counted 20 times a
second. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.ml.inference.base import ModelHandler, PredictionResult, RunInference
from engines import (
    Occupancy,
    Row,
    Workload,
    check_tokens,
    count_tokens,
    counted_tokens,
    make_workload,
    our_llm,
    our_processor,
    reported,
    run_pipeline,
    tiny_or,
)
from rounds import Way, compared, print_result, take_turns

from beam_distilabel.models.engine import Engine, GenerateRequest
from beam_distilabel.models.vllm import vLLM

DISTILABEL_BATCH = 50
RATIO_WANTED = 1.0


def answer_batch(llm: vLLM, engine: Engine, rows: Sequence[Row]) -> list[int]:
    """Ask about `rows` at once, wait for all; the lengths of the answers."""
    kwargs = llm.get_generation_kwargs()

    async def answer_all() -> list[Any]:
        requests = (
            GenerateRequest(
                [{"role": "user", "content": row["instruction"]}],
                1,
                {**kwargs, "max_new_tokens": row["new_tokens"]},
            )
            for row in rows
        )
        return await asyncio.gather(*(engine.generate(request) for request in requests))

    outputs = engine.call(answer_all())
    return [output["statistics"]["output_tokens"][0] for output in outputs]


def run_batches(llm: vLLM, workload: Workload, size: int) -> float:
    """Seconds of batches of `size`, one after the other, without any framework."""
    engine = llm.load_model()
    tokens = 0
    began = time.perf_counter()
    for start in range(0, len(workload.rows), size):
        tokens += sum(answer_batch(llm, engine, workload.rows[start : start + size]))
    seconds = time.perf_counter() - began
    engine.release()
    check_tokens(tokens, workload)
    return seconds


class BatchHandler(ModelHandler):
    """Our engine for Beam's RunInference, in batches of one size, with a length per row."""

    def __init__(self, llm: vLLM, size: int) -> None:
        super().__init__()
        self._llm = llm
        self._size = size

    def load_model(self) -> Engine:
        return self._llm.load_model()

    def run_inference(
        self, batch: Sequence[Row], model: Engine, inference_args: dict[str, Any] | None = None
    ) -> Iterable[PredictionResult]:
        lengths = answer_batch(self._llm, model, batch)
        return [PredictionResult(row, length) for row, length in zip(batch, lengths, strict=True)]

    def batch_elements_kwargs(self) -> Mapping[str, Any]:
        return {"min_batch_size": self._size, "max_batch_size": self._size}


def run_inference(llm: vLLM, workload: Workload, size: int) -> float:
    """Seconds of a pipeline with Beam's RunInference in batches of `size`."""
    began = time.perf_counter()
    pipeline = beam.Pipeline()
    results = pipeline | beam.Create(workload.rows) | RunInference(BatchHandler(llm, size))
    _ = results | "Count" >> beam.Map(_count)
    result = pipeline.run()
    result.wait_until_finish()
    seconds = time.perf_counter() - began
    check_tokens(counted_tokens(result), workload)
    return seconds


def _count(result: PredictionResult) -> None:
    count_tokens(result.inference)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokens", type=int, default=133_120)
    parser.add_argument("--slots", type=int, default=64)
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 256], help="of RunInference")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--model", help="a folder; a tiny model is made if not given")
    options = parser.parse_args()
    workload = make_workload("varying", options.tokens, options.slots)
    with tempfile.TemporaryDirectory() as folder:
        llm = our_llm(tiny_or(options.model, Path(folder)), options.slots)
        llm.load()  # holds the engine open between the runs
        try:
            ways: dict[str, Way] = {
                "pipeline": lambda: run_pipeline(llm, workload),
                f"batches of {DISTILABEL_BATCH}": lambda: run_batches(
                    llm, workload, DISTILABEL_BATCH
                ),
            }
            for size in options.sizes:
                ways[f"RunInference, batches of {size}"] = functools.partial(
                    run_inference, llm, workload, size
                )
            watched, shares = Occupancy(our_processor(llm), options.slots).watching(ways)
            rates = take_turns(watched, options.rounds, workload.tokens)
        finally:
            llm.unload()
    peers = [name for name in ways if name != "pipeline"]
    result = compared(rates, "pipeline", peers, RATIO_WANTED)
    print_result(
        {
            "rows": len(workload.rows),
            "tokens": workload.tokens,
            "slots": options.slots,
            "rounds": options.rounds,
            **result,
            **reported(shares, options.rounds, options.slots),
        }
    )


if __name__ == "__main__":
    main()
