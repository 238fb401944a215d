"""Running a source in Beam and looking at all that comes out."""

from __future__ import annotations

import uuid
from typing import Any

import apache_beam as beam
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from beam_distilabel.context import RunContext
from beam_distilabel.failures import Failure
from beam_distilabel.pipeline.application import apply_graph
from beam_distilabel.pipeline.graph import Graph
from beam_distilabel.row import RESERVED, ROW_ID, Row, sort_key
from beam_distilabel.step import GeneratorStep

_collected: dict[str, list[Any]] = {}


def _collect(element: Any, run: str) -> None:
    _collected.setdefault(run, []).append(element)


def run_source(step: GeneratorStep) -> tuple[list[Row], list[Failure]]:
    """The rows of `step` in the order of their ids, and its failures."""
    rows, failures = uuid.uuid4().hex, uuid.uuid4().hex
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        outputs = pipeline | step.with_failures()
        _ = outputs["rows"] | "Rows" >> beam.Map(_collect, rows)
        _ = outputs["failures"] | "Failed" >> beam.Map(_collect, failures)
    found = sorted(_collected.pop(rows, []), key=lambda row: sort_key(row[ROW_ID]))
    ids = [row[ROW_ID] for row in found]
    assert len(set(ids)) == len(ids)
    return found, _collected.pop(failures, [])


def run_graph(graph: Graph) -> dict[str, list[Row]]:
    """The rows of each subset of a graph, in the order of their ids."""
    runs: dict[str, str] = {}
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        for subset, rows in apply_graph(graph, pipeline, RunContext()).subsets.items():
            runs[subset] = uuid.uuid4().hex
            _ = rows | f"Rows of {subset}" >> beam.Map(_collect, runs[subset])
    return {
        subset: sorted(_collected.pop(run, []), key=lambda row: sort_key(row[ROW_ID]))
        for subset, run in runs.items()
    }


def graph_bytes(step: GeneratorStep) -> int:
    """The size of the job graph of a pipeline of `step` alone."""
    pipeline = beam.Pipeline(runner=FnApiRunner())
    _ = pipeline | step
    return int(pipeline.to_runner_api().ByteSize())


def plain(rows: list[Row]) -> list[Row]:
    """`rows` without their identity."""
    return [{k: v for k, v in row.items() if k not in RESERVED} for row in rows]


def processed(step: GeneratorStep, offset: int = 0) -> list[Row]:
    """What `process` yields in all; also checks batch sizes and that only the last is the last."""
    step.load()
    batches = list(step.process(offset))
    assert [last for _, last in batches] == [False] * (len(batches) - 1) + [True]
    assert all(len(rows) == step.batch_size for rows, _ in batches[:-1])
    return [row for rows, _ in batches for row in rows]
