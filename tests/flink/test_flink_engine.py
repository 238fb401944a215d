"""Runs whose vLLM engine is killed: in this process, and on Flink with a server for all workers."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apache_beam as beam
import psutil
import pyarrow.parquet as pq
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from beam_distilabel.models.vllm import vLLM
from beam_distilabel.runners.flink_cluster.job_server import FlinkJobServer
from beam_distilabel.steps.tasks import TextGeneration
from beam_distilabel.transforms.sinks.write_distiset import WriteDistiset

ROWS = 120
SECONDS = 240.0


def named(core: psutil.Process) -> bool:
    try:
        return "EngineCore" in " ".join([core.name(), *core.cmdline()])
    except psutil.Error:
        return False


def kill_core_when(exists: Path, pids: Callable[[], list[int]], killed: list[int]) -> None:
    """Kill the engine's core as soon as the first row is through."""
    while not exists.exists():
        if killed:  # told to stop
            return
        os.sched_yield()
    core = next(pid for pid in pids() if named(psutil.Process(pid)))
    os.kill(core, signal.SIGKILL)
    killed.append(core)


def write_mark(row: dict[str, Any], mark: str) -> dict[str, Any]:
    Path(mark).touch()
    return row


def run_and_kill(
    llm: vLLM, pipeline: beam.Pipeline, run: Callable[[], Any], folder: Path
) -> list[dict[str, Any]]:
    """The rows of a run with `llm` whose engine's core is killed after the first row."""
    engine: Any = llm.load_model()  # joins the run's engine, and knows its processes
    killed: list[int] = []
    mark = folder / "first"
    killer = threading.Thread(target=kill_core_when, args=(mark, engine.process_ids, killed))
    try:
        rows = [{"instruction": f"question {n}"} for n in range(ROWS)]
        answered = (
            pipeline
            | beam.Create(rows)
            | TextGeneration(llm=llm, max_in_flight=16)
            | beam.Map(write_mark, str(mark))
        )
        _ = {"default": answered} | WriteDistiset(str(folder / "result"))
        killer.start()
        run()
        killer.join()
        assert killed and killed[0] not in engine.process_ids()
    finally:
        killed.append(0)
        engine.release()
    files = (folder / "result").glob("default/*.parquet")
    return [row for file in files for row in pq.read_table(file).to_pylist()]


@pytest.mark.parametrize("engine", ["embedded", "server"])
def test_a_killed_engine_costs_no_row(
    engine: Any, request: pytest.FixtureRequest, tiny_model_path: Path, tmp_path: Path
) -> None:
    llm = vLLM(
        model=str(tiny_model_path),
        engine=engine,
        extra_kwargs={"max_num_seqs": 8},
        generation_kwargs={
            "max_new_tokens": 48,
            "temperature": 0.0,
            "extra_sampling_params": {"ignore_eos": True},
        },
    )
    if engine == "embedded":
        # This runner retries no bundle.
        pipeline = beam.Pipeline(runner=FnApiRunner())
        rows = run_and_kill(llm, pipeline, lambda: pipeline.run().wait_until_finish(), tmp_path)
    else:
        flink: FlinkJobServer = request.getfixturevalue("flink")
        on_flink = flink.pipeline()
        rows = run_and_kill(llm, on_flink, lambda: flink.run(on_flink, SECONDS), tmp_path)
    assert sorted(row["instruction"] for row in rows) == sorted(
        f"question {n}" for n in range(ROWS)
    )
    for row in rows:
        assert row["distilabel_metadata"]["statistics_text_generation_0"]["output_tokens"] == 48
