"""Does the memory stay flat while a million rows go through a run on embedded Flink?

    python benchmarks/million.py [--rows 1000000]

Parquet files, a Task whose model answers at once, KeepColumns, and a Distiset, through
`Pipeline.run` with all that a run has: checkpoint, progress, failures, report. Two worker
processes. The result is checked: the rows by the files' footers, columns and types, the sum of a
column of numbers, and of the lengths and numbers of two columns of texts, and every answer.

Of each worker, of Java (Flink and the job server) and of this process: `peak` is the largest
resident memory, `growth` its median in the last quarter of its life over the largest in the first
half, and `tenths` the medians of its memory over each tenth of its life. The last line is one JSON
object.
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

from beam_distilabel.runners.flink_cluster.job_server import FlinkJobServer  # noqa: E402
from benchmarks.needs_flink import has_flink  # noqa: E402
from benchmarks.rounds import print_result  # noqa: E402
from tests.flink.data import make_input  # noqa: E402
from tests.flink.million import answered, check  # noqa: E402
from tests.flink.usage import ProcessWatch, watch_java, watch_workers  # noqa: E402

GROWTH_WANTED = 1.1
"""Of a worker, at most."""

SAMPLE_SECONDS = 1.0  # a look at all processes of a machine costs CPU


def told(name: str, watch: ProcessWatch) -> dict[str, Any]:
    """What the processes of one kind used; printed too."""
    result = {
        "peak_mb": [size >> 20 for size in watch.peaks()],
        "growth": [round(ratio, 3) for ratio in watch.growths()],
        "tenths_mb": [[size >> 20 for size in sizes] for sizes in watch.tenths()],
        "cpu_seconds": round(watch.cpu_seconds(), 1),
    }
    print(f"{name}: {result}", flush=True)
    return result


def measure(flink: FlinkJobServer, folder: Path, rows: int) -> dict[str, Any]:
    """One run."""
    expected = make_input(folder / "input", rows)
    pipeline = answered(folder / "input")
    own = ProcessWatch(os.getpgrp(), Path(__file__).name, SAMPLE_SECONDS)
    workers, java_ = watch_workers(flink, SAMPLE_SECONDS), watch_java(flink, SAMPLE_SECONDS)
    with workers, java_, own:
        began = time.perf_counter()
        pipeline.run(output_dir=folder / "run", logging_handlers=[], options=flink.options())
        seconds = time.perf_counter() - began
    check(folder / "run", expected)
    return {
        "rows": rows,
        "seconds": round(seconds, 1),
        "rows_per_second": round(rows / seconds),
        "workers": told("workers", workers),
        "java": told("Java", java_),
        "driver": told("this process", own),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    options = parser.parse_args()
    logging.getLogger("apache_beam").setLevel(logging.ERROR)
    if not has_flink("million"):
        return
    load_before = os.getloadavg()[0]
    with (
        tempfile.TemporaryDirectory() as name,
        FlinkJobServer(Path(name) / "flink") as flink,
    ):
        result = measure(flink, Path(name), options.rows)
    print(f"Wanted: a growth of {GROWTH_WANTED} of the workers at most.")
    print_result(
        {
            **result,
            "growth_wanted": GROWTH_WANTED,
            "load_average_before": round(load_before, 2),
        }
    )


if __name__ == "__main__":
    main()
