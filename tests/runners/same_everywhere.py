"""Pipelines whose results may not depend on the runner, and all that is compared of a run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from beam_distilabel.models.base import AsyncLLM
from beam_distilabel.pipeline import Pipeline, sample_n_steps
from beam_distilabel.step import GlobalStep
from beam_distilabel.steps import KeepColumns, LoadDataFromDicts, LoadDataFromFileSystem
from beam_distilabel.steps.tasks import PrometheusEval, TextGeneration
from beam_distilabel.typing import StepInput, StepOutput
from tests.fakes import prompt_of
from tests.pipeline.fakes import Add, Fails, Merge, Times

_ROW_COUNTS = ("rows_in", "rows_out", "rows_passed", "rows_failed", "failures", "unfinished")


class HashLLM(AsyncLLM):
    """Answers by the hash of the prompt: most with a grade, some with none, some not at all."""

    @property
    def model_name(self) -> str:
        return "hash"

    async def agenerate(  # type: ignore[override]
        self, input: Any, num_generations: int = 1, temperature: float = 1.0
    ) -> Any:
        prompt = prompt_of(input)
        texts: list[str | None] = []
        for number in range(num_generations):
            digest = hashlib.sha256(f"{number} {prompt}".encode()).hexdigest()
            luck = int(digest, 16) % 16
            if luck == 0:
                raise ValueError("this prompt is refused")
            grade = f"Feedback: {digest}. [RESULT] {1 + luck % 5}"
            texts.append({1: None, 2: "", 3: digest}.get(luck, grade))
        return {
            "generations": texts,
            "statistics": {
                "input_tokens": [len(prompt)],
                "output_tokens": [len(text or "") for text in texts],
            },
        }


class DropEqual(GlobalStep):
    """Keeps the first of the rows that are equal in some columns."""

    columns: list[str]

    @property
    def inputs(self) -> list[str]:
        return self.columns

    def process(self, inputs: StepInput) -> StepOutput:  # type: ignore[override]
        first: dict[tuple[Any, ...], Any] = {}
        for row in inputs:
            first.setdefault(tuple(row[name] for name in self.columns), row)
        yield list(first.values())


def write_and_judge(folder: Path) -> Pipeline:
    """Files with equal rows and one that can't be read, two models, all kinds of answers."""
    for part in range(3):
        texts = [f"question {n % 28}" for n in range(30 * part, 30 * part + 30)]
        lines = [json.dumps({"prompt": text}) for text in texts]
        (folder / f"{part}.jsonl").write_text("\n".join([*lines, "no JSON"]) + "\n")
    with Pipeline(name="write-and-judge") as pipeline:
        load = LoadDataFromFileSystem(
            name="load",
            data_files=str(folder / "*.jsonl"),
            output_mappings={"prompt": "instruction"},
        )
        write = TextGeneration(
            name="write", llm=HashLLM(), num_generations=2, group_generations=False
        )
        judge = PrometheusEval(
            name="judge", llm=HashLLM(), mode="absolute", rubric="helpfulness", on_failure="drop"
        )
        keep = KeepColumns(name="keep", columns=["instruction", "generation", "feedback", "result"])
        load >> write >> judge >> keep
    return pipeline


def two_branches(folder: Path) -> Pipeline:
    """Routes, a branch of several rows per row, a join that misses some; three subsets."""
    del folder
    with Pipeline(name="two-branches") as pipeline:
        data = [{"x": x, "instruction": f"question {x}"} for x in range(60)]
        load = LoadDataFromDicts(name="load", data=data)
        write = TextGeneration(name="write", llm=HashLLM())
        times = Times(name="times", lose=[4, 9])
        b, c = Add(name="b", column="b"), Add(name="c", column="c")
        merge, fails = Merge(name="merge"), Fails(name="fails", values=[3, 20])
        keep = KeepColumns(name="keep", columns=["x", "k"])
        load >> [write, times]
        write >> sample_n_steps(1) >> [b, c]
        times >> keep
        [c, times] >> merge >> fails
    return pipeline


def drop_equal_rows(folder: Path) -> Pipeline:
    """Rows of Parquet files, joined, of which a GlobalStep keeps one of each kind."""
    numbers = [n % 40 for n in range(100)]
    for part in range(2):
        table = pa.table({"x": numbers[part::2], "text": [f"text {n}" for n in numbers[part::2]]})
        pq.write_table(table, folder / f"{part}.parquet", row_group_size=10)
    with Pipeline(name="drop-equal-rows") as pipeline:
        load = LoadDataFromFileSystem(name="load", data_files=str(folder / "*.parquet"))
        a, write = (
            Add(name="a"),
            TextGeneration(name="write", llm=HashLLM(), input_mappings={"instruction": "text"}),
        )
        load >> [a, write] >> Merge(name="merge") >> DropEqual(name="drop", columns=["x"])
    return pipeline


PIPELINES: dict[str, Callable[[Path], Pipeline]] = {
    make.__name__: make for make in (write_and_judge, two_branches, drop_equal_rows)
}


def outcome_of(run_dir: Path) -> dict[str, Any]:
    """What a run has left, in a form that doesn't depend on the order of its rows."""
    report = json.loads((run_dir / "report.json").read_text())
    return {
        **_subsets(run_dir / "distiset"),
        "failures": _rows(run_dir / "failures"),
        "report": {name: report[name] for name in ("pipeline", "seed", "sources", "subsets")},
        "counts": {name: _counts(own) for name, own in report["steps"].items()},
    }


def _subsets(folder: Path) -> dict[str, Any]:
    """The columns and the rows, metadata included, of each subset."""
    subsets: dict[str, Any] = {}
    for path in sorted(path for path in folder.iterdir() if path.is_dir()):
        [columns] = {_shape(pq.read_schema(file)) for file in path.glob("*.parquet")}
        subsets[f"columns of {path.name}"] = columns
        subsets[f"rows of {path.name}"] = _rows(path)
    return subsets


def _shape(fields: Any) -> tuple[Any, ...]:
    """Names and types, by name: the order is that in which rows with a column came first."""
    return tuple(
        sorted(
            (field.name, _shape(field.type) if pa.types.is_struct(field.type) else str(field.type))
            for field in fields
        )
    )


def _rows(folder: Path) -> list[str]:
    """All rows of a folder of shards as sorted text."""
    rows = [row for file in folder.glob("*.parquet") for row in pq.read_table(file).to_pylist()]
    return sorted(json.dumps(row, sort_keys=True, default=str) for row in rows)


def _counts(own: dict[str, Any]) -> dict[str, Any]:
    """What the report counts of a Step. Of equal rows the second may find the first one's answer,
    or be asked itself before that is there."""
    counts = {name: own[name] for name in (*_ROW_COUNTS, "failed")}
    return {**counts, "answers": own["requests"] + own["reused"]}
