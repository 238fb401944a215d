"""Ctrl-C, kill -9 and two runs at once, with real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from beam_distilabel.distiset import create_distiset
from beam_distilabel.errors import DistilabelUserError
from tests.pipeline.running import columns, rows_of
from tests.pipeline.slow_run import ASKED, BEGIN, GO, LOADING, slow_pipeline

PATIENCE_SECONDS = 120.0
ERROR = 1  # what Python exits with after any exception; 130 is for the command line
ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


class Program:
    """`slow_run` in a process of its own."""

    def __init__(self, folder: Path, command: Sequence[str] = (), **settings: Any) -> None:
        self.folder = folder
        (folder / "settings.json").write_text(json.dumps(settings))
        self.said = folder / "said"
        script = folder / "script.py"
        script.write_text(
            "import pathlib\nfrom tests.pipeline.slow_run import main, slow_pipeline\n"
            f"folder = pathlib.Path({str(folder)!r})\n"
            + ("pipeline = slow_pipeline(folder)\n" if command else "main(folder)\n")
        )
        arguments = ["-m", "beam_distilabel", *command] if command else [str(script)]
        with self.said.open("ab") as said:
            self.process = subprocess.Popen(
                [sys.executable, *arguments],
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdout=said,
                stderr=said,
            )

    def text(self) -> str:
        return self.said.read_text(encoding="utf-8", errors="replace")

    def until(self, what: Callable[[], bool]) -> None:
        """Wait for something that has to happen while the process lives."""
        until = time.monotonic() + PATIENCE_SECONDS
        while not what():
            assert time.monotonic() < until, self.text()
            assert self.process.poll() is None, self.text()
            time.sleep(0.01)

    def until_it_says(self, words: str) -> None:
        self.until(lambda: words in self.text())

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def ends(self) -> int:
        return self.process.wait(PATIENCE_SECONDS)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    programs: list[Program] = []

    def begin(**settings: Any) -> Program:
        programs.append(Program(tmp_path, **settings))
        return programs[-1]

    yield begin
    for program in programs:
        if program.process.poll() is None:
            program.process.kill()
            program.process.wait()


def asked(folder: Path) -> list[str]:
    file = folder / ASKED
    return file.read_text().splitlines() if file.exists() else []


def allow(folder: Path, *rows: int) -> None:
    """Let the model answer these rows, or all."""
    for name in [f"{GO}-row{row}" for row in rows] or [GO]:
        (folder / name).touch()


def state_of(folder: Path) -> Any:
    return json.loads((folder / "run" / "run.json").read_text())


def in_flight(folder: Path) -> bool:
    return len(asked(folder)) == 4


def test_ctrl_c_finishes_what_is_in_flight(tmp_path: Path, start: Callable[..., Program]) -> None:
    allow(tmp_path, 0, 1)
    program = start()
    program.until(lambda: in_flight(tmp_path))
    program.interrupt()
    program.until_it_says("finishing 2 rows in flight")
    assert program.process.poll() is None
    allow(tmp_path, 2, 3)
    assert program.ends() == ERROR
    said = program.text()
    assert "RunInterrupted: the run of the pipeline 'slow' was interrupted" in said
    assert said.splitlines()[-1].endswith(f"To go on: python {tmp_path / 'script.py'}")
    assert not (tmp_path / "published").exists()
    assert asked(tmp_path) == ["row0", "row1", "row2", "row3"]
    record = state_of(tmp_path)
    assert (record["state"], record["asked"], record["reused"]) == (
        "interrupted",
        {"ask": 4},
        {},
    )

    part = create_distiset(tmp_path / "run")
    assert columns(rows_of(part), "generation") == [(f"answer to row{n}",) for n in range(4)]
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert report["partial"] == {"ask": {"finished": 4, "known": 6}}
    card = (tmp_path / "run" / "distiset" / "README.md").read_text()
    assert "`ask`: 4 of 6 rows finished" in card

    allow(tmp_path)
    again = start()
    assert again.ends() == 0, again.text()
    assert asked(tmp_path)[4:] == ["row4", "row5"]
    assert (tmp_path / "published").read_text() == "6"
    assert "ask: 4 answers of earlier runs are kept" in again.text()
    record = state_of(tmp_path)
    assert (record["state"], record["asked"], record["reused"]) == (
        "done",
        {"ask": 2},
        {"ask": 4},
    )
    assert "partial" not in json.loads((tmp_path / "run" / "report.json").read_text())
    whole = columns(rows_of(create_distiset(tmp_path / "run")), "generation")
    assert whole == [(f"answer to row{n}",) for n in range(6)]


def test_ctrl_c_twice_stops_now(tmp_path: Path, start: Callable[..., Program]) -> None:
    allow(tmp_path, 0, 1)
    program = start()
    program.until(lambda: in_flight(tmp_path))
    children = psutil.Process(program.process.pid).children(recursive=True)
    program.interrupt()
    program.until_it_says("press Ctrl-C again")
    program.interrupt()
    assert program.ends() == ERROR  # although the model never answers
    assert "RunInterrupted" in program.text()
    assert not (tmp_path / "published").exists()
    assert not [child for child in children if child.is_running()]
    assert state_of(tmp_path)["state"] == "interrupted"
    allow(tmp_path)
    assert start().ends() == 0
    assert Counter(asked(tmp_path)) == {f"row{n}": 2 if n in (2, 3) else 1 for n in range(6)}


def test_ctrl_c_while_a_model_is_loaded(tmp_path: Path, start: Callable[..., Program]) -> None:
    program = start(loads_slowly=True)
    program.until((tmp_path / LOADING).exists)
    program.interrupt()
    program.until_it_says("finishing 0 rows in flight, and the start of a model")
    allow(tmp_path)
    assert program.ends() == ERROR
    assert asked(tmp_path) == []
    assert rows_of(create_distiset(tmp_path / "run")) == []


def test_ctrl_c_twice_does_not_wait_for_a_model(
    tmp_path: Path, start: Callable[..., Program]
) -> None:
    program = start(loads_slowly=True)
    program.until((tmp_path / LOADING).exists)
    for words in ("press Ctrl-C again", "stopping now"):
        program.interrupt()
        program.until_it_says(words)
    program.interrupt()  # the third time: without a pause for what still ends
    assert program.ends() == ERROR
    assert "still comes to its end" in program.text()


@pytest.mark.slow
def test_ctrl_c_reaches_workers_in_other_processes(
    tmp_path: Path, start: Callable[..., Program]
) -> None:
    allow(tmp_path)
    processes = ["--direct_running_mode=multi_processing", "--direct_num_workers=1"]
    program = start(options=processes, rows=3_000)
    program.until(lambda: len(asked(tmp_path)) > 10)
    program.interrupt()
    program.until_it_says("press Ctrl-C again")
    assert program.ends() == ERROR
    assert "RunInterrupted" in program.text()
    done = asked(tmp_path)
    assert len(set(done)) == len(done) < 3_000
    part = rows_of(create_distiset(tmp_path / "run"))
    assert {row["instruction"] for row in part} == set(done)


def test_kill_9_loses_nothing_that_was_written(
    tmp_path: Path, start: Callable[..., Program]
) -> None:
    allow(tmp_path, 0, 1)
    program = start()
    program.until(lambda: in_flight(tmp_path))
    checkpoint = tmp_path / "run" / "checkpoint" / "ask"
    program.until(lambda: len(list(checkpoint.glob("[!.]*.parquet"))) == 2)
    program.process.kill()
    program.ends()
    assert state_of(tmp_path)["state"] == "running"

    pipeline = slow_pipeline(tmp_path)
    for _ in range(2):  # the lock has gone with the process
        part = pipeline.finalize(output_dir=tmp_path / "run", logging_handlers=[])
        assert columns(rows_of(part), "generation") == [("answer to row0",), ("answer to row1",)]
        assert len(asked(tmp_path)) == 4
    allow(tmp_path)
    assert start().ends() == 0
    assert asked(tmp_path)[4:] == ["row2", "row3", "row4", "row5"]


def test_a_directory_in_use_is_refused_with_who_uses_it(
    tmp_path: Path, start: Callable[..., Program]
) -> None:
    program = start()
    program.until(lambda: len(asked(tmp_path)) == 2)
    pipeline = slow_pipeline(tmp_path)
    for attempt in (pipeline.run, pipeline.finalize):
        with pytest.raises(DistilabelUserError) as caught:
            attempt(output_dir=tmp_path / "run", logging_handlers=[])
        message = str(caught.value)
        assert f"process {program.process.pid} on " in message and " since 20" in message
        assert "another output_dir" in message
    allow(tmp_path)
    assert program.ends() == 0
    assert (tmp_path / "published").read_text() == "6"


def test_of_runs_that_start_at_once_exactly_one_runs(
    tmp_path: Path, start: Callable[..., Program]
) -> None:
    programs = [start(waits_to_begin=True) for _ in range(3)]
    for program in programs:
        program.until((tmp_path / f"ready-{program.process.pid}").exists)
    (tmp_path / BEGIN).touch()
    refused = tmp_path / "refused"

    def all_but_one() -> bool:
        return refused.exists() and len(refused.read_text().splitlines()) == 2

    until = time.monotonic() + PATIENCE_SECONDS
    while not all_but_one():
        assert time.monotonic() < until, programs[0].text()
        time.sleep(0.01)
    assert all("under way, by " in line for line in refused.read_text().splitlines())
    allow(tmp_path)
    assert sorted(program.ends() for program in programs) == [0, 3, 3]
    assert Counter(asked(tmp_path)) == {f"row{n}": 1 for n in range(6)}


def test_the_command_line_ends_with_the_signals_code(
    tmp_path: Path, start: Callable[..., Program]
) -> None:
    run, script = str(tmp_path / "run"), str(tmp_path / "script.py")
    command = ["pipeline", "run", "--script", script, "--output-dir", run]
    allow(tmp_path, 0, 1)
    program = start(command=command)
    program.until(lambda: in_flight(tmp_path))
    program.process.send_signal(signal.SIGTERM)  # a scheduler, a while before it kills
    program.until_it_says("finishing 2 rows in flight")
    allow(tmp_path, 2, 3)
    assert program.ends() == 128 + signal.SIGTERM
    said = program.text()
    assert "Traceback" not in said
    hint = said.splitlines()[-1].partition("To go on: ")[2]
    assert hint == f"beam-distilabel pipeline run --script {script} --output-dir {run}"

    finalized = start(command=["finalize", run, "--script", script])
    assert finalized.ends() == 0
    assert "num_rows: 4" in finalized.text()
    # The run's own file names a class that the command line doesn't know.
    program = start(command=["finalize", run])
    assert program.ends() == 1
    assert "no class 'Told'" in program.text() and "--script FILE" in program.text()

    program = start(command=command)
    program.until(lambda: len(asked(tmp_path)) == 6)
    program.interrupt()
    program.until_it_says("finishing 2 rows in flight")
    allow(tmp_path)
    assert program.ends() == 128 + signal.SIGINT
    assert asked(tmp_path) == [f"row{n}" for n in range(6)]
