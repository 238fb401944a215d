"""Tokens/s of a pipeline over those of raw `LLM.chat` on a GPU, in datatrove's workload shape.

    python benchmarks/gpu/run.py [--models Qwen3-0.6B ...] [--rows 2000] [--rounds 2]
    python benchmarks/gpu/run.py --smoke      # two small layers and few rows, also without a GPU

The shape is that of datatrove's inference benchmark (examples/inference/benchmark in its
repository): documents of FineWeb-Edu rewritten as tutorials, a context of 8,192 tokens, answers of
at most 4,096, greedy, vLLM with 256 slots, 8,192 tokens per step and its default share of the
memory. Neither documents nor weights are fetched: documents are made-up words, log-normal in length
with a mean of about 1,000 tokens as in FineWeb-Edu; the weights are random, so the answers' lengths
are drawn too, log-normal with a mean of about 800 tokens, and both ways get the same ones. Absolute
figures can therefore be compared with datatrove's table in order of magnitude only; the ratio is
the result.

Ours is `rows | Task(llm=vLLM(...))` on the in-memory runner, whole run; the peer is `LLM.chat` with
the same arguments. Each has the GPU for itself: the ways take turns, and an engine is loaded before
its turn and closed after it, neither being measured. Each turn starts with a few rows that aren't
measured.

Results go to `results.json`, and `RESULTS.md` is written anew from it. The last line is one JSON
object.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1])]

from engines import (  # noqa: E402
    Row,
    Workload,
    our_llm,
    raw_llm,
    run_pipeline,
    run_raw_chat,
)
from gpu.qwen3 import ARCHITECTURES, SMOKE, make_model, words  # noqa: E402
from gpu.report import Measured, add_result, write_report  # noqa: E402
from rounds import print_result, ratios, spread  # noqa: E402

CONTEXT = 8192
LONGEST = 4096
SPREAD = 0.7
"""The standard deviation of the logarithm of a document's and of an answer's length."""

TASK = (
    "Turn the document into a tutorial that can be followed step by step. Number the steps, keep "
    "all that matters, write for learners, and answer with nothing but the tutorial.\n\nDocument: "
)

ENGINE: dict[str, Any] = {
    "load_format": "dummy",
    "max_model_len": CONTEXT,
    "max_num_batched_tokens": CONTEXT,
}
SLOTS = 256
GREEDY = {"temperature": 0.0}


def make_workload(rows: int, scale: float = 1.0) -> Workload:
    """Documents and the lengths of the answers to them.

    Args:
        rows: how many.
        scale: of all lengths; 1 is the public shape.
    """
    draw = random.Random(42)
    source = words(2)

    def length(mean: float) -> int:
        # The mean of a log-normal is exp(SPREAD**2 / 2) times its median.
        drawn = mean * draw.lognormvariate(-(SPREAD**2) / 2, SPREAD) * scale
        return max(8, min(int(LONGEST * scale), round(drawn)))

    made: list[Row] = []
    for number in range(rows):
        document = " ".join(itertools.islice(source, length(1_000)))
        made.append({"instruction": f"{TASK}{number} {document}", "new_tokens": length(800)})
    return Workload("varying", made, SLOTS)


def part_of(workload: Workload, rows: int) -> Workload:
    """The first `rows` rows."""
    return Workload(workload.name, workload.rows[:rows], workload.slots)


def run_ours(model: str, workload: Workload, engine: dict[str, Any]) -> float:
    """Seconds of one run of our pipeline."""
    llm = our_llm(model, workload.slots, generation=GREEDY, **engine)
    llm.load()
    try:
        run_pipeline(llm, part_of(workload, workload.slots // 4))
        return run_pipeline(llm, workload)
    finally:
        llm.unload()


def run_peer(model: str, workload: Workload, engine: dict[str, Any]) -> float:
    """Seconds of one run of `LLM.chat`."""
    raw = raw_llm(model, workload.slots, **engine)
    try:
        run_raw_chat(raw, part_of(workload, workload.slots // 4), **GREEDY)
        return run_raw_chat(raw, workload, **GREEDY)
    finally:
        raw.llm_engine.engine_core.shutdown(timeout=20.0)


def prompt_tokens(model: str, workload: Workload) -> float:
    """The mean length of a rendered prompt, in tokens."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    sample = workload.chats[:200]
    texts = tokenizer.apply_chat_template(sample, tokenize=False, add_generation_prompt=True)
    return sum(len(ids) for ids in tokenizer(texts)["input_ids"]) / len(sample)


def measure(name: str, model: str, workload: Workload, rounds: int, **engine: Any) -> Measured:
    """All turns of one model."""
    turns: dict[str, Callable[..., float]] = {"pipeline": run_ours, "LLM.chat": run_peer}
    rates: dict[str, list[float]] = {way: [] for way in turns}
    order = list(turns)
    for number in range(rounds):
        for way in order:
            rate = workload.tokens / turns[way](model, workload, {**ENGINE, **engine})
            rates[way].append(rate)
            print(f"{name}, round {number + 1}: {way}: {rate:,.0f} tokens/s", flush=True)
        order.reverse()
    from vllm import __version__
    from vllm.platforms import current_platform

    return {
        "model": name,
        "device": current_platform.get_device_name(),
        "vllm": __version__,
        "rows": len(workload.rows),
        "prompt_tokens_mean": round(prompt_tokens(model, workload)),
        "output_tokens_mean": round(workload.tokens / len(workload.rows)),
        "rounds": rounds,
        "pipeline_tokens_per_second": spread(rates["pipeline"], 0),
        "chat_tokens_per_second": spread(rates["LLM.chat"], 0),
        "ratio": ratios(rates, "pipeline", "LLM.chat"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=list(ARCHITECTURES))
    parser.add_argument("--rows", type=int, help="2,000 if not given; datatrove takes 10,000")
    parser.add_argument("--rounds", type=int, default=2, help="turns of each way")
    parser.add_argument("--smoke", action="store_true", help="small: does it run? keeps no result")
    parser.add_argument("--output", type=Path, default=HERE / "results.json")
    options = parser.parse_args()
    if options.smoke:
        models, workload = {"smoke": SMOKE}, make_workload(options.rows or 64, scale=1 / 16)
    else:
        models = {name: ARCHITECTURES[name] for name in options.models or ARCHITECTURES}
        workload = make_workload(options.rows or 2_000)
    results = []
    for name, architecture in models.items():
        print(f"{name}: {architecture.parameters / 1e9:.2f} billion parameters", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            model = str(make_model(Path(folder) / name, architecture))
            results.append(measure(name, model, workload, options.rounds))
        if not options.smoke:
            add_result(options.output, results[-1])
            write_report(options.output)
    print(json.dumps(results, indent=1))
    print_result({"results": results})


if __name__ == "__main__":
    main()
