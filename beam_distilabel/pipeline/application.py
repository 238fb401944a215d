"""Applying a graph of Steps to a Beam pipeline."""

from __future__ import annotations

from typing import Any, NamedTuple

import apache_beam as beam

from beam_distilabel.context import RunContext
from beam_distilabel.pipeline.graph import Graph
from beam_distilabel.pipeline.routing import MarkFork, RouteRows
from beam_distilabel.step import WithFailures


class GraphOutputs(NamedTuple):
    """The rows of each subset, and the failures of all Steps."""

    subsets: dict[str, Any]
    failures: Any


def apply_graph(graph: Graph, pcoll: Any, context: RunContext) -> GraphOutputs:
    """Apply every Step of a validated graph.

    Args:
        graph: the Steps; each must be this application's own copy.
        pcoll: the Beam pipeline, or the rows that the roots receive.
        context: the run.
    """
    sent: dict[tuple[str, str], Any] = {}
    subsets: dict[str, Any] = {}
    failures = []
    names = graph.subsets()
    for name in graph.in_order():
        step = graph.steps[name]
        predecessors = graph.predecessors(name)
        successors = graph.successors(name)
        step._context = context
        step._shares_input = any(len(graph.successors(p)) > 1 for p in predecessors)
        if len(predecessors) > 1:
            step._join = graph.join_spec(name)
        inputs = tuple(sent[predecessor, name] for predecessor in predecessors)
        received = inputs if len(inputs) > 1 else inputs[0] if inputs else pcoll
        result = received | name >> WithFailures(step)
        failures.append(result["failures"])
        rows = result["rows"]
        if name in names:
            subsets[names[name]] = rows
        elif name in graph.routers:
            route = RouteRows(
                graph.routers[name], name, successors, graph.marks_fork(name), context.seed
            )
            routed = rows | f"{name}: route" >> beam.ParDo(route).with_outputs(*successors)
            for successor in successors:
                sent[name, successor] = routed[successor]
        else:
            if graph.marks_fork(name):
                rows = rows | f"{name}: fork" >> beam.ParDo(MarkFork())
            for successor in successors:
                sent[name, successor] = rows
    return GraphOutputs(subsets, tuple(failures) | "All failures" >> beam.Flatten())
