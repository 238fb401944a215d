"""Showing progress: plain lines and tables, from the records of the run directory."""

from __future__ import annotations

import io
import logging
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from beam_distilabel.pipeline import Pipeline, display, sample_n_steps
from beam_distilabel.pipeline.display import ProgressDisplay, progress_line, progress_table
from beam_distilabel.pipeline.run import row_totals
from beam_distilabel.progress import forget, read_progress, step_progress
from beam_distilabel.steps import KeepColumns, LoadDataFromDicts
from beam_distilabel.steps.tasks import TextGeneration
from tests.pipeline.fakes import Add, Numbers, TaggedEcho


def counts(**other: Any) -> dict[str, Any]:
    return {
        "rows_in": 10,
        "rows_out": 10,
        "failures": 0,
        "input_tokens": 0,
        "output_tokens": 0,
        "started": 100.0,
        "finished": 102.0,
        "engine": None,
        **other,
    }


def test_a_line() -> None:
    assert progress_line("load", counts(), None) == "load: 10 rows, 5 rows/s"
    line = progress_line("ask", counts(output_tokens=3000, failures=2), 20)
    assert line == "ask: 10 of 20 rows, 5 rows/s, 1,500 tokens/s, 2 failures"


def test_a_table() -> None:
    console = Console(file=io.StringIO(), width=120)
    shown = progress_table(
        {"ask": counts(rows_out=1234, output_tokens=3000, input_tokens=50, failures=2)},
        ["load", "ask"],
        {"ask": 2000},
    )
    console.print(shown)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    load, ask = (
        next(line for line in text.splitlines() if name in line) for name in ("load", "ask")
    )
    for value in ("1,234 of 2,000", "617", "50", "3,000", "1,500", "2"):
        assert value in ask
    assert "-" in load


def test_plain_lines_where_there_is_no_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(display, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(display, "LINE_SECONDS", 0.0)
    run_dir = str(tmp_path)
    progress = step_progress(run_dir, "add")
    progress.rows_out = 4
    progress.flush(force=True)
    try:
        with (
            caplog.at_level(logging.INFO, "beam_distilabel"),
            ProgressDisplay(run_dir, ["load", "add"], {"add": 8}) as shown,
        ):
            assert shown._live is None
            shown.update()
    finally:
        forget(run_dir)
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("add: 4 of 8 rows, ")


def test_a_live_table_in_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    terminal = Console(file=stream, force_terminal=True, width=100)
    monkeypatch.setattr(display, "Console", lambda **_: terminal)
    monkeypatch.setattr(display, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(display.logger, "level", logging.INFO)
    run_dir = str(tmp_path)
    progress = step_progress(run_dir, "add")
    progress.rows_out = 4321
    progress.flush(force=True)
    try:
        with ProgressDisplay(run_dir, ["add"], {}) as shown:
            shown.update()
    finally:
        forget(run_dir)
    assert "4,321" in stream.getvalue()


def test_the_end_of_a_run(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with Pipeline(name="shown") as pipeline:
        load = LoadDataFromDicts(name="load", data=[{"instruction": "a"}] * 3)
        load >> TextGeneration(name="ask", llm=TaggedEcho())
    pipeline.run(output_dir=tmp_path / "run")
    text = capfd.readouterr().err
    assert "default: 3 rows" in text
    assert f"Distiset: {tmp_path / 'run' / 'distiset'}" in text
    assert "failures:" not in text
    table = [line for line in text.splitlines() if " ask " in line]
    assert len(table) == 1 and "9" in table[0] and "6" in table[0]  # tokens in and out


def test_records_of_several_processes_add_up(tmp_path: Path) -> None:
    run_dir = str(tmp_path)
    for rows in (2, 5):
        one, two = step_progress(run_dir, "a"), step_progress(run_dir, "a")
        one.rows_out, two.rows_out = rows, rows
        two.engine = "echo"
        forget(run_dir)  # the next record is that of another process
    total = read_progress(run_dir)["a"]
    assert (total["rows_out"], total["engine"]) == (14, "echo")
    assert read_progress(str(tmp_path / "nowhere")) == {}


def test_totals_where_they_are_known() -> None:
    with Pipeline(name="totals") as pipeline:
        load = LoadDataFromDicts(name="load", data=[{"x": 1, "instruction": "a"}] * 5)
        keep = KeepColumns(name="keep", columns=["x", "instruction"])
        ask = TextGeneration(name="ask", llm=TaggedEcho(), num_generations=3)
        grouped = TextGeneration(
            name="grouped", llm=TaggedEcho(), num_generations=3, group_generations=True
        )
        user, after = Add(name="user"), KeepColumns(name="after", columns=["x"])
        load >> keep >> [ask, grouped, user]
        user >> after
        numbers = Numbers(name="numbers", count=4)
        (
            numbers
            >> sample_n_steps(1)
            >> [
                KeepColumns(name="one", columns=["x"]),
                KeepColumns(name="two", columns=["x"]),
            ]
        )
    assert row_totals(pipeline.graph) == {"load": 5, "keep": 5, "ask": 15, "grouped": 5}
