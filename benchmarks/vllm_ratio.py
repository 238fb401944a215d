"""End-to-end tokens/s of a pipeline over those of raw `vllm.LLM`, on the same prompts.

    python benchmarks/vllm_ratio.py [--lengths fixed varying] [--rounds 5] [--model PATH]

Two workloads: answers of 128 tokens each, and answers of 8 to 512 tokens (log-normal, median 48),
where the peer gets a list with the sampling parameters of each prompt and ours the length from each
row. Ours is `rows | TextGeneration(llm=vLLM(...))` on the in-memory runner, from before the
pipeline is built until after its end, with a seed for every row, as always. The peers are
`LLM.chat`, and `LLM.generate` of the rendered chats; without seeds, which cost vLLM time, and with
`--seeds` with them too.

Both engines are loaded before, and are the same in every argument. The ways take turns, since they
share the machine, and the order turns as well; the first round is discarded. With varying lengths
the running requests are counted 20 times a second: their mean between the 5% and the 95% point of a
run is given as a share of what the engine runs at most.

The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any

from engines import (
    Occupancy,
    Workload,
    check_tokens,
    make_workload,
    our_llm,
    our_processor,
    raw_llm,
    raw_processor,
    reported,
    run_pipeline,
    run_raw_chat,
    run_raw_generate,
    tiny_or,
)
from rounds import Way, compared, print_result, take_turns

from beam_distilabel.models.engine import GenerateRequest
from beam_distilabel.models.vllm import vLLM

RATIO_WANTED = 0.95
OCCUPANCY_WANTED = 0.9

TOKENS = {"fixed": 266_240, "varying": 260_000}
"""Tokens per run: so many that neither Beam's start and end (0.3 s) nor the last long answers are
much of it."""

SLOTS = {"fixed": 256, "varying": 64}


def run_engine(llm: vLLM, workload: Workload, seeds: bool) -> float:
    """Seconds of the engine alone, without Beam."""
    engine = llm.load_model()
    kwargs = llm.get_generation_kwargs()

    async def answer_all() -> list[Any]:
        slots = asyncio.Semaphore(engine.max_in_flight)

        async def answer(i: int, chat: Any) -> Any:
            own = {**kwargs, "max_new_tokens": workload.rows[i]["new_tokens"]}
            async with slots:
                return await engine.generate(GenerateRequest(chat, 1, own, i if seeds else None))

        return await asyncio.gather(*(answer(i, chat) for i, chat in enumerate(workload.chats)))

    began = time.perf_counter()
    outputs = engine.call(answer_all())
    seconds = time.perf_counter() - began
    engine.release()
    check_tokens(sum(output["statistics"]["output_tokens"][0] for output in outputs), workload)
    return seconds


def measure(workload: Workload, model: str, options: argparse.Namespace) -> dict[str, Any]:
    """All ways on one workload."""
    print(f"\n{workload.name}: {len(workload.rows):,} rows, {workload.tokens:,} tokens", flush=True)
    llm = our_llm(model, workload.slots)
    llm.load()  # holds the engine open between the runs
    try:
        raw = raw_llm(model, workload.slots)
        ways: dict[str, Way] = {
            "pipeline": lambda: run_pipeline(llm, workload),
            "LLM.chat": lambda: run_raw_chat(raw, workload),
            "LLM.generate": lambda: run_raw_generate(raw, workload),
        }
        if options.seeds:
            ways["LLM.chat, seeded"] = lambda: run_raw_chat(raw, workload, seeds=True)
        if options.engine:
            ways["engine"] = lambda: run_engine(llm, workload, seeds=False)
            ways["engine, seeded"] = lambda: run_engine(llm, workload, seeds=True)
        shares: dict[str, list[float]] = {}
        if workload.name == "varying":
            for name, processor in (
                ("pipeline", our_processor(llm)),
                ("LLM.chat", raw_processor(raw)),
            ):
                watched, own = Occupancy(processor, workload.slots).watching({name: ways[name]})
                ways.update(watched)
                shares.update(own)
        rates = take_turns(ways, options.rounds, workload.tokens)
        raw.llm_engine.engine_core.shutdown(timeout=20.0)
    finally:
        llm.unload()
    peers = [name for name in ways if name.startswith("LLM")]
    result = compared(rates, "pipeline", peers, RATIO_WANTED)
    if shares:
        result.update(reported(shares, options.rounds, workload.slots))
        print(f"Wanted of ours: {OCCUPANCY_WANTED} at least.")
        result["busy_slots_wanted"] = OCCUPANCY_WANTED
    workload_is = {"rows": len(workload.rows), "tokens": workload.tokens, "slots": workload.slots}
    return {**workload_is, "rounds": options.rounds, **result}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lengths", nargs="+", choices=list(TOKENS), default=list(TOKENS))
    parser.add_argument("--tokens", type=int, help="per run, instead of the default")
    parser.add_argument("--slots", type=int, help="max_num_seqs, instead of the default")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--model", help="a folder; a tiny model is made if not given")
    parser.add_argument("--seeds", action="store_true", help="also: LLM.chat with seeds")
    parser.add_argument("--engine", action="store_true", help="also: our engine without Beam")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = tiny_or(options.model, Path(folder))
        results = {
            name: measure(
                make_workload(name, options.tokens or TOKENS[name], options.slots or SLOTS[name]),
                model,
                options,
            )
            for name in options.lengths
        }
    print_result(results)


if __name__ == "__main__":
    main()
