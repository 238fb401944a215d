"""Ctrl-C in a terminal, which all processes of a run get at once, with the real engine."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from beam_distilabel.distiset import create_distiset
from beam_distilabel.progress import in_flight, read_progress

PATIENCE_SECONDS = 240.0
TOKENS = 600

SCRIPT = """
from beam_distilabel.llms import vLLM
from beam_distilabel.pipeline import Pipeline
from beam_distilabel.steps import LoadDataFromDicts
from beam_distilabel.steps.tasks import TextGeneration

if __name__ == "__main__":
    with Pipeline(name="ctrl-c") as pipeline:
        llm = vLLM(
            model={model!r},
            generation_kwargs={{
                "max_new_tokens": {tokens}, "extra_sampling_params": {{"ignore_eos": True}}
            }},
        )
        load = LoadDataFromDicts(data=[{{"instruction": f"pack {{n}}"}} for n in range(500)])
        load >> TextGeneration(name="ask", llm=llm, max_in_flight=4)
    pipeline.run(output_dir={run!r})
    open({published!r}, "w").close()
"""


@pytest.fixture
def process(tmp_path: Path, tiny_model_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The script's process, which leads a group as a terminal's foreground process does."""
    script = tmp_path / "script.py"
    script.write_text(
        SCRIPT.format(
            model=str(tiny_model_path),
            tokens=TOKENS,
            run=str(tmp_path / "run"),
            published=str(tmp_path / "published"),
        )
    )
    root = str(Path(__file__).parents[3])
    with (tmp_path / "said").open("wb") as said:
        started = subprocess.Popen(
            [sys.executable, str(script)],
            env={**os.environ, "PYTHONPATH": root},
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
    yield started
    if started.poll() is None:
        started.kill()
        started.wait()


def until(what: Callable[[], bool], process: subprocess.Popen[bytes], said: Path) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not what():
        assert time.monotonic() < end and process.poll() is None, said.read_text()[-4000:]
        time.sleep(0.05)


def test_the_engine_finishes_what_is_in_flight(
    tmp_path: Path, process: subprocess.Popen[bytes]
) -> None:
    run, said = tmp_path / "run", tmp_path / "said"
    until(lambda: read_progress(str(run)).get("ask", {}).get("requests", 0) > 4, process, said)
    children = psutil.Process(process.pid).children(recursive=True)
    assert children
    os.killpg(process.pid, signal.SIGINT)
    until(lambda: "rows in flight" in said.read_text(), process, said)
    assert process.wait(PATIENCE_SECONDS) == 1
    text = said.read_text()
    assert re.search(r"finishing \d rows in flight", text), text
    assert "started anew" not in text
    assert not (tmp_path / "published").exists()
    record = json.loads((run / "run.json").read_text())
    rows = create_distiset(run, enable_metadata=True)["default"]["train"]
    assert record["state"] == "interrupted"
    assert len(rows) == record["asked"]["ask"] < 500
    tokens = [row["statistics_ask"]["output_tokens"] for row in rows["distilabel_metadata"]]
    assert tokens == [TOKENS] * len(rows)
    _, alive = psutil.wait_procs(children, timeout=PATIENCE_SECONDS)
    # Nobody may have waited for an orphan that has ended.
    assert all(child.status() == psutil.STATUS_ZOMBIE for child in alive)


@pytest.mark.slow
def test_twice_while_the_engine_starts_leaves_no_process(
    tmp_path: Path, process: subprocess.Popen[bytes]
) -> None:
    said = tmp_path / "said"
    host = psutil.Process(process.pid)

    def engine_processes() -> list[psutil.Process]:
        return [c for c in host.children(recursive=True) if "spawn_main" in " ".join(c.cmdline())]

    until(lambda: bool(engine_processes()), process, said)
    children = host.children(recursive=True)
    os.killpg(process.pid, signal.SIGINT)
    until(lambda: "and the start of a model" in said.read_text(), process, said)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(PATIENCE_SECONDS) == 1
    assert "RunInterrupted" in said.read_text()
    _, alive = psutil.wait_procs(children, timeout=PATIENCE_SECONDS)
    assert not alive
    assert in_flight(str(tmp_path / "run")) == 0
