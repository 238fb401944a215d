"""What Tasks asked and were answered, by the rows that they made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from beam_distilabel.metadata import METADATA, MetadataKeys, metadata_keys, metadata_of
from beam_distilabel.pipeline.graph import Graph
from beam_distilabel.pipeline.preview.data import Exchange
from beam_distilabel.row import ROW_ID, Row
from beam_distilabel.step import RowStep, open_pipelines
from beam_distilabel.task import _Task

_TAP = "-preview"
_ROW = "preview_row_id"


class _Tap(RowStep):
    """Keeps what a Step sends on, with each row's id, in a subset of its own."""

    def transform_row(self, row: Row) -> Row:
        return {**row, _ROW: row[ROW_ID]}


def add_taps(graph: Graph) -> tuple[dict[str, str], dict[str, str]]:
    """Have all that leaves and Tasks make end up in subsets.

    Returns:
        Step to the name of its subset, and leaf to the name that its subset has in a run. A Task
        whose rows a router sends on gets none: its answers are in the rows of those after it.
    """
    subsets = graph.subsets()
    tapped = {}
    token = open_pipelines.set(())
    try:
        for name, step in list(graph.steps.items()):
            if name in subsets or (isinstance(step, _Task) and name not in graph.routers):
                tap = f"{name}{_TAP}"
                while tap in graph.steps:
                    tap += "-"
                graph.add(_Tap(name=tap))
                graph.connect(name, tap)
                tapped[name] = tap
    finally:
        open_pipelines.reset(token)
    if len(tapped) == 1:  # the only subset of a run has a name of its own
        tapped = dict.fromkeys(tapped, "default")
    return tapped, subsets


def exchanges_of(graph: Graph, step: str, seen: Mapping[str, list[Row]]) -> list[Exchange]:
    """What a Task asked, by the metadata of the rows that it made."""
    keys = metadata_keys(step)
    after = [step] if step in seen else sorted(descendants(graph, step) & set(seen))
    outputs = [name for name in graph.steps[step].get_outputs() if name != METADATA]
    found: list[Exchange] = []
    for name in after:
        for row in seen[name]:
            for exchange in _of_row(step, row, keys, outputs):
                if name == step or exchange not in found:
                    found.append(exchange)
    return found


def _of_row(step: str, row: Row, keys: MetadataKeys, outputs: list[str]) -> Iterable[Exchange]:
    metadata = metadata_of(row)
    if not {keys.raw_input, keys.raw_output, keys.failure} & metadata.keys():
        return
    made = {name: row[name] for name in outputs if name in row}
    told: list[Any] = [
        metadata.get(key) for key in (keys.raw_output, keys.failure, keys.statistics)
    ]
    prompt = metadata.get(keys.raw_input)
    # With `group_generations` a row has a list of each.
    grouped = isinstance(told[2], list) and isinstance(told[0], list)
    count = len(told[0]) if grouped else 1
    for i in range(count):
        answer, failure, counted = (
            part[i] if grouped and isinstance(part, list) and i < len(part) else part
            for part in told
        )
        each = {
            name: value[i] if grouped and isinstance(value, list) and len(value) == count else value
            for name, value in made.items()
        }
        asked = prompt
        if grouped and isinstance(prompt, list) and len(prompt) == count:
            asked = prompt[i]
        yield Exchange(step, str(row.get(_ROW)), asked, answer, each, failure, counted or {})


def descendants(graph: Graph, name: str) -> set[str]:
    found: set[str] = set()
    todo = list(graph.successors(name))
    while todo:
        step = todo.pop()
        if step not in found:
            found.add(step)
            todo.extend(graph.successors(step))
    return found


def without_id(row: Row) -> Row:
    """A row as the Step has made it."""
    return {name: value for name, value in row.items() if name != _ROW}


__all__ = ["add_taps", "descendants", "exchanges_of", "without_id"]
