"""End-to-end tokens/s of a pipeline over that of raw `vllm.LLM.chat`, on the same prompts.

    python benchmarks/vllm_ratio.py [--rows 1040] [--pairs 5] [--model PATH]

Both engines are loaded before, and are the same in every argument; they take turns, since they
share the machine. Ours is `rows | TextGeneration(llm=vLLM(...))` on the in-memory runner, from
before the pipeline is built until after its end, with a seed for every row, as always. The raw
engine is measured without seeds, and with `--seeds` with seeds too, since seeds cost vLLM time.

The first pair is discarded. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from beam_distilabel.models.engine import GenerateRequest
from beam_distilabel.models.vllm import vLLM
from tests.tiny_model import make_tiny_model

NEW_TOKENS = 128
ENGINE = {"max_num_seqs": 256, "max_model_len": 512}


def make_rows(count: int) -> list[dict[str, str]]:
    """Instructions of differing lengths, none twice."""
    sentence = "the quick brown fox jumps over the lazy dog and packs a box ".split()
    return [
        {"instruction": f"Question {i}: " + " ".join(sentence * (1 + i % 4))} for i in range(count)
    ]


def measure_raw(engine: Any, chats: list[Any], seeds: bool) -> float:
    """Tokens/s of `LLM.chat`."""
    from vllm import SamplingParams

    def params(seed: int | None) -> Any:
        return SamplingParams(max_tokens=NEW_TOKENS, ignore_eos=True, seed=seed)

    start = time.perf_counter()
    outputs = engine.chat(
        chats,
        [params(i) for i in range(len(chats))] if seeds else params(None),
        use_tqdm=False,
    )
    seconds = time.perf_counter() - start
    tokens: int = sum(len(output.outputs[0].token_ids) for output in outputs)
    return tokens / seconds


def measure_pipeline(llm: vLLM, rows: list[dict[str, str]]) -> float:
    """Tokens/s of a Beam pipeline with one Task."""
    import apache_beam as beam
    from apache_beam.metrics import MetricsFilter

    from beam_distilabel.steps.tasks import TextGeneration

    def count(row: dict[str, Any]) -> None:
        tokens = row["distilabel_metadata"]["statistics_generate"]["output_tokens"]
        beam.metrics.Metrics.counter("benchmark", "tokens").inc(tokens)

    start = time.perf_counter()
    pipeline = beam.Pipeline()
    answers = pipeline | beam.Create(rows) | TextGeneration(name="generate", llm=llm)
    _ = answers | beam.Map(count)
    result = pipeline.run()
    result.wait_until_finish()
    seconds = time.perf_counter() - start
    counters = result.metrics().query(MetricsFilter().with_name("tokens"))["counters"]
    tokens: int = sum(counter.result for counter in counters)
    return tokens / seconds


def measure_engine(llm: vLLM, chats: list[Any], seeds: bool) -> float:
    """Tokens/s of the engine alone, without Beam."""
    engine = llm.load_model()
    kwargs = llm.get_generation_kwargs()

    async def answer_all() -> list[Any]:
        slots = asyncio.Semaphore(engine.max_in_flight)

        async def answer(i: int, chat: Any) -> Any:
            async with slots:
                return await engine.generate(GenerateRequest(chat, 1, kwargs, i if seeds else None))

        return await asyncio.gather(*(answer(i, chat) for i, chat in enumerate(chats)))

    start = time.perf_counter()
    outputs = engine.call(answer_all())
    seconds = time.perf_counter() - start
    engine.release()
    tokens: int = sum(output["statistics"]["output_tokens"][0] for output in outputs)
    return tokens / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1040)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--model", help="a folder; a tiny model is made if not given")
    parser.add_argument("--seeds", action="store_true", help="also: the raw engine with seeds")
    parser.add_argument("--engine", action="store_true", help="also: our engine without Beam")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    model = options.model or str(make_tiny_model(folder / "model"))
    rows = make_rows(options.rows)
    chats = [[{"role": "user", "content": row["instruction"]}] for row in rows]

    llm = vLLM(
        model=model,
        extra_kwargs=ENGINE,
        generation_kwargs={
            "max_new_tokens": NEW_TOKENS,
            "extra_sampling_params": {"ignore_eos": True},
        },
    )
    llm.load()  # holds the engine open between the runs
    try:
        raw = load_raw(model)
        ways: dict[str, Callable[[], float]] = {
            "raw": lambda: measure_raw(raw, chats, seeds=False),
            "pipeline": lambda: measure_pipeline(llm, rows),
        }
        if options.seeds:
            ways["raw, seeded"] = lambda: measure_raw(raw, chats, seeds=True)
        if options.engine:
            ways["engine"] = lambda: measure_engine(llm, chats, seeds=False)
            ways["engine, seeded"] = lambda: measure_engine(llm, chats, seeds=True)
        rates: dict[str, list[float]] = {name: [] for name in ways}
        for pair in range(options.pairs + 1):
            for name, way in ways.items():
                rate = way()
                print(f"{pair or 'warm-up'}: {name}: {rate:,.0f} tokens/s", flush=True)
                if pair:
                    rates[name].append(rate)
    finally:
        llm.unload()
    report(rates, options.rows * NEW_TOKENS)


def load_raw(model: str) -> Any:
    """`vllm.LLM` with the arguments that our engine has."""
    from vllm import LLM
    from vllm.platforms import current_platform

    needs = (
        {"enforce_eager": True, "enable_chunked_prefill": False, "kv_cache_memory_bytes": 2 * 2**30}
        if current_platform.is_cpu()
        else {}
    )
    return LLM(model=model, seed=0, **ENGINE, **needs)


def report(rates: dict[str, list[float]], tokens: int) -> None:
    """Print medians and ratios, then the same as JSON."""
    result: dict[str, Any] = {"tokens_per_run": tokens, "pairs": len(rates["raw"])}
    for name, values in rates.items():
        result[f"{name} tokens/s"] = round(statistics.median(values))
        print(f"{name}: {statistics.median(values):,.0f} tokens/s")
    for name, other in [
        ("pipeline", "raw"),
        ("pipeline", "raw, seeded"),
        ("engine", "raw"),
        ("engine, seeded", "raw, seeded"),
    ]:
        if name in rates and other in rates:
            ratios = [a / b for a, b in zip(rates[name], rates[other], strict=True)]
            key = f"{name} / {other}"
            result[key] = {
                "median": round(statistics.median(ratios), 3),
                "min": round(min(ratios), 3),
                "max": round(max(ratios), 3),
            }
            print(f"{key}: {result[key]['median']} ({result[key]['min']} to {result[key]['max']})")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
