"""The first rows of a pipeline's loaders: what a dry run and a preview run on."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

from beam_distilabel.pipeline.graph import Graph
from beam_distilabel.row import Row
from beam_distilabel.step import GeneratorStep, open_pipelines
from beam_distilabel.transforms.sources.load_data_from_dicts import LoadDataFromDicts


@dataclasses.dataclass(frozen=True)
class FirstRows:
    """The first rows of one loader.

    Attributes:
        rows: by the pipeline's names.
        whole: how many the loader has, None where that isn't known.
        seconds: what making them took.
    """

    rows: list[Row]
    whole: int | None
    seconds: float


def take_first_rows(graph: Graph, count: int) -> dict[str, FirstRows]:
    """Put the first `count` rows of each loader of `graph` in its place.

    A loader's `process` is called in this process, as often as it takes.

    Args:
        graph: a run's own copies of the Steps, validated; they are changed.
        count: of each loader.

    Returns:
        Loader to its rows.
    """
    taken = {}
    for name, step in graph.steps.items():
        if step.is_generator:
            taken[name] = _first_rows(step, count)
    token = open_pipelines.set(())  # what is made here belongs to no pipeline
    try:
        for name, first in taken.items():
            graph.steps[name] = LoadDataFromDicts(name=name, data=first.rows)
    finally:
        open_pipelines.reset(token)
    return taken


def _first_rows(step: GeneratorStep, count: int) -> FirstRows:
    whole = step.count_rows()
    step.batch_size = count
    rows: list[Row] = []
    last = False
    step.load()
    began = time.monotonic()
    try:
        batches: Any = iter(step.process_applying_mappings())
        while len(rows) < count and not last:
            batch, last = next(batches, ([], True))
            rows.extend(batch)
    finally:
        seconds = time.monotonic() - began
        step.unload()
    if last and whole is None:
        whole = len(rows)  # it has no more
    return FirstRows(rows[:count], whole, seconds)


__all__ = ["FirstRows", "take_first_rows"]
