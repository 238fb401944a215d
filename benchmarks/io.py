"""Rows/s from Parquet through KeepColumns to Parquet on embedded Flink, and the workers' memory.

    python benchmarks/io.py [--rows 1000000] [--rounds 3]

The ways, each a job of its own on one job server, with two worker processes:

- ours: LoadDataFromFileSystem, KeepColumns, WriteDistiset.
- stock: Beam's ReadFromParquet, a Map that drops a column, WriteToParquet. It reads all columns,
  as ours does in plain Beam, and as a user does whose Map may look at any.
- stock, spread: the same with the names of the files in a Create, and ReadAllFromParquet.
  ReadFromParquet reads all files on one of Flink's two workers, since nothing between its splitting
  and its reading sends the parts elsewhere; ReadAllFromParquet has a Reshuffle there.
- stock, pruned: as spread, but told which columns to read, which is all that a Map that only
  drops needs. Run once, to know; ours does so in a `Pipeline`, which sees the whole graph.
- copy: pyarrow reads batches and writes them, in this process alone: the limit.

ours, stock and spread take turns; a ratio is that of the rates of one round. Rows/s are of wall
time from submitting a job to its end, the start of its workers included. Every result is checked:
rows by the files' footers, columns and types, the sum of a column of numbers, and of the lengths
and numbers of two columns of texts. `cpu` is the time that the workers computed, per row, their
start included: it depends less on what else the machine does. `peak` is the largest resident memory
of a worker, `growth` its median in the last quarter of its life over the largest in the first half.
The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Of this folder Python would look for its own modules in here, and there is an `io`.
sys.path[0] = str(Path(__file__).parents[1])

import apache_beam as beam  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402
from apache_beam.io.parquetio import (  # noqa: E402
    ReadAllFromParquet,
    ReadFromParquet,
    WriteToParquet,
)

from beam_distilabel.runners.flink_cluster.job_server import FlinkJobServer  # noqa: E402
from beam_distilabel.steps import KeepColumns, LoadDataFromFileSystem  # noqa: E402
from beam_distilabel.transforms.sinks.write_distiset import WriteDistiset  # noqa: E402
from benchmarks.needs_flink import has_flink  # noqa: E402
from benchmarks.rounds import print_result  # noqa: E402
from tests.flink.data import COLUMNS, DROPPED, KEPT_SCHEMA, checked, make_input  # noqa: E402
from tests.flink.usage import watch_workers  # noqa: E402

RATIO_WANTED = 1.0
WARM_UP_ROWS = 1_000
HEAP = "4g"  # WriteToParquet sends its row groups through Flink; with 1g five million rows fail
ROUND = ("ours", "stock", "stock, spread")
JOB_SECONDS_PER_MILLION = 600.0


def ours(p: beam.Pipeline, source: Path, target: Path) -> None:
    rows = p | LoadDataFromFileSystem(data_files=str(source)) | KeepColumns(columns=COLUMNS)
    _ = {"default": rows} | WriteDistiset(str(target))


def stock(p: beam.Pipeline, source: Path, target: Path) -> None:
    _drop_and_write(p | ReadFromParquet(f"{source}/*.parquet"), target)


def stock_spread(
    p: beam.Pipeline, source: Path, target: Path, columns: list[str] | None = None
) -> None:
    paths = sorted(str(path) for path in source.glob("*.parquet"))
    _drop_and_write(p | beam.Create(paths) | ReadAllFromParquet(columns=columns), target)


def stock_pruned(p: beam.Pipeline, source: Path, target: Path) -> None:
    stock_spread(p, source, target, COLUMNS)


def _drop_and_write(rows: Any, target: Path) -> None:
    def drop(row: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in row.items() if name != DROPPED}

    _ = (
        rows
        | beam.Map(drop)
        | WriteToParquet(f"{target}/part", KEPT_SCHEMA, codec="zstd", file_name_suffix=".parquet")
    )


def copy(source: Path, target: Path) -> None:
    """What one process does that makes no rows of the columns."""
    target.mkdir(parents=True)
    with pq.ParquetWriter(target / "copy.parquet", KEPT_SCHEMA, compression="zstd") as writer:
        for path in sorted(source.glob("*.parquet")):
            for batch in pq.ParquetFile(path).iter_batches(8192):
                writer.write_batch(batch.select(COLUMNS))


WAYS: dict[str, Callable[[beam.Pipeline, Path, Path], None]] = {
    "ours": ours,
    "stock": stock,
    "stock, spread": stock_spread,
    "stock, pruned": stock_pruned,
}


class Bench:
    """Runs ways on one input, and checks what they wrote."""

    def __init__(self, flink: FlinkJobServer, folder: Path, rows: int) -> None:
        self._flink = flink
        self._folder = folder
        self._rows = rows
        self._expected = make_input(folder / "input", rows)

    def run(self, way: str) -> dict[str, Any]:
        """One job."""
        target = self._folder / "result"
        pipeline = self._flink.pipeline()
        WAYS[way](pipeline, self._folder / "input", target)
        with watch_workers(self._flink) as watch:
            started = time.perf_counter()
            self._flink.run(pipeline, 120 + self._rows / 1e6 * JOB_SECONDS_PER_MILLION)
            seconds = time.perf_counter() - started
        return {
            **self._checked(target, seconds),
            "cpu_us_per_row": round(watch.cpu_seconds() / self._rows * 1e6, 1),
            "peak_mb": [round(size / 2**20) for size in watch.peaks()],
            "growth": [round(ratio, 3) for ratio in watch.growths()],
        }

    def copy(self) -> dict[str, Any]:
        """The copy without Beam."""
        started = time.perf_counter()
        copy(self._folder / "input", self._folder / "result")
        return self._checked(self._folder / "result", time.perf_counter() - started)

    def _checked(self, target: Path, seconds: float) -> dict[str, Any]:
        found = checked(target)
        if found != self._expected:
            raise RuntimeError(f"the result differs: {found} instead of {self._expected}")
        shutil.rmtree(target)
        return {"seconds": round(seconds, 2), "rows_per_second": round(self._rows / seconds)}


def note(way: str, result: dict[str, Any]) -> dict[str, Any]:
    workers = ""
    if "peak_mb" in result:
        workers = (
            f", {result['cpu_us_per_row']} us cpu/row, workers' peaks {result['peak_mb']} MB, "
            f"growth {result['growth']}"
        )
    print(
        f"{way}: {result['rows_per_second']:,} rows/s ({result['seconds']} s){workers}", flush=True
    )
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=list(WAYS), help="run one way once")
    options = parser.parse_args()
    logging.getLogger("apache_beam").setLevel(logging.ERROR)
    if not has_flink("io"):
        return
    with (
        tempfile.TemporaryDirectory() as name,
        FlinkJobServer(Path(name) / "flink", heap=HEAP) as flink,
    ):
        load_before = os.getloadavg()[0]
        warm_up = Bench(flink, Path(name) / "warm-up", WARM_UP_ROWS)
        for way in ROUND:  # the first job of a Flink loads its classes
            warm_up.run(way)
        bench = Bench(flink, Path(name), options.rows)
        if options.only:
            note(options.only, bench.run(options.only))
            return
        limit = note("copy", bench.copy())
        ways: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
        for number in range(options.rounds):
            # Who goes first changes, so that what a job leaves behind favours none.
            for way in ROUND[number % 3 :] + ROUND[: number % 3]:
                ways[way].append(note(way, bench.run(way)))
        ways["stock, pruned"].append(note("stock, pruned", bench.run("stock, pruned")))
    summary: dict[str, Any] = {}
    for way in ROUND[1:]:
        ratios = [
            mine["rows_per_second"] / theirs["rows_per_second"]
            for mine, theirs in zip(ways["ours"], ways[way], strict=True)
        ]
        summary[f"ours / {way}"] = [round(ratio, 3) for ratio in ratios]
        print(
            f"ours / {way}: {statistics.median(ratios):.2f} (median of {len(ratios)}; "
            f"{min(ratios):.2f} to {max(ratios):.2f}); wanted: {RATIO_WANTED} or more"
        )
    print_result(
        {
            "rows": options.rows,
            "load_average_before": round(load_before, 2),
            "ratio_wanted": RATIO_WANTED,
            "ratios": summary,
            "copy": limit,
            "ways": ways,
        }
    )


if __name__ == "__main__":
    main()
