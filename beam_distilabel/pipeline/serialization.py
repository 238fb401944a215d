"""Pipelines as data: distilabel's `pipeline.yaml`, written and read.

Class names are looked up among the Steps and LLMs that exist in this process. A file never causes
an import, an evaluation or a network call.
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import yaml
from pydantic import ValidationError

from beam_distilabel.dumping import encode, is_secret, type_info
from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.filesystems import open_file
from beam_distilabel.models.base import EngineModel
from beam_distilabel.pipeline import routing
from beam_distilabel.pipeline.graph import Graph
from beam_distilabel.pipeline.route import Route
from beam_distilabel.runtime_parameters import closest
from beam_distilabel.secrets.fields import replace_secrets
from beam_distilabel.secrets.references import source_in
from beam_distilabel.step import _Step
from beam_distilabel.version import __version__

_ROUTERS: dict[str, Callable[..., routing.Router]] = {
    "sample_n_steps": routing.sample_n_steps,
    "Route": Route,
}
_NOT_FIELDS = ("type_info", "runtime_parameters_info")


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
        "requirements": pipeline.requirements,
    }


def dump_step(step: _Step) -> dict[str, Any]:
    """A Step's fields, its runtime parameters and its class."""
    info = step.get_runtime_parameters_info()
    return {**step.dump(), "runtime_parameters_info": encode(info)}


def _dump_router(router: routing.Router) -> dict[str, Any]:
    info: dict[str, Any] = {"module": None, "name": router.name, "kwargs": {}}
    if router.factory is not None:
        factory = copy.deepcopy(router.factory)
        info = dict(zip(("module", "name", "kwargs"), factory, strict=True))
    return {"description": router.description, "type_info": info}


# -- reading ---------------------------------------------------------------------------------------


def pipeline_arguments(data: Mapping[str, Any]) -> dict[str, Any]:
    """The constructor arguments of the pipeline that `data` describes.

    Raises:
        DistilabelUserError: `data` is no pipeline, or was written by a newer version.
    """
    pipeline = data.get("pipeline") if isinstance(data, Mapping) else None
    if not isinstance(pipeline, Mapping) or not isinstance(pipeline.get("steps"), list):
        raise DistilabelUserError(
            "this is no pipeline file: it has no `pipeline` with a list of `steps`."
        )
    written = (data.get("beam_distilabel") or {}).get("version", __version__)
    if _version(written) > _version(__version__):
        raise DistilabelUserError(
            f"the file was written by beam-distilabel {written}, this is {__version__}; "
            "upgrade with `pip install -U beam-distilabel`."
        )
    return {
        "name": pipeline.get("name"),
        "description": pipeline.get("description"),
        "requirements": data.get("requirements") or [],
    }


def add_steps(pipeline: Any, data: Mapping[str, Any]) -> None:
    """Add the Steps, connections and routers of `data` to `pipeline`.

    Raises:
        DistilabelUserError: a class or a field is unknown.
    """
    described = data["pipeline"]
    with pipeline:
        for entry in _entries(described, "steps", step=Mapping):
            fields = {**entry["step"], "name": entry.get("name") or entry["step"].get("name")}
            _make(fields, known_classes(_Step), f"Step {fields['name']!r}")
    routers = {
        entry["step"]: entry for entry in _entries(described, "routing_batch_functions", step=str)
    }
    graph = pipeline.graph
    for connection in _entries(described, "connections", **{"from": str, "to": list}):
        if not connection["to"]:
            continue
        source = graph.get(connection["from"])
        targets = [graph.get(name) for name in connection["to"]]
        router = routers.get(connection["from"])
        source.connect(*targets, routing_batch_function=_make_router(router) if router else None)


def _entries(described: Mapping[str, Any], name: str, **kinds: type) -> list[Mapping[str, Any]]:
    """The list `described[name]`, whose entries have keys with values of the kinds given.

    Raises:
        DistilabelUserError: an entry has not.
    """
    entries = described.get(name) or []
    for entry in entries if isinstance(entries, list) else [entries]:
        for key, kind in kinds.items():
            if not isinstance(entry, Mapping) or not isinstance(entry.get(key), kind):
                raise DistilabelUserError(
                    f"this is no pipeline file: an entry of `{name}` has no {key!r}, or one that "
                    f"is no {kind.__name__}: {str(entry)[:200]}"
                )
    return list(entries)


