"""How many rows a run will have, as far as that is known before it."""

from __future__ import annotations

from beam_distilabel.pipeline.graph import Graph
from beam_distilabel.step import RowStep
from beam_distilabel.task import Task


def row_totals(graph: Graph) -> dict[str, int]:
    """How many rows each Step will send on, where that follows from the loader."""
    totals: dict[str, int] = {}
    for name in graph.in_order():
        step = graph.steps[name]
        predecessors = graph.predecessors(name)
        if step.is_generator:
            known = step.count_rows()
            if known is not None:
                totals[name] = known
        elif len(predecessors) == 1 and predecessors[0] in totals:
            if predecessors[0] in graph.routers:
                continue
            if isinstance(step, RowStep):
                totals[name] = totals[predecessors[0]]
            elif isinstance(step, Task) and type(step).process is Task.process:
                each = 1 if step.group_generations else step.num_generations or 1
                totals[name] = totals[predecessors[0]] * each
    return totals
