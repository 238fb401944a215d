"""`RESULTS.md` of the GPU benchmark, made of `results.json`: `python benchmarks/gpu/report.py`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

Measured = dict[str, Any]
"""What `run.py` has measured for one model on one device."""

RATIO_WANTED = 0.97

_HEAD = """# GPU benchmark

Tokens/s of answers through a pipeline, over those of raw `LLM.chat` in the same run, in the shape
of datatrove's public inference benchmark. `run.py` says what is measured and how;

    python benchmarks/gpu/run.py

measures all models and writes this file. Wanted: a ratio of at least {wanted}.

"""
_NOTHING = "Nothing has been measured yet: no GPU was at hand.\n"
_COLUMNS = (
    "| model | device | vLLM | rows | tokens in, mean | tokens out, mean | pipeline, tokens/s "
    "| `LLM.chat`, tokens/s | ratio (min to max) |\n|---|---|---|--:|--:|--:|--:|--:|--:|\n"
)


def add_result(path: Path, result: Measured) -> None:
    """Put `result` into the JSON file, in place of an earlier one of its model and device."""
    kept = [
        known
        for known in read_results(path)
        if (known["model"], known["device"]) != (result["model"], result["device"])
    ]
    path.write_text(json.dumps([*kept, result], indent=1) + "\n", encoding="utf-8")


def read_results(path: Path) -> list[Measured]:
    """What the JSON file has; nothing where there is none."""
    if not path.exists():
        return []
    results: list[Measured] = json.loads(path.read_text(encoding="utf-8"))
    return results


def render(results: list[Measured]) -> str:
    """The text of `RESULTS.md`."""
    head = _HEAD.format(wanted=RATIO_WANTED)
    if not results:
        return head + _NOTHING
    return head + _COLUMNS + "".join(_row(result) for result in results)


def _row(result: Measured) -> str:
    ratio = result["ratio"]
    cells = [
        result["model"],
        result["device"],
        result["vllm"],
        f"{result['rows']:,}",
        f"{result['prompt_tokens_mean']:,}",
        f"{result['output_tokens_mean']:,}",
        f"{result['pipeline_tokens_per_second']['median']:,.0f}",
        f"{result['chat_tokens_per_second']['median']:,.0f}",
        f"{ratio['median']} ({ratio['min']} to {ratio['max']}, {result['rounds']} rounds)",
    ]
    return f"| {' | '.join(cells)} |\n"


def write_report(path: Path) -> None:
    """Write `RESULTS.md` beside the JSON file."""
    path.with_name("RESULTS.md").write_text(render(read_results(path)), encoding="utf-8")


if __name__ == "__main__":
    write_report(Path(__file__).resolve().with_name("results.json"))
