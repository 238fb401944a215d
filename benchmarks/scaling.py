"""How much faster is a run with more slots?

    python benchmarks/scaling.py [--slots 1 2 4 8] [--seconds 90] [--source dicts file]

A Task whose model answers one request at a time and takes 50 ms for it, which needs no core: as
many slots as wanted fit on a machine. `Pipeline.run(runner="flink")` with worker processes, one per
slot, the checkpoint and all that a run has. The sources:

- dicts: rows in memory.
- file: one Parquet file with one row group, which four workers at most can read at a time.

The rate is that between 10% and 90% of the answers, by the times that the engines note: how long
the processes take to start counts only as far as some get on later than others. Linear is the rate
of one slot in the same run times the slots. `engines` has how many answers each engine gave.
The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

# Of this folder Python would look for its own modules in here, and there is an `io`.
sys.path[0] = str(Path(__file__).parents[1])

import pyarrow as pa  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402

from beam_distilabel.pipeline import Pipeline  # noqa: E402
from beam_distilabel.steps import LoadDataFromDicts, LoadDataFromFileSystem  # noqa: E402
from beam_distilabel.steps.tasks import TextGeneration  # noqa: E402
from benchmarks.needs_flink import has_flink  # noqa: E402
from benchmarks.rounds import print_result  # noqa: E402
from benchmarks.sleeping_llm import SleepingLLM, answer_times  # noqa: E402

ANSWER_SECONDS = 0.05
WANTED = {2: 0.9, 4: 0.9, 8: 0.8}
"""Slots to the least share of linear."""


def make_pipeline(source: str, rows: int, folder: Path) -> Pipeline:
    """Load and generate."""
    instructions = [f"Question {number}: why is {number} what it is?" for number in range(rows)]
    notes = folder / "notes"
    notes.mkdir()
    with Pipeline(name="scaling") as pipeline:
        if source == "dicts":
            load: Any = LoadDataFromDicts(data=[{"instruction": text} for text in instructions])
        else:
            file = folder / "rows.parquet"
            table = pa.table({"instruction": instructions})
            pq.write_table(table, file, row_group_size=rows)
            load = LoadDataFromFileSystem(data_files=str(file))
        llm = SleepingLLM(seconds=ANSWER_SECONDS, notes=str(notes))
        load >> TextGeneration(name="generate", llm=llm)
    return pipeline


def measure(slots: int, source: str, seconds: float, folder: Path) -> dict[str, Any]:
    """One run."""
    rows = round(slots * seconds / ANSWER_SECONDS)
    pipeline = make_pipeline(source, rows, folder)
    began = time.time()
    distiset = pipeline.run(
        output_dir=folder / "run",
        logging_handlers=[],
        runner="flink",
        options={"parallelism": slots, "environment": "external"},
    )
    done = distiset["default"]["train"].num_rows
    engines = answer_times(folder / "notes")
    times = sorted(time for own in engines.values() for time in own)
    if not rows == done == len(times):
        raise RuntimeError(f"{rows} rows went in, {len(times)} were asked, {done} came out")
    first, last = times[rows // 10], times[rows * 9 // 10]
    starts = sorted(own[0] for own in engines.values())
    return {
        "slots": slots,
        "source": source,
        "rows": rows,
        "rows_per_second": round((rows * 9 // 10 - rows // 10) / (last - first), 2),
        "seconds": round(times[-1] - began, 1),
        "first_answer_seconds": round(starts[0] - began, 1),
        "last_engine_seconds": round(starts[-1] - began, 1),
        "engines": sorted(map(len, engines.values())),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--slots", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--seconds", type=float, default=90.0, help="of answers, per slot")
    parser.add_argument("--source", nargs="+", choices=["dicts", "file"], default=["dicts", "file"])
    options = parser.parse_args()
    logging.getLogger("apache_beam").setLevel(logging.ERROR)
    if not has_flink("scaling"):
        return
    load_before = os.getloadavg()[0]
    runs: list[dict[str, Any]] = []
    for source in options.source:
        base: float | None = None
        for slots in options.slots:
            with tempfile.TemporaryDirectory() as name:
                result = measure(slots, source, options.seconds, Path(name))
            if slots == 1:
                base = result["rows_per_second"]
            if base is not None:
                result["of_linear"] = round(result["rows_per_second"] / (slots * base), 3)
            runs.append(result)
            wanted = f"; wanted: {WANTED[slots]} at least" if slots in WANTED else ""
            print(f"{result}{wanted}", flush=True)
    print_result(
        {
            "answer_seconds": ANSWER_SECONDS,
            "wanted": WANTED,
            "runs": runs,
            "load_average_before": round(load_before, 2),
        }
    )


if __name__ == "__main__":
    main()