def _type_info(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    info = fields.get("type_info")
    return info if isinstance(info, Mapping) else {}


def known_classes(base: type) -> dict[str, list[type]]:
    """The subclasses of `base` in this process by name, built-in ones included."""
    import beam_distilabel.models.llms
    import beam_distilabel.models.vllm.embeddings
    import beam_distilabel.steps.tasks  # noqa: F401

    classes: dict[str, list[type]] = {}
    for cls in _subclasses(base):
        classes.setdefault(cls.__name__, []).append(cls)
    return classes


def _subclasses(base: type) -> Iterator[type]:
    subclasses: list[type] = base.__subclasses__()
    for cls in subclasses:
        yield cls
        yield from _subclasses(cls)


def _make(fields: Mapping[str, Any], classes: dict[str, list[type]], what: str) -> Any:
    """An object of the class that `fields["type_info"]` names."""
    info = _type_info(fields)
    name, module = str(info.get("name")), str(info.get("module"))
    candidates = list(dict.fromkeys(classes.get(name.rpartition(".")[2], [])))
    if not candidates:
        raise DistilabelUserError(
            f"{what}: there is no class {name!r} (module {module!r}) here."
            f"{closest(name, classes)} Import the module that defines it before you load the file."
        )
    exact = [known for known in candidates if known.__module__ == module]
    cls: Any = (exact or candidates)[-1]
    values = {}
    for field, value in fields.items():
        if field in _NOT_FIELDS:
            continue
        if field not in cls.model_fields:
            raise DistilabelUserError(
                f"{what}: {name} has no field {field!r}.{closest(field, cls.model_fields)}"
            )
        values[field] = _decode(value, f"{what}, field {field!r}")
        if is_secret(cls.model_fields[field].annotation):
            _refuse_file(field, value, what)
    replace_secrets(values, lambda path, value: _refuse_file(path, value, what))
    try:
        return cls(**values)
    except ValidationError as error:
        raise DistilabelUserError(f"{what}: {error}") from None


def _refuse_file(path: str, value: Any, what: str) -> Any:
    """A pipeline file may come from anywhere: it has no say in which files are read.

    Raises:
        DistilabelUserError: it names a file with a secret.
    """
    source = source_in(value) if isinstance(value, str) else None
    if source is not None and source[1].startswith("file:"):
        raise DistilabelUserError(
            f"{what}: {path} names a file with a secret, {source[1]!r}, which a pipeline file may "
            f"not. Give it with the run: `--param STEP.{path}={source[1]}`."
        )
    return value


def load_model(path: str | os.PathLike[str]) -> EngineModel:
    """The model that a file describes, in the form of its `dump()`.

    Raises:
        DistilabelUserError: the file can't be read, or describes none.
    """
    described = read(path, format_of(path))
    if not isinstance(described, Mapping) or "type_info" not in described:
        raise DistilabelUserError(
            f"{str(path)!r} describes no model: expected a dict with `type_info` and the fields, "
            "as `llm.dump()` gives it."
        )
    model: EngineModel = _make(described, known_classes(EngineModel), str(path))
    return model


def _decode(value: Any, what: str) -> Any:
    """A field's value; dicts with `type_info` become the models that they describe."""
    if isinstance(value, Mapping):
        if "type_info" in value:
            return _make(value, known_classes(EngineModel), what)
        return {key: _decode(item, what) for key, item in value.items() if key not in _NOT_FIELDS}
    if isinstance(value, list):
        return [_decode(item, what) for item in value]
    return value


def _make_router(entry: Mapping[str, Any]) -> routing.Router:
    info = _type_info(entry)
    factory = _ROUTERS.get(str(info.get("name")))
    if factory is None:
        raise DistilabelUserError(
            f"Step {entry['step']!r}: the routing function {info.get('name')!r} can't be loaded "
            f"from a file; known are {', '.join(_ROUTERS)}."
        )
    try:
        return factory(**(info.get("kwargs") or {}))
    except (TypeError, DistilabelUserError) as error:
        raise DistilabelUserError(f"Step {entry['step']!r}: {error}") from None


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in str(text).split(".")[:3] if part.isdigit())


# -- files -----------------------------------------------------------------------------------------


def format_of(path: str | os.PathLike[str]) -> str:
    """ "json" or "yaml", by the file's extension.

    Raises:
        DistilabelUserError: it is neither.
    """
    extension = os.path.splitext(str(path))[1].lower()
    if extension in (".yaml", ".yml"):
        return "yaml"
    if extension == ".json":
        return "json"
    raise DistilabelUserError(f"{str(path)!r} is no .yaml, .yml or .json file.")


def save(data: Mapping[str, Any], path: str | os.PathLike[str], format: str) -> None:
    """Write a dump to a file.

    Raises:
        DistilabelUserError: the format is unknown.
    """
    if format not in ("json", "yaml"):
        raise DistilabelUserError(f"save: format={format!r}; use 'json' or 'yaml'.")
    with open_file(str(path), "w") as file:
        if format == "yaml":
            yaml.safe_dump(data, file, sort_keys=False, allow_unicode=True)
        else:
            json.dump(data, file, indent=2, ensure_ascii=False)


def read(path: str | os.PathLike[str], format: str) -> Any:
    """The content of a pipeline file.

    Raises:
        DistilabelUserError: it isn't there or can't be read.
    """
    try:
        with open_file(str(path), "r") as file:
            return yaml.safe_load(file) if format == "yaml" else json.load(file)
    except FileNotFoundError:
        raise DistilabelUserError(f"there is no file {str(path)!r}.") from None
    except (yaml.YAMLError, json.JSONDecodeError) as error:
        raise DistilabelUserError(f"{str(path)!r} can't be read as {format}: {error}") from None
