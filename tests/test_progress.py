"""Progress records."""

import json
from pathlib import Path
from typing import Any

import pytest

from beam_distilabel import progress
from beam_distilabel.errors import RunCancelled
from beam_distilabel.progress import Recorder, cancel, forget, read_progress, settle, step_progress


@pytest.fixture
def run_dir(tmp_path: Path) -> Any:
    yield str(tmp_path)
    forget(str(tmp_path))


def test_copies_of_a_step_add_up(run_dir: str) -> None:
    one, other, judge = (step_progress(run_dir, name) for name in ("ask", "ask", "judge"))
    one.rows_in, one.output_tokens, one.engine = 3, 10, "vllm"
    other.rows_in, other.failures = 4, 1
    judge.rows_out = 2
    judge.flush(force=True)
    found = read_progress(run_dir)
    assert (found["ask"]["rows_in"], found["ask"]["failures"]) == (7, 1)
    assert (found["ask"]["output_tokens"], found["ask"]["engine"]) == (10, "vllm")
    assert (found["judge"]["rows_out"], found["judge"]["engine"]) == (2, None)


def test_processes_add_up(run_dir: str) -> None:
    recorders = [Recorder(run_dir) for _ in range(3)]
    for n, recorder in enumerate(recorders):
        counts = recorder.step("ask")
        counts.rows_in = n + 1
        counts.started, counts.finished = 10.0 - n, 20.0 + n
        recorder.flush(force=True)
    found = read_progress(run_dir)["ask"]
    assert (found["rows_in"], found["started"], found["finished"]) == (6, 8.0, 22.0)
    files = list(Path(run_dir, "progress").iterdir())
    assert len(files) == 3
    assert all(json.loads(file.read_text()) for file in files)


def test_a_record_is_written_when_it_is_due(run_dir: str, monkeypatch: Any) -> None:
    now = 100.0
    monkeypatch.setattr("beam_distilabel.progress.time.monotonic", lambda: now)
    counts = step_progress(run_dir, "ask")
    for n in range(5):
        counts.rows_in = n
        counts.flush()
    assert read_progress(run_dir)["ask"]["rows_in"] == 0
    now += progress.FLUSH_SECONDS
    counts.flush()
    assert read_progress(run_dir)["ask"]["rows_in"] == 4


def test_what_was_counted_last_is_written_without_another_row(
    run_dir: str, monkeypatch: Any
) -> None:
    monkeypatch.setattr(progress, "FLUSH_SECONDS", 0.05)
    recorder = Recorder(run_dir)
    counts = recorder.step("ask")
    counts.flush()
    counts.rows_in = 7
    counts.flush()
    trailing = recorder._trailing
    assert trailing is not None
    trailing.join()
    assert read_progress(run_dir)["ask"]["rows_in"] == 7
    assert recorder._trailing is None


def test_settled_records_have_all_counts(run_dir: str, monkeypatch: Any) -> None:
    slept: list[float] = []
    monkeypatch.setattr(progress.time, "sleep", slept.append)
    counts = step_progress(run_dir, "ask")
    counts.flush()
    counts.rows_in = 7
    settle(run_dir)
    assert read_progress(run_dir)["ask"]["rows_in"] == 7 and slept == []
    Recorder(run_dir).flush(force=True)  # that of another process
    settle(run_dir)
    assert slept == [1.5 * progress.FLUSH_SECONDS]


def test_the_end_is_written(run_dir: str) -> None:
    counts = step_progress(run_dir, "ask")
    counts.flush()
    counts.rows_in = 9
    forget(run_dir)
    assert read_progress(run_dir)["ask"]["rows_in"] == 9
    forget(run_dir)


def test_a_cancelled_run_stops_its_steps(run_dir: str) -> None:
    counts = step_progress(run_dir, "ask")
    counts.flush()
    cancel(run_dir)
    with pytest.raises(RunCancelled):
        counts.flush()


def test_a_record_that_can_not_be_written_ends_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "progress").write_text("a file where the folder should be")
    counts = step_progress(str(tmp_path), "ask")
    counts.rows_in = 1
    counts.flush(force=True)
    forget(str(tmp_path))
    assert "can't be written" in caplog.text


def test_without_a_run_directory_nothing_is_written(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    counts = step_progress(None, "ask")
    counts.rows_in += 1
    counts.flush(force=True)
    assert counts.rows_in == 1 and not list(tmp_path.iterdir())


def test_a_run_that_has_not_begun(run_dir: str) -> None:
    assert read_progress(run_dir) == {}
    folder = Path(run_dir, "progress")
    folder.mkdir()
    (folder / "half.json.1.tmp").write_text("{")
    assert read_progress(run_dir) == {}
