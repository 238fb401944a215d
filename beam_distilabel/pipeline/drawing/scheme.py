"""What is drawn of a pipeline: Steps, routers, subsets, how rows pass them, and columns."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

from beam_distilabel.metadata import METADATA
from beam_distilabel.models.base import EngineModel
from beam_distilabel.pipeline.graph import Graph
from beam_distilabel.pipeline.routing import Router, RoutingBatchFunction
from beam_distilabel.transforms.sources.load_data_from_dataset import LoadDataFromDataset
from beam_distilabel.transforms.sources.loader import FileLoader

Kind = Literal["source", "step", "task", "global", "router", "subset"]


@dataclasses.dataclass(frozen=True)
class Node:
    """Something that rows pass.

    Attributes:
        kind: what it is.
        title: the Step's name, what the router does, or the subset's name.
        subtitle: the Step's class, and that of its model.
        columns: those that the Step makes; None where that isn't known.
        hint: more about it, shown where the mouse is.
    """

    kind: Kind
    title: str
    subtitle: str = ""
    columns: tuple[str, ...] | None = None
    hint: str = ""


@dataclasses.dataclass
class Scheme:
    """Nodes, predecessors first, and the edges between their positions.

    Attributes:
        nodes: what rows pass.
        edges: (from, to).
    """

    nodes: list[Node]
    edges: list[tuple[int, int]]

    def is_choice(self, edge: tuple[int, int]) -> bool:
        """Whether only some of the rows take this edge: it leaves a router."""
        return self.nodes[edge[0]].kind == "router"


def scheme_of(graph: Graph) -> Scheme:
    """What is drawn of `graph`. Nothing is read: columns of data elsewhere stay unknown."""
    nodes: list[Node] = []
    edges: list[tuple[int, int]] = []
    exits: dict[str, int] = {}
    for name in graph.in_order():
        step = graph.steps[name]
        here = len(nodes)
        nodes.append(Node(_kind(step), name, _subtitle(step), columns_made(step)))
        edges.extend((exits[before], here) for before in graph.predecessors(name))
        exits[name] = here
        router = graph.routers.get(name)
        if router is not None:
            exits[name] = len(nodes)
            nodes.append(Node("router", router_text(router), hint=router.description or ""))
            edges.append((here, exits[name]))
    for leaf, subset in graph.subsets().items():
        edges.append((exits[leaf], len(nodes)))
        nodes.append(Node("subset", subset, "subset"))
    return Scheme(nodes, edges)


def columns_made(step: Any) -> tuple[str, ...] | None:
    """The columns that a Step says it makes, None where that isn't known without reading data."""
    if isinstance(step, FileLoader) and not isinstance(step, LoadDataFromDataset):
        return None
    try:
        made = step.get_outputs()
    except Exception:
        return None  # a user's code; validation says what is wrong with it
    return tuple(str(name) for name in made if name not in (METADATA, "model_name"))


def router_text(router: Router) -> str:
    """What a router is called: the call of the factory that made a function, else its name.

    Example:
        >>> from beam_distilabel.pipeline.routing import sample_n_steps
        >>> router_text(sample_n_steps(2))
        'sample_n_steps(n=2)'
    """
    if isinstance(router, RoutingBatchFunction) and router.factory:
        _, name, arguments = router.factory
        return f"{name}({', '.join(f'{key}={value!r}' for key, value in arguments.items())})"
    return router.name


def _kind(step: Any) -> Kind:
    if step.is_generator:
        return "source"
    if _models(step):
        return "task"
    return "global" if step.is_global else "step"


def _subtitle(step: Any) -> str:
    # Not the model's name: some ask a server for it.
    return " · ".join([type(step).__name__, *_models(step)])


def _models(step: Any) -> list[str]:
    values = (getattr(step, name) for name in type(step).model_fields)
    return [type(value).__name__ for value in values if isinstance(value, EngineModel)]


__all__ = ["Kind", "Node", "Scheme", "columns_made", "router_text", "scheme_of"]
