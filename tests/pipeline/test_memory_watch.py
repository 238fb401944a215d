"""The in-memory runner's limit: before a run, and during one."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from beam_distilabel.errors import DistilabelUserError, RunFailedError
from beam_distilabel.pipeline import Pipeline, memory_watch
from beam_distilabel.pipeline.memory_watch import (
    LEAST_FACTOR,
    LIKELY_FACTOR,
    MemoryWatch,
    check_sources,
    memory_limit,
)
from beam_distilabel.progress import is_stopping
from beam_distilabel.runners import choose_runner
from beam_distilabel.runners.direct import DirectSettings
from beam_distilabel.steps import LoadDataFromDicts, LoadDataFromFileSystem
from beam_distilabel.steps.tasks import TextGeneration
from tests.pipeline import fakes
from tests.pipeline.fakes import Add, Gate, Merge, TaggedEcho

GIB = 2**30
PATIENCE_SECONDS = 60.0


class Memory:
    """What a process is said to have."""

    def __init__(self, *sizes: int) -> None:
        self._sizes = list(sizes)

    def __call__(self) -> int:
        return self._sizes.pop(0) if len(self._sizes) > 1 else self._sizes[0]


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host where this process has 1 GiB and could get 10 GiB more."""
    monkeypatch.setattr(memory_watch, "resident_memory", lambda: GIB)
    monkeypatch.setattr(memory_watch, "available_memory", lambda: 10 * GIB)


@pytest.fixture
def gate() -> Iterator[tuple[threading.Event, threading.Event]]:
    fakes.GATES["gate"] = events = (threading.Event(), threading.Event())
    yield events
    events[1].set()


def test_the_limit(host: None) -> None:
    assert memory_limit(DirectSettings()) == 9 * GIB
    assert memory_limit(DirectSettings(max_memory="3GiB")) == 3 * GIB
    assert memory_limit(choose_runner("FnApiRunner", ["--job_name=j"])) == 9 * GIB
    assert memory_limit(choose_runner("PrismRunner", None)) is None
    with pytest.raises(DistilabelUserError, match="max_memory=1048576 .*1.00 GiB before the run"):
        memory_limit(DirectSettings(max_memory="1MiB"))


def test_a_system_that_tells_nothing_has_no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_watch, "resident_memory", lambda: None)
    monkeypatch.setattr(memory_watch, "available_memory", lambda: None)
    assert memory_limit(DirectSettings()) is None
    check_sources(2**60, None)
    check_sources(2**60, GIB)
    stops: list[int] = []
    watch = MemoryWatch(GIB, lambda: stops.append(1), lambda: None)
    watch.look()
    assert watch.verdict is None and not stops


def test_sources_that_fit_nowhere_are_refused(host: None, caplog: pytest.LogCaptureFixture) -> None:
    room = 2 * GIB
    limit = GIB + room
    check_sources(None, limit)
    check_sources(room // LIKELY_FACTOR, limit)
    assert not caplog.records
    check_sources(room // LIKELY_FACTOR + GIB // 10, limit)
    assert "likely to take" in caplog.text and "runner='flink'" in caplog.text
    with pytest.raises(DistilabelUserError, match="have 1.00 GiB.*2.00 GiB for them.*'flink'"):
        check_sources(GIB, limit)
    assert LEAST_FACTOR * GIB > room


def test_the_watch_warns_once_then_stops(caplog: pytest.LogCaptureFixture) -> None:
    stops: list[int] = []
    watch = MemoryWatch(100, lambda: stops.append(1), Memory(20, 50, 80, 85, 99, 100, 120))
    watch.look()
    assert not caplog.records
    for _ in range(3):
        watch.look()
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert watch.verdict is None and not stops
    for _ in range(2):
        watch.look()
    assert watch.verdict is not None and "100 bytes" in watch.verdict
    assert "runner='flink'" in watch.verdict
    assert stops == [1]


def joined(file: Path) -> Pipeline:
    with Pipeline(name="joined") as pipeline:
        load = LoadDataFromFileSystem(name="load", data_files=str(file))
        load >> [Add(name="a", column="a"), Add(name="b", column="b")] >> Merge(name="merge")
    return pipeline


def test_a_run_is_refused_for_its_sources(tmp_path: Path, monkeypatch: Any) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"x": 1}\n' * 1000)
    room = LEAST_FACTOR * file.stat().st_size - 1
    monkeypatch.setattr(memory_watch, "resident_memory", lambda: GIB)
    runner = DirectSettings(max_memory=GIB + room)
    with pytest.raises(DistilabelUserError, match="The sources have 8.79 KiB"):
        joined(file).run(output_dir=tmp_path / "run", runner=runner, logging_handlers=[])
    # Where no rows are shuffled, none are held.
    with Pipeline(name="chain") as pipeline:
        LoadDataFromFileSystem(name="load", data_files=str(file)) >> Add(name="a")
    pipeline.run(output_dir=tmp_path / "chain", runner=runner, logging_handlers=[])


def test_a_run_that_grows_too_large_is_stopped_and_goes_on(
    tmp_path: Path, gate: tuple[threading.Event, threading.Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    arrived, go_on = gate
    grown = threading.Event()
    monkeypatch.setattr(memory_watch, "resident_memory", lambda: 2 * GIB if grown.is_set() else GIB)

    def pipeline() -> Pipeline:
        with Pipeline(name="grows") as pipeline:
            load = LoadDataFromDicts(name="load", data=[{"instruction": f"{i}"} for i in range(4)])
            ask = TextGeneration(name="ask", llm=TaggedEcho())
            load >> ask >> Gate(name="gate", gate="gate")
        return pipeline

    run_dir = str(tmp_path / "run")
    settings = DirectSettings(max_memory="2GiB")
    handle = pipeline().submit(output_dir=run_dir, runner=settings, logging_handlers=[])
    assert arrived.wait(PATIENCE_SECONDS)
    grown.set()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_stopping(run_dir):
        assert handle.wait(0.05) == "running"
        assert time.monotonic() < deadline
    go_on.set()
    assert handle.wait(PATIENCE_SECONDS) == "failed"
    with pytest.raises(RunFailedError, match="max_memory of the runner 'direct'.*'flink'.*go on"):
        handle.distiset()
    grown.clear()
    again = pipeline().submit(output_dir=tmp_path / "run", logging_handlers=[])
    assert len(again.distiset()["default"]["train"]) == 4
    assert again.metrics()["ask"]["reused"] == 4
