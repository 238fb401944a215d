"""Rows/s of a pipeline whose models answer at once: what everything but the models costs.

    python benchmarks/overhead.py [--rows 100000] [--ways ours bare ...]

The ways, each in a process of its own:

- ours: LoadDataFromDicts, TextGeneration, PrometheusEval, KeepColumns; `run()` from the graph to
  the Distiset and the report on disk, after a run of 10 rows that does the lazy imports.
- bare: Beam's RunInference twice in one stage, over chats of one message, without result files.
- bare, reshuffled: the same with a Reshuffle before each RunInference.
- distilabel: the same pipeline as ours by distilabel, at its default batch size and at 500, where
  the environment variable BEAM_DISTILABEL_COMPAT_PYTHON names an interpreter that has it. It runs
  over fewer rows, since it takes long.

Rows/s are of wall time. `cpu` is the time that the process and its children computed, per row: it
says what the wall time would be on an idle machine. `peak` is the largest memory of the process,
and for distilabel also that of the largest of its children. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from instant_llm import InstantLLM

Row = dict[str, Any]

ANSWER = "It is so, for a reason that is given here."
GRADE = "Feedback: The answer is right and to the point. [RESULT] 5"
COLUMNS = ["instruction", "generation", "feedback", "result", "model_name"]
WARM_UP_ROWS = 10
ROWS_PER_SECOND_WANTED = 10_000

INTERPRETER = "BEAM_DISTILABEL_COMPAT_PYTHON"


def make_rows(count: int) -> list[Row]:
    """Rows of one instruction each, none twice."""
    return [
        {"instruction": f"Question {i}: why is the number {i} what it is?"} for i in range(count)
    ]


# --- the ways -------------------------------------------------------------------------------------


def run_ours(rows: list[Row], folder: str, batch_size: int | None) -> int:
    """Our pipeline; returns the number of rows of the result."""
    from beam_distilabel.pipeline import Pipeline
    from beam_distilabel.steps import KeepColumns, LoadDataFromDicts
    from beam_distilabel.steps.tasks import PrometheusEval, TextGeneration

    del batch_size  # rows don't travel in batches
    with Pipeline(name="overhead") as pipeline:
        load = LoadDataFromDicts(name="load", data=rows)
        generate = TextGeneration(name="generate", llm=InstantLLM(answer=ANSWER))
        grade = PrometheusEval(
            name="grade",
            llm=InstantLLM(answer=GRADE),
            mode="absolute",
            rubric="factual-validity",
        )
        keep = KeepColumns(name="keep", columns=COLUMNS)
        load >> generate >> grade >> keep
    handle = pipeline.submit(output_dir=folder)
    handle.distiset()
    return handle.report["subsets"]["default"]["rows"]  # type: ignore[no-any-return]


def run_distilabel(rows: list[Row], folder: str, batch_size: int | None) -> int:
    """The same by distilabel."""
    from distilabel.pipeline import Pipeline
    from distilabel.steps import KeepColumns, LoadDataFromDicts
    from distilabel.steps.tasks import PrometheusEval, TextGeneration

    loading = {} if batch_size is None else {"batch_size": batch_size}
    batches = {} if batch_size is None else {"input_batch_size": batch_size}
    with Pipeline(name="overhead", cache_dir=folder) as pipeline:
        load = LoadDataFromDicts(name="load", data=rows, **loading)
        generate = TextGeneration(name="generate", llm=InstantLLM(answer=ANSWER), **batches)
        grade = PrometheusEval(
            name="grade",
            llm=InstantLLM(answer=GRADE),
            mode="absolute",
            rubric="factual-validity",
            **batches,
        )
        keep = KeepColumns(name="keep", columns=COLUMNS, **batches)
        load >> generate >> grade >> keep
    return len(pipeline.run(use_cache=False)["default"]["train"])


def run_bare(rows: list[Row], reshuffled: bool) -> int:
    """Two RunInference in a Beam pipeline, and nothing else."""
    import apache_beam as beam
    from apache_beam.metrics import Metrics, MetricsFilter
    from apache_beam.ml.inference.base import ModelHandler, PredictionResult, RunInference

    from beam_distilabel.runners import choose_runner

    class Model:
        """What `load_model` returns."""

    class Instant(ModelHandler):  # type: ignore[type-arg]
        def __init__(self, answer: str) -> None:
            super().__init__()
            self._answer = answer

        def load_model(self) -> Model:
            return Model()

        def run_inference(self, batch: Any, model: Any, inference_args: Any = None) -> Any:
            return [PredictionResult(prompt, {"generations": [self._answer]}) for prompt in batch]

    def chat(row: Row) -> Any:
        return [{"role": "user", "content": row["instruction"]}]

    def grading(result: PredictionResult) -> Any:
        asked, answered = result.example[0]["content"], result.inference["generations"][0]
        return [{"role": "user", "content": f"Grade the answer {answered!r} to {asked!r}."}]

    done = Metrics.counter("overhead", "rows")
    settings = choose_runner(None, None)
    job = beam.Pipeline(runner=settings.runner(), options=settings.pipeline_options())
    chats = job | beam.Create(rows) | beam.Reshuffle() | "Chat" >> beam.Map(chat)
    if reshuffled:
        chats = chats | "Spread" >> beam.Reshuffle()
    gradings = chats | "Generate" >> RunInference(Instant(ANSWER)) | "Ask" >> beam.Map(grading)
    if reshuffled:
        gradings = gradings | "Spread again" >> beam.Reshuffle()
    grades = gradings | "Grade" >> RunInference(Instant(GRADE))
    _ = grades | "Count" >> beam.Map(lambda _: done.inc())
    result = job.run()
    result.wait_until_finish()
    counters = result.metrics().query(MetricsFilter().with_name("rows"))["counters"]
    return sum(counter.result for counter in counters)


WAYS: dict[str, Callable[[list[Row], str, int | None], int]] = {
    "ours": run_ours,
    "bare": lambda rows, folder, size: run_bare(rows, reshuffled=False),
    "bare, reshuffled": lambda rows, folder, size: run_bare(rows, reshuffled=True),
    "distilabel": run_distilabel,
}


# --- measuring ------------------------------------------------------------------------------------


def measure(way: str, count: int, batch_size: int | None) -> dict[str, Any]:
    """Run one way in this process."""
    run = WAYS[way]
    with tempfile.TemporaryDirectory() as folder:
        run(make_rows(WARM_UP_ROWS), f"{folder}/warm-up", batch_size)
        rows = make_rows(count)
        wall, cpu = time.perf_counter(), _cpu_seconds()
        found = run(rows, f"{folder}/run", batch_size)
        wall, cpu = time.perf_counter() - wall, _cpu_seconds() - cpu
    if found != count:
        raise RuntimeError(f"{way}: {found} rows came out, {count} went in")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if way == "distilabel":
        peak += resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return {
        "rows": count,
        "batch_size": batch_size,
        "seconds": round(wall, 2),
        "rows_per_second": round(count / wall),
        "cpu_us_per_row": round(cpu / count * 1e6, 1),
        "peak_mb": round(peak / 1024),
    }


def _cpu_seconds() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def measure_apart(
    way: str, rows: int, batch_size: int | None = None, python: str = sys.executable
) -> dict[str, Any]:
    """`measure` in a process of its own, so that memory and imports are its own."""
    command = [python, str(Path(__file__)), "--only", way, "--rows", str(rows)]
    if batch_size is not None:
        command += ["--batch-size", str(batch_size)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{way} failed:\n{done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--distilabel-rows", type=int, default=5_000)
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--only", choices=list(WAYS), help="measure one way in this process")
    parser.add_argument("--batch-size", type=int, help="of distilabel's Steps, with --only")
    options = parser.parse_args()
    if options.only:
        print(json.dumps(measure(options.only, options.rows, options.batch_size)))
        return
    results: dict[str, Any] = {}

    def note(name: str, result: dict[str, Any]) -> None:
        results[name] = result
        print(
            f"{name}: {result['rows_per_second']:,} rows/s, {result['cpu_us_per_row']} us cpu/row, "
            f"peak {result['peak_mb']:,} MB ({result['rows']:,} rows in {result['seconds']} s)",
            flush=True,
        )

    for way in options.ways:
        if way != "distilabel":
            note(way, measure_apart(way, options.rows))
        elif python := os.environ.get(INTERPRETER):
            for size in (None, 500):
                result = measure_apart(way, options.distilabel_rows, size, python)
                note(f"distilabel, batches of {size or 'the default size'}", result)
        else:
            print(f"distilabel: left out; {INTERPRETER} names no interpreter that has it")
    print(f"Wanted of ours: {ROWS_PER_SECOND_WANTED:,} rows/s or more on 2 idle cores.")
    print(
        json.dumps(
            {
                "cpus": os.cpu_count(),
                "load_average": round(os.getloadavg()[0], 2),
                "rows_per_second_wanted": ROWS_PER_SECOND_WANTED,
                "ways": results,
            }
        )
    )


if __name__ == "__main__":
    main()
