"""Runs in processes of their own, which tests kill."""

from __future__ import annotations

import functools
import importlib
import json
import multiprocessing
import os
import signal
import traceback
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from beam_distilabel.models import OpenAILLM
from beam_distilabel.models.vllm import vLLM
from beam_distilabel.pipeline import Pipeline
from beam_distilabel.row import Row
from beam_distilabel.steps import LoadDataFromDicts
from beam_distilabel.steps.tasks import PrometheusEval, TextGeneration
from tests.chaos import filesystems  # noqa: F401  # registers them
from tests.chaos.counting_server import JUDGE, WRITER, CountingServer

ROWS = 2_000
IN_FLIGHT = 16
UNFLUSHED = 16
CHECKPOINT = {"rows": UNFLUSHED, "seconds": 1.0}

_PATIENCE_SECONDS = 300.0

# Forks of a process that has imported everything: a run starts in a moment.
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload([__name__])


def two_tasks(
    url: str,
    rows: int,
    in_flight: int = IN_FLIGHT,
    api_key: str = CountingServer.key,
) -> Pipeline:
    """A writer and a judge, both at a `CountingServer`."""
    with Pipeline(name="chaos") as pipeline:
        load = LoadDataFromDicts(data=[{"instruction": f"question {n}"} for n in range(rows)])
        write = TextGeneration(
            name="write",
            llm=OpenAILLM(model=WRITER, base_url=url, api_key=api_key),
            max_in_flight=in_flight,
        )
        judge = PrometheusEval(
            name="judge",
            llm=vLLM(model=JUDGE, engine="url", base_url=url, api_key=api_key),
            mode="absolute",
            rubric="helpfulness",
            max_in_flight=in_flight,
        )
        load >> write >> judge
    return pipeline


class Run:
    """A run of `two_tasks` in a process of its own.

    Args:
        url: of the `CountingServer`.
        folder: the run directory: a path or URL.
        rows: how many.
        outcome: a local file that gets what became of the run.
        die_at: a function ("module:name"), by which the process kills itself when it is called.
    """

    def __init__(
        self, url: str, folder: str | Path, rows: int, outcome: Path, die_at: str | None = None
    ) -> None:
        self._outcome = outcome
        outcome.unlink(missing_ok=True)
        self._process = _processes.Process(
            target=_main, args=(url, str(folder), rows, str(outcome), die_at), daemon=False
        )
        self._process.start()

    def kill(self) -> None:
        """Kill the process, as `kill -9` does."""
        self._process.kill()

    def wait(self) -> Mapping[str, Any]:
        """Wait for the process to end.

        Returns:
            The run's `report`, or the `error` that it raised; nothing where it was killed.
        """
        self._process.join(_PATIENCE_SECONDS)
        assert self._process.exitcode is not None, "the run hangs"
        if not self._outcome.exists():
            return {}
        outcome: dict[str, Any] = json.loads(self._outcome.read_text())
        return outcome


def _main(url: str, folder: str, rows: int, outcome: str, die_at: str | None) -> None:
    try:
        if die_at is not None:
            _make_deadly(die_at)
        handle = two_tasks(url, rows).submit(
            output_dir=folder, logging_handlers=[], checkpoint=CHECKPOINT
        )
        handle.distiset()
        told: dict[str, Any] = {"report": handle.report}
    except BaseException as error:
        traceback.print_exc()
        told = {"error": f"{type(error).__name__}: {error}"}
    Path(outcome).write_text(json.dumps(told))


def _make_deadly(function: str) -> None:
    """Let a call of `function` kill the process."""
    module, _, path = function.partition(":")
    *owners, name = path.split(".")
    owner = functools.reduce(getattr, owners, importlib.import_module(module))
    assert callable(getattr(owner, name))
    setattr(owner, name, lambda *args, **kwargs: os.kill(os.getpid(), signal.SIGKILL))


def asked_rows(server: CountingServer) -> Counter[str]:
    """Model to how many different prompts it was asked."""
    return Counter(model for model, _ in server.asked())


def result_of(folder: Path) -> list[Row]:
    """All rows of the Distiset in a run directory, metadata included, in their order."""
    files = sorted((folder / "distiset").rglob("*.parquet"))
    return [row for file in files for row in pq.read_table(file).to_pylist()]
