"""Applying a graph of Steps to a Beam pipeline."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import apache_beam as beam

from beam_distilabel.context import RunContext
from beam_distilabel.pipeline.columns import routed_columns
from beam_distilabel.pipeline.graph import Graph
from beam_distilabel.pipeline.needs import models_of, resources_of
from beam_distilabel.pipeline.route_rows import ROUTING_FAILURES, MarkFork, RouteRows
from beam_distilabel.pipeline.validation import needed_columns
from beam_distilabel.step import WithFailures


class GraphOutputs(NamedTuple):
    """The rows of each subset, and the failures of all Steps."""

    subsets: dict[str, Any]
    failures: Any


class AppliedSteps(NamedTuple):
    """What Steps that were applied give.

    Attributes:
        sent: the PCollections that go on, by `stream_of`.
        leaves: the rows of each leaf, by its name.
        failures: one PCollection per Step.
    """

    sent: dict[str, Any]
    leaves: dict[str, Any]
    failures: list[Any]


def apply_graph(graph: Graph, pcoll: Any, context: RunContext) -> GraphOutputs:
    """Apply every Step of a validated graph.

    Args:
        graph: the Steps; each must be this application's own copy.
        pcoll: the Beam pipeline, or the rows that the roots receive.
        context: the run.
    """
    return as_outputs(graph, apply_steps(graph, graph.in_order(), pcoll, context, {}))


def as_outputs(graph: Graph, applied: AppliedSteps) -> GraphOutputs:
    """The leaves' rows as subsets, and all failures together."""
    subsets = {subset: applied.leaves[leaf] for leaf, subset in graph.subsets().items()}
    return GraphOutputs(subsets, tuple(applied.failures) | "All failures" >> beam.Flatten())


def _unfinished(graph: Graph, names: Sequence[str]) -> tuple[bool, ...]:
    """Per Step, whether rows that reach its successors may be missing since they aren't finished:
    it, or one before it, asks a model."""

    @functools.cache
    def asks(name: str) -> bool:
        return bool(models_of(graph.steps[name])) or any(map(asks, graph.predecessors(name)))

    return tuple(map(asks, names))


def _asks_next(graph: Graph, name: str) -> bool:
    """Whether a model is asked for the rows that a Step sends on, before they are shuffled."""
    return any(
        bool(models_of(graph.steps[successor])) or _asks_next(graph, successor)
        for successor in graph.successors(name)
        if len(graph.predecessors(successor)) == 1 and not graph.steps[successor].is_global
    )


def stream_of(graph: Graph, source: str, target: str) -> str:
    """What names the rows that go from one Step to another: all successors get the same, unless
    a router chooses."""
    return f"{source}.{target}" if source in graph.routers else source


def apply_steps(
    graph: Graph,
    names: Sequence[str],
    pcoll: Any,
    context: RunContext,
    received: Mapping[str, Any],
) -> AppliedSteps:
    """Apply some of a graph's Steps.

    Args:
        graph: all Steps; each of those applied must be this application's own copy.
        names: those to apply, predecessors first.
        pcoll: the Beam pipeline, or the rows that the roots receive.
        context: the run.
        received: what Steps that aren't among them send, by `stream_of`.
    """
    sent: dict[str, Any] = dict(received)
    leaves: dict[str, Any] = {}
    failures = []
    resources = resources_of(graph)
    routed = routed_columns(graph)
    for name in names:
        step = graph.steps[name]
        predecessors = graph.predecessors(name)
        successors = graph.successors(name)
        # What mustn't be used is neither looked up nor shared; a run that goes on uses all.
        goes_on = context.finished_only or context.retries_failures
        step._context = (
            context
            if step.use_cache or goes_on
            else replace(context, response_cache_dir=None, uses_cache=False)
        )
        step._holds_model = bool(models_of(step))
        step._spreads = context.spreads and _asks_next(graph, name)
        step._shares_input = any(len(graph.successors(p)) > 1 for p in predecessors)
        if len(predecessors) > 1:
            step._join = graph.join_spec(name)
            step._join = replace(step._join, needs=needed_columns(graph, name))
            if context.finished_only:
                step._join = replace(step._join, partial=_unfinished(graph, predecessors))
        inputs = tuple(sent[stream_of(graph, other, name)] for other in predecessors)
        got = inputs if len(inputs) > 1 else inputs[0] if inputs else pcoll
        applied = WithFailures(step).with_resource_hints(**resources[name].resource_hints())
        result = got | name >> applied
        failures.append(result["failures"])
        rows = result["rows"]
        if not successors:
            leaves[name] = rows
        elif name in graph.routers:
            route = RouteRows(
                graph.routers[name],
                step,
                successors,
                graph.marks_fork(name),
                context.seed,
                routed[name],
            )
            routes = rows | f"{name}: route" >> beam.ParDo(route).with_outputs(
                *successors, ROUTING_FAILURES
            )
            failures.append(routes[ROUTING_FAILURES])
            for successor in successors:
                sent[stream_of(graph, name, successor)] = routes[successor]
        else:
            if graph.marks_fork(name):
                rows = rows | f"{name}: fork" >> beam.ParDo(MarkFork())
            sent[name] = rows
    return AppliedSteps(sent, leaves, failures)
