"""End-to-end tokens/s of a pipeline over those of Beam's own vLLM handler, on the same prompts.

    python benchmarks/beam_handler.py [--tokens 133120] [--sizes 64 128 256 512 1024] [--rounds 5]
        [--as-it-comes]

The peer is Beam's `VLLMChatModelHandler` in Beam's RunInference, in batches of one size. It starts
a vLLM server; here it is started once and held, so that no run includes its start. The server has
our engine's arguments and keeps no log of requests, and it belongs to this process, which saves the
peer a proxy. With `--as-it-comes` it has nothing of that: only the number of slots, the length of
the context and, on a CPU, the cache's size are set.

Every size is tried once, the best one then takes turns with our pipeline, the first round is
discarded. All answers have 128 tokens: the handler can't be told a length per row.

The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import apache_beam as beam
from apache_beam.ml.inference.base import PredictionResult, RunInference
from apache_beam.ml.inference.vllm_inference import OpenAIChatMessage
from engines import (
    Row,
    Workload,
    check_tokens,
    count_tokens,
    counted_tokens,
    cpu_arguments,
    make_workload,
    our_llm,
    run_pipeline,
    tiny_or,
)
from held_server import MODEL_TAG, HeldServer, SharedServer, release_servers
from rounds import compared, print_result, take_turns

RATIO_WANTED = 2.0


def make_handler(model: str, slots: int, batch: int, as_it_comes: bool) -> HeldServer:
    """Beam's handler, with our engine's arguments as options of vLLM's server."""
    options: dict[str, str | None] = {"max-num-seqs": str(slots), "max-model-len": "1024"}
    engine = cpu_arguments()
    if as_it_comes:
        engine = {k: v for k, v in engine.items() if k == "kv_cache_memory_bytes"}
    else:
        options.update({"seed": "0", "disable-uvicorn-access-log": None})
    for name, value in engine.items():
        option = name.replace("_", "-")
        if isinstance(value, bool):
            options[option if value else f"no-{option}"] = None
        else:
            options[option] = str(value)
    kind = SharedServer if as_it_comes else HeldServer
    return kind(model, vllm_server_kwargs=options, min_batch_size=batch, max_batch_size=batch)


def run_handler(handler: HeldServer, workload: Workload) -> float:
    """Seconds of a Beam pipeline with the handler, from before it is built until after its end."""
    length = workload.rows[0]["new_tokens"]
    arguments = {"max_tokens": length, "extra_body": {"ignore_eos": True}}
    began = time.perf_counter()
    pipeline = beam.Pipeline()
    _ = (
        pipeline
        | beam.Create(workload.rows)
        | "Ask" >> beam.Map(_messages)
        | RunInference(handler, inference_args=arguments, model_identifier=MODEL_TAG)
        | "Count" >> beam.Map(_count)
    )
    result = pipeline.run()
    result.wait_until_finish()
    seconds = time.perf_counter() - began
    check_tokens(counted_tokens(result), workload)
    return seconds


def _messages(row: Row) -> list[OpenAIChatMessage]:
    return [OpenAIChatMessage("user", row["instruction"])]


def _count(result: PredictionResult) -> None:
    count_tokens(result.inference.usage.completion_tokens)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokens", type=int, default=133_120)
    parser.add_argument("--slots", type=int, default=256)
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128, 256, 512, 1024])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--as-it-comes", action="store_true", help="leave the peer its defaults")
    parser.add_argument("--model", help="a folder; a tiny model is made if not given")
    options = parser.parse_args()
    workload = make_workload("fixed", options.tokens, options.slots)
    with tempfile.TemporaryDirectory() as folder:
        model = tiny_or(options.model, Path(folder))
        llm = our_llm(model, options.slots)
        llm.load()  # holds the engine open between the runs
        handlers = {
            size: make_handler(model, options.slots, size, options.as_it_comes)
            for size in options.sizes
        }
        try:
            handlers[options.sizes[0]].hold()
            rates = {}
            for size, handler in handlers.items():
                rates[size] = workload.tokens / run_handler(handler, workload)
                print(f"tried: batches of {size}: {rates[size]:,.0f} tokens/s", flush=True)
            best = max(rates, key=rates.__getitem__)
            peer = f"Beam's handler, batches of {best}"
            ways = {
                "pipeline": lambda: run_pipeline(llm, workload),
                peer: lambda: run_handler(handlers[best], workload),
            }
            result = compared(
                take_turns(ways, options.rounds, workload.tokens), "pipeline", [peer], RATIO_WANTED
            )
        finally:
            release_servers()
            llm.unload()
    print_result(
        {
            "tokens": workload.tokens,
            "slots": options.slots,
            "rounds": options.rounds,
            "peer as it comes": options.as_it_comes,
            "sizes tried, tokens/s": {str(size): round(rate) for size, rate in rates.items()},
            **result,
        }
    )


if __name__ == "__main__":
    main()
