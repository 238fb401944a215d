"""Code of a script, a notebook and an installed module in worker processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from beam_distilabel.errors import DistilabelError
from beam_distilabel.pipeline import Pipeline
from beam_distilabel.runners.flink_cluster.job_server import FlinkJobServer
from beam_distilabel.step import Step, StepInput
from beam_distilabel.steps import LoadDataFromDicts

ROOT = Path(__file__).parents[2]
PIPELINE = Path(__file__).with_name("user_pipeline.py")
PROCESSES = ["--direct_running_mode=multi_processing", "--direct_num_workers=2"]
PATIENCE_SECONDS = 600


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def python(*arguments: str) -> str:
    """What a Python process printed."""
    done = subprocess.run(
        [sys.executable, *arguments],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def as_script(folder: Path, flags: str) -> str:
    return python(str(PIPELINE), str(folder), flags)


def as_module(folder: Path, flags: str) -> str:
    code = "import sys; from tests.workers import user_pipeline as p; p.main(*sys.argv[1:])"
    return python("-c", code, str(folder), flags)


def as_notebook(folder: Path, flags: str) -> str:
    """Cell by cell in a Jupyter kernel."""
    from jupyter_client.manager import start_new_kernel

    cells = ["%colors NoColor", *PIPELINE.read_text(encoding="utf-8").split("# %%\n")]
    cells[-1] = f"main({str(folder)!r}, {flags!r})"
    texts: list[str] = []

    def note(message: dict[str, Any]) -> None:
        if message["msg_type"] == "stream" and message["content"]["name"] == "stdout":
            texts.append(message["content"]["text"])

    manager, client = start_new_kernel(
        kernel_name="python3", env=environment(), startup_timeout=PATIENCE_SECONDS
    )
    try:
        for cell in cells:
            reply = client.execute_interactive(cell, output_hook=note, timeout=PATIENCE_SECONDS)
            content = reply["content"]
            assert content["status"] == "ok", "\n".join(content.get("traceback", []))
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    return "".join(texts)


WAYS: dict[str, tuple[Callable[[Path, str], str], str]] = {
    "script": (as_script, "__main__"),
    "notebook": (as_notebook, "__main__"),
    "module": (as_module, "tests.workers.user_pipeline"),
}


def check(printed: str, module: str) -> None:
    """Every row has passed through all code, in other processes than the pipeline's."""
    found = json.loads(printed.splitlines()[-1])
    assert found["module"] == module
    rows = sorted(found["rows"], key=lambda row: row["n"])
    assert [row["n"] for row in rows] == list(range(20))
    assert {row["mood"] for row in rows} == {"good", "strictly good"}
    for row in rows:
        assert row["text"] == f"said {row['n']} and {2 * row['n']}!"
        assert (row["total"], row["model_name"]) == (20, "echo of user")
    assert found["pid"] not in {row["pid"] for row in rows}


@pytest.mark.parametrize("way", WAYS)
def test_on_flink(way: str, flink: FlinkJobServer, tmp_path: Path) -> None:
    run, module = WAYS[way]
    options = flink.options().get_all_options(drop_default=True)
    flags = [f"--{name}={value}" for name, value in options.items()]
    check(run(tmp_path / "run", json.dumps(flags)), module)


def test_a_missing_variable_ends_the_job(
    flink: FlinkJobServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pool of workers was started before the variable was set."""
    monkeypatch.setenv("SET_TOO_LATE", "tok-5b1e7d90c2f4")
    with Pipeline(name="missing") as pipeline:
        load = LoadDataFromDicts(data=[{"a": 1}])
        load >> Keyed(name="keyed", key="env:SET_TOO_LATE")
    with pytest.raises(DistilabelError, match=r"variable SET_TOO_LATE is not set on ") as caught:
        pipeline.run(output_dir=tmp_path / "run", options=flink.options(), logging_handlers=[])
    assert "Step 'keyed' (Keyed): key: " in str(caught.value)


class Keyed(Step):
    key: SecretStr

    def process(self, inputs: StepInput) -> Any:  # type: ignore[override]
        yield inputs


def test_answers_of_a_script_are_found_by_the_command_line(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    check(as_script(folder, json.dumps(PROCESSES)), "__main__")
    asked = json.loads((folder / "run.json").read_text())["asked"]
    assert sum(asked.values()) == 20
    for arguments in (
        ("-m", "beam_distilabel", "pipeline", "run", "--script", str(PIPELINE)),
        ("-c", f"import runpy; runpy.run_path({str(PIPELINE)!r}, run_name='other')['main']"),
    ):
        if arguments[0] == "-m":
            python(*arguments, "--output-dir", str(folder))
        else:
            python("-c", f"{arguments[1]}(*{(str(folder), json.dumps(PROCESSES))!r})")
        record = json.loads((folder / "run.json").read_text())
        assert record["asked"] == {}
        assert sum(record["reused"].values()) == 20
