"""A run on Flink, by its handle: what it tells, and how it is cancelled."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from beam_distilabel.doctor.job import look_at_job
from beam_distilabel.errors import RunFailedError
from beam_distilabel.pipeline import Pipeline, RunHandle
from beam_distilabel.runners.flink_cluster.job_server import FlinkJobServer
from beam_distilabel.steps import LoadDataFromDicts
from tests.pipeline.fakes import Add
from tests.pipeline.slow_steps import WaitsForFile

pytestmark = pytest.mark.flink

PATIENCE_SECONDS = 240.0


def until(condition: Callable[[], bool], handle: RunHandle) -> None:
    """Return when `condition` holds; fails if the run ends before."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert handle.wait(0.2) == "running"
        assert time.monotonic() < deadline


def waiting_pipeline(folder: Path) -> Pipeline:
    with Pipeline(name="waiting") as pipeline:
        load = LoadDataFromDicts(name="load", data=[{"x": x} for x in range(20)])
        load >> Add(name="add") >> WaitsForFile(name="wait", folder=str(folder))
    return pipeline


def test_a_run_is_watched_and_ends(flink: FlinkJobServer, tmp_path: Path) -> None:
    handle = waiting_pipeline(tmp_path).submit(
        output_dir=tmp_path / "run", options=flink.options(), logging_handlers=[]
    )
    until(lambda: handle.job_state == "RUNNING" and (tmp_path / "arrived").exists(), handle)
    assert handle.wait(0.01) == "running"
    (tmp_path / "go").touch()
    assert handle.wait(PATIENCE_SECONDS) == "done"
    assert handle.job_state is None
    assert len(handle.distiset()["default"]["train"]) == 20
    assert {name: own["rows_out"] for name, own in handle.metrics().items()} == {
        "load": 20,
        "add": 20,
        "wait": 20,
    }
    assert [line.partition(" ")[0] for line in handle.progress_lines()] == [
        "load:",
        "add:",
        "wait:",
    ]


def test_a_run_is_cancelled(flink: FlinkJobServer, tmp_path: Path) -> None:
    handle = waiting_pipeline(tmp_path).submit(
        output_dir=tmp_path / "run", options=flink.options(), logging_handlers=[]
    )
    until(lambda: (tmp_path / "arrived").exists(), handle)
    handle.cancel()
    assert handle.state == "cancelled"
    (tmp_path / "go").touch()  # the worker's Python ends by itself
    assert handle.wait(PATIENCE_SECONDS) == "cancelled"
    with pytest.raises(RunFailedError, match="'waiting' cancelled"):
        handle.distiset()
    assert not (tmp_path / "run" / "distiset" / "default").exists()
    again = waiting_pipeline(tmp_path).run(
        output_dir=tmp_path / "run", options=flink.options(), logging_handlers=[]
    )
    assert len(again["default"]["train"]) == 20


def test_the_doctors_job(flink: FlinkJobServer, tmp_path: Path) -> None:
    finding = look_at_job(None, flink.options(), None, str(tmp_path), PATIENCE_SECONDS)
    assert finding.status == "ok", finding.detail
