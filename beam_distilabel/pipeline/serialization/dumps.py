"""Pipelines as data, in the shape of distilabel's `pipeline.yaml`."""

from __future__ import annotations

from typing import Any

from beam_distilabel.dumping import encode, type_info
from beam_distilabel.pipeline import routing
from beam_distilabel.pipeline.graph import Graph
from beam_distilabel.step import _Step
from beam_distilabel.version import __version__

_INFO_KEYS = ("name", "optional", "description", "keys", "runtime_parameters_info")
"""What distilabel writes of a runtime parameter."""


def dump_pipeline(pipeline: Any, graph: Graph | None = None) -> dict[str, Any]:
    """A pipeline as JSON-like data; with `graph`, with these Steps instead of its own."""
    graph = graph or pipeline.graph
    return {
        "distilabel": {"version": "1.5.3"},
        "beam_distilabel": {"version": __version__},
        "pipeline": {
            "name": pipeline.name,
            "description": pipeline.description,
            "steps": [
                {"step": dump_step(step), "name": name} for name, step in graph.steps.items()
            ],
            "connections": [
                {"from": name, "to": list(graph.successors(name))} for name in graph.steps
            ],
            "routing_batch_functions": [
                {"step": name, **_dump_router(router)} for name, router in graph.routers.items()
            ],
            "type_info": type_info(type(pipeline)),
        },
        "requirements": list(pipeline.requirements),
    }


def dump_step(step: _Step) -> dict[str, Any]:
    """A Step's fields, its runtime parameters and its class."""
    info = _documented(step.get_runtime_parameters_info())
    return {**step.dump(), "runtime_parameters_info": encode(info)}


def _documented(info: Any) -> Any:
    """What is written of runtime parameters: types and defaults are the classes' own."""
    if isinstance(info, list):
        return [
            {key: _documented(value) for key, value in entry.items() if key in _INFO_KEYS}
            for entry in info
        ]
    if isinstance(info, dict):
        return {index: _documented(of_item) for index, of_item in info.items()}
    return info


def _dump_router(router: routing.Router) -> dict[str, Any]:
    info: dict[str, Any] = {"module": None, "name": router.name, "kwargs": {}}
    if router.factory is not None:
        info = dict(zip(("module", "name", "kwargs"), router.factory, strict=True))
    return {"description": router.description, "type_info": encode(info)}


__all__ = ["dump_pipeline", "dump_step"]
