"""A run of as many rows as wanted whose model answers at once, and the check of its result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from beam_distilabel.models.base import AsyncLLM
from beam_distilabel.pipeline import Pipeline
from beam_distilabel.steps import KeepColumns, LoadDataFromFileSystem
from beam_distilabel.steps.tasks import TextGeneration
from tests.flink.data import COLUMNS, Content, checked


class Instant(AsyncLLM):
    """Answers at once, with the number that the prompt begins with."""

    @property
    def model_name(self) -> str:
        return "instant"

    async def agenerate(self, input: Any, num_generations: int = 1) -> Any:  # type: ignore[override]
        number = input[-1]["content"].partition(" ")[0]
        return {
            "generations": [f"answer {number}"],
            "statistics": {"input_tokens": [9], "output_tokens": [2]},
        }


def answered(source: Path) -> Pipeline:
    """A pipeline that answers the rows of `make_input`."""
    with Pipeline(name="million") as pipeline:
        load = LoadDataFromFileSystem(name="load", data_files=str(source))
        ask = TextGeneration(name="ask", llm=Instant(), output_mappings={"generation": "answer"})
        load >> ask >> KeepColumns(name="keep", columns=[*COLUMNS, "answer"])
    return pipeline


def check(run_dir: Path, expected: Content) -> None:
    """Whether the run's files have all rows, each with its answer.

    Args:
        run_dir: of the run.
        expected: what `make_input` gave.

    Raises:
        RuntimeError: they don't; says what differs.
    """
    found = checked(run_dir / "distiset", columns=COLUMNS)
    if found != expected:
        raise RuntimeError(f"the result differs: {found} instead of {expected}")
    for path in (run_dir / "distiset").rglob("*.parquet"):
        table = pq.read_table(path, columns=["instruction", "answer"])
        wanted = pc.replace_substring_regex(table["instruction"], r"^(\d+) .*$", r"answer \1")
        if not pc.all(pc.equal(table["answer"], wanted)).as_py():
            raise RuntimeError(f"{path}: an answer isn't its row's")
    report = json.loads((run_dir / "report.json").read_text())
    if report["failures"] or report["subsets"]["default"]["rows"] != expected.rows:
        raise RuntimeError(f"the report says otherwise: {report}")
