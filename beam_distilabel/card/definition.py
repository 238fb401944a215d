"""The Steps, connections and models in the content of a `pipeline.yaml`.

People edit such files; what doesn't have the form that it should is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

_SIGNS_OF_A_MODEL = ("generation_kwargs", "model", "model_name", "model_id", "base_url")


@dataclass(frozen=True)
class ModelEntry:
    """A model of a Step.

    Attributes:
        field: the Step's field that holds it, such as `llm`.
        fields: its own fields.
    """

    field: str
    fields: Mapping[str, Any]

    @property
    def class_name(self) -> str:
        return _class_of(self.fields)[1]

    @property
    def name(self) -> str:
        """Which model it is; the name of its class where no field says."""
        for key in ("model", "model_name", "model_id"):
            if self.fields.get(key):
                return str(self.fields[key])
        return self.class_name

    @property
    def generation_kwargs(self) -> Mapping[str, Any]:
        return mapping(self.fields.get("generation_kwargs"))


@dataclass(frozen=True)
class StepEntry:
    """A Step.

    Attributes:
        name: of the Step.
        fields: its fields.
    """

    name: str
    fields: Mapping[str, Any]

    @property
    def class_name(self) -> str:
        return _class_of(self.fields)[1]

    @property
    def module(self) -> str:
        """The module of its class."""
        return _class_of(self.fields)[0]

    @property
    def models(self) -> list[ModelEntry]:
        """The models in its fields, however deep."""
        return list(_models(self.fields))


@dataclass(frozen=True)
class Definition:
    """What a `pipeline.yaml` says.

    Attributes:
        name: of the pipeline.
        description: of the pipeline.
        steps: the Steps, as they were added.
        connections: Step to its successors, both among `steps`.
        routers: Step to what chooses among its successors.
        requirements: what pip has to install.
        version: of the package that wrote it.
    """

    name: str = ""
    description: str = ""
    steps: list[StepEntry] = field(default_factory=list)
    connections: dict[str, list[str]] = field(default_factory=dict)
    routers: dict[str, str] = field(default_factory=dict)
    requirements: list[str] = field(default_factory=list)
    version: str = ""


def read_definition(content: Mapping[str, Any]) -> Definition:
    """The Steps and connections of a `pipeline.yaml`'s content.

    Example:
        >>> step = {"name": "load", "step": {"type_info": {"module": "m", "name": "Load"}}}
        >>> read_definition({"pipeline": {"name": "p", "steps": [step]}}).steps[0].class_name
        'Load'
    """
    pipeline = mapping(content.get("pipeline"))
    steps = {}
    for entry in _mappings(pipeline.get("steps")):
        fields = mapping(entry.get("step"))
        name = str(entry.get("name") or fields.get("name") or "")
        if name:
            steps[name] = StepEntry(name, fields)
    connections: dict[str, list[str]] = {name: [] for name in steps}
    for entry in _mappings(pipeline.get("connections")):
        targets = entry.get("to")
        if entry.get("from") in connections and isinstance(targets, list):
            known = [str(target) for target in targets if str(target) in steps]
            connections[entry["from"]].extend(dict.fromkeys(known))
    routers = {
        str(entry.get("step")): _router(entry)
        for entry in _mappings(pipeline.get("routing_batch_functions"))
    }
    requirements = content.get("requirements")
    return Definition(
        name=str(pipeline.get("name") or ""),
        description=str(pipeline.get("description") or ""),
        steps=list(steps.values()),
        connections=connections,
        routers=routers,
        requirements=[str(x) for x in requirements] if isinstance(requirements, list) else [],
        version=str(mapping(content.get("beam_distilabel")).get("version") or ""),
    )


def mapping(value: Any) -> Mapping[str, Any]:
    """`value` if it is a mapping, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def arguments_text(arguments: Mapping[str, Any]) -> str:
    """Arguments as they are written in a call.

    Example:
        >>> arguments_text({"temperature": 0.7, "stop": ["x"]})
        "temperature=0.7, stop=['x']"
    """
    return ", ".join(f"{name}={value!r}" for name, value in arguments.items())


def _mappings(value: Any) -> list[Mapping[str, Any]]:
    entries = value if isinstance(value, list) else []
    return [entry for entry in entries if isinstance(entry, Mapping)]


def _class_of(fields: Mapping[str, Any]) -> tuple[str, str]:
    info = mapping(fields.get("type_info"))
    return str(info.get("module") or ""), str(info.get("name") or "")


def _router(entry: Mapping[str, Any]) -> str:
    info = mapping(entry.get("type_info"))
    name = str(info.get("name") or "a function")
    arguments = mapping(info.get("kwargs"))
    return f"{name}({arguments_text(arguments)})" if arguments else name


def _models(fields: Any, under: str = "") -> Iterator[ModelEntry]:
    if isinstance(fields, Mapping):
        if under and "type_info" in fields and any(key in fields for key in _SIGNS_OF_A_MODEL):
            yield ModelEntry(under, fields)
            return
        for name, value in fields.items():
            if name not in ("type_info", "runtime_parameters_info"):
                yield from _models(value, str(name))
    elif isinstance(fields, list):
        for value in fields:
            yield from _models(value, under)
