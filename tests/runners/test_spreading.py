"""Where one worker makes the rows, all workers ask for them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.pipeline import AppliedPTransform, PipelineVisitor

from beam_distilabel.context import RunContext
from beam_distilabel.models.base import AsyncLLM
from beam_distilabel.pipeline import Pipeline
from beam_distilabel.pipeline.application import apply_graph
from beam_distilabel.runners.flink_cluster.job_server import FlinkJobServer
from beam_distilabel.steps import KeepColumns, LoadDataFromFileSystem
from beam_distilabel.steps.tasks import TextGeneration
from tests.pipeline.fakes import Add, Merge, Reverse

ROWS = 400


class ProcessLLM(AsyncLLM):
    """Answers with the process that it is in."""

    @property
    def model_name(self) -> str:
        return "process"

    async def agenerate(self, input: Any, num_generations: int = 1) -> Any:  # type: ignore[override]
        return {"generations": [str(os.getpid())] * num_generations}


@pytest.fixture
def source(tmp_path: Path) -> str:
    """A file of which all rows are read at once."""
    table = pa.table({"x": range(ROWS), "instruction": [f"question {x}" for x in range(ROWS)]})
    pq.write_table(table, tmp_path / "rows.parquet")
    return str(tmp_path / "rows.parquet")


def ask(name: str) -> TextGeneration:
    return TextGeneration(name=name, llm=ProcessLLM(), output_mappings={"generation": name})


def test_all_workers_ask(source: str, flink: FlinkJobServer, tmp_path: Path) -> None:
    with Pipeline(name="spread") as pipeline:
        load = LoadDataFromFileSystem(name="load", data_files=source)
        keep = KeepColumns(name="keep", columns=["x", "instruction"])
        load >> keep >> ask("first") >> Reverse(name="all") >> ask("second")
    distiset = pipeline.run(
        output_dir=tmp_path / "run", logging_handlers=[], options=flink.options()
    )
    train = distiset["default"]["train"]
    assert sorted(train["x"]) == list(range(ROWS))
    for name in ("first", "second"):
        asked = [train[name].count(process) for process in set(train[name])]
        assert len(asked) == 2
        assert min(asked) > ROWS // 4


class _Labels(PipelineVisitor):
    """The Steps of an applied graph whose rows are spread."""

    def __init__(self) -> None:
        self.steps: list[str] = []

    def enter_composite_transform(self, transform_node: AppliedPTransform) -> None:
        step, _, label = transform_node.full_label.rpartition("/")
        if label == "Spread rows":
            self.steps.append(step.partition("/")[0])


def spread_steps(pipeline: Pipeline, spreads: bool) -> list[str]:
    job = beam.Pipeline()
    graph = pipeline.graph
    copies = graph.with_steps({name: step.copied() for name, step in graph.steps.items()})
    apply_graph(copies, job, RunContext(spreads=spreads))
    labels = _Labels()
    job.visit(labels)
    return labels.steps


def test_what_is_spread(source: str) -> None:
    """What leads to a model, unless a join or a GlobalStep shuffles it before that anyway."""

    def load(name: str) -> LoadDataFromFileSystem:
        return LoadDataFromFileSystem(name=name, data_files=source)

    with Pipeline(name="asked") as asked:
        load("load") >> Add(name="add") >> ask("ask") >> Reverse(name="all") >> Add(name="last")
    with Pipeline(name="joined") as joined:
        start = load("load")
        [start >> Add(name="a"), start >> Add(name="b")] >> Merge(name="merge") >> ask("ask")
    with Pipeline(name="global") as gathered:
        load("load") >> Reverse(name="all") >> ask("ask")
    assert spread_steps(asked, True) == ["load"]
    assert spread_steps(joined, True) == []
    assert spread_steps(gathered, True) == ["all"]
    assert spread_steps(asked, False) == spread_steps(gathered, False) == []


def test_a_source_of_many_parts_is_spread_already(
    source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Pipeline(name="asked") as pipeline:
        LoadDataFromFileSystem(name="load", data_files=source) >> ask("ask")
    monkeypatch.setattr("beam_distilabel.transforms.sources.loader.ENOUGH_PARTS", 1)
    assert spread_steps(pipeline, True) == []
