"""Pipelines made of data, which may come from anyone: nothing that it names is imported or read."""

from __future__ import annotations

import base64
import binascii
import enum
import inspect
import os
import re
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from packaging.version import InvalidVersion, Version
from pydantic import BaseModel, ValidationError

from beam_distilabel.dumping import Dumpable, is_secret
from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.models.base import EngineModel
from beam_distilabel.pipeline.registry import (
    find_class,
    find_router,
    find_schema,
    known_classes,
)
from beam_distilabel.pipeline.routing import Router
from beam_distilabel.pipeline.serialization.documents import DocumentError, NamedClass, plain
from beam_distilabel.pipeline.serialization.files import format_of, read
from beam_distilabel.problems import closest, problems_of
from beam_distilabel.redaction import hide_secrets
from beam_distilabel.runtime_parameters import RuntimeParametersMixin, is_finite
from beam_distilabel.secret_texts import HIDDEN
from beam_distilabel.secrets.fields import replace_secrets
from beam_distilabel.secrets.references import source_in
from beam_distilabel.step import _Step
from beam_distilabel.version import __version__

_NOT_FIELDS = ("type_info", "runtime_parameters_info")

_ENUM_TYPES: dict[str, type] = {kind.__name__: kind for kind in (str, int, float, bool)}

_PLACES = re.compile(r"(?:Step|field) '([^']+)'|item (\d+)")
"""What texts such as "Step 'ask', field 'llms', item 0" name."""

_DISTILABEL = Version("2")
"""The first version of distilabel whose files aren't known."""


def pipeline_arguments(data: Any) -> dict[str, Any]:
    """The constructor arguments of the pipeline that `data` describes.

    Raises:
        DistilabelUserError: `data` is no pipeline, or was written by a newer version.
    """
    pipeline = data.get("pipeline") if isinstance(data, Mapping) else None
    if not isinstance(pipeline, Mapping) or not isinstance(pipeline.get("steps"), list):
        raise DistilabelUserError(
            "this is no pipeline file: it has no `pipeline` with a list of `steps`."
        )
    try:
        plain(data)
    except DocumentError as error:
        raise DistilabelUserError(f"this pipeline can't be loaded: {error}.") from None
    _check_version(data)
    for what in ("name", "description"):
        value = pipeline.get(what)
        if value is not None and not isinstance(value, str):
            raise DistilabelUserError(
                f"this is no pipeline file: the pipeline's {what} is no text: {str(value)[:80]!r}"
            )
    requirements = data.get("requirements") or []
    if not isinstance(requirements, list) or not all(isinstance(r, str) for r in requirements):
        raise DistilabelUserError(
            "this is no pipeline file: `requirements` has to be a list of texts, such as "
            f"'pyarrow>=15', not {str(requirements)[:80]!r}."
        )
    return {
        "name": pipeline.get("name"),
        "description": pipeline.get("description"),
        "requirements": requirements,
    }


def _check_version(data: Mapping[str, Any]) -> None:
    """Raise where `data` was written by a version that may write what is not known here."""
    for who, newest in (("beam_distilabel", _comparable(__version__)), ("distilabel", None)):
        entry = data.get(who)
        if entry is None:
            continue
        written = entry.get("version") if isinstance(entry, Mapping) else entry
        try:
            version = _comparable(str(written)[:80])
        except InvalidVersion:
            raise DistilabelUserError(
                f"this is no pipeline file: {str(written)[:80]!r} is no version of {who}."
            ) from None
        if newest is not None and version > newest:
            raise DistilabelUserError(
                f"the file was written by beam-distilabel {version}, this is {__version__}; "
                "upgrade with `pip install -U beam-distilabel`."
            )
        if newest is None and version >= _DISTILABEL:
            raise DistilabelUserError(
                f"the file was written by distilabel {version}; files of distilabel 1 can be read."
            )


def _comparable(text: str) -> Version:
    """A version, without what says nothing about files: local parts, and later builds."""
    version = Version(text)
    before, _, _ = version.public.partition(".post")
    return Version(before)


# -- Steps -----------------------------------------------------------------------------------------


def add_steps(pipeline: Any, data: Mapping[str, Any]) -> None:
    """Add the Steps, connections and routers of `data` to `pipeline`.

    Raises:
        DistilabelUserError: names are unknown, all of which are listed, or a value doesn't fit.
    """
    described = data["pipeline"]
    entries = _entries(described, "steps", step=Mapping)
    connections = _entries(described, "connections", **{"from": str, "to": list})
    routers = _entries(described, "routing_batch_functions", step=str)
    steps = [_named(entry) for entry in entries]
    loader = _Loader()
    problems = [
        problem for fields in steps for problem in loader.problems(fields, _Step, _what(fields))
    ]
    problems += _unknown_names([str(fields["name"]) for fields in steps], connections, routers)
    made: dict[str, Router] = {}
    for entry in routers:
        try:
            made[entry["step"]] = _router(entry)
        except DistilabelUserError as error:
            problems.append(f"Step {entry['step']!r}: {error}")
    _raise(problems)
    with pipeline:
        for fields in steps:
            try:
                loader.make(fields, _Step, _what(fields))
            except DistilabelUserError as error:
                problems.append(str(error))
    _raise(problems)
    graph = pipeline.graph
    for connection in connections:
        if connection["to"]:
            targets = [graph.get(name) for name in connection["to"]]
            router = made.pop(connection["from"], None)
            graph.get(connection["from"]).connect(*targets, routing_batch_function=router)
    for name in made:
        raise DistilabelUserError(
            f"Step {name!r} has a routing function in `routing_batch_functions`, and no Step after "
            "it in `connections`."
        )


def _raise(problems: list[str]) -> None:
    if len(problems) == 1:
        raise DistilabelUserError(problems[0])
    if problems:
        listed = "\n".join(f"- {problem}" for problem in problems)
        raise DistilabelUserError(
            f"the pipeline can't be loaded, for {len(problems)} reasons:\n{listed}"
        )


def _named(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {**entry["step"], "name": entry.get("name") or entry["step"].get("name")}


def _what(fields: Mapping[str, Any]) -> str:
    return f"Step {str(fields['name'])[:80]!r}"


def _unknown_names(
    names: list[str],
    connections: Iterable[Mapping[str, Any]],
    routers: Iterable[Mapping[str, Any]],
) -> list[str]:
    used = [
        *((name, "connections") for c in connections for name in (c["from"], *c["to"])),
        *((router["step"], "routing_batch_functions") for router in routers),
    ]
    return [
        f"there is no Step {str(name)[:80]!r}, which `{where}` names.{closest(str(name), names)}"
        for name, where in dict.fromkeys((str(name), where) for name, where in used)
        if name not in names
    ]


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


def _router(entry: Mapping[str, Any]) -> Router:
    info = entry.get("type_info")
    info = info if isinstance(info, Mapping) else {}
    arguments = info.get("kwargs") or {}
    if not isinstance(arguments, Mapping):
        raise DistilabelUserError(f"the routing function's arguments are no dict: {arguments!r}.")
    return find_router(str(info.get("name"))[:80], {str(k): v for k, v in arguments.items()})


# -- Steps and models ------------------------------------------------------------------------------


def _is_left_out(field: str, cls: Any) -> bool:
    """Whether a dump's entry is no field, or one that distilabel writes twice."""
    return field in _NOT_FIELDS or field in getattr(cls, "written_twice", ())


class _Loader:
    """Makes Steps and models of their dumps."""

    def __init__(self) -> None:
        self._classes: dict[type, dict[str, list[type]]] = {}

    def problems(self, fields: Mapping[str, Any], base: type, what: str) -> list[str]:
        """What of a dump is unknown here: classes and fields, those of models within it too."""
        found: list[str] = []
        cls: Any = None
        try:
            cls = self._class(fields, base)
        except DistilabelUserError as error:
            found.append(f"{what}: {error}")
        known = None if cls is None else cls.model_fields
        for field, value in fields.items():
            if _is_left_out(field, cls):
                continue
            if known is not None and field not in known:
                found.append(
                    f"{what}: {cls.__name__} has no field {field[:80]!r}.{closest(field, known)}"
                )
            found += self._problems_within(value, f"{what}, field {field[:80]!r}")
        return found

    def _problems_within(self, value: Any, what: str) -> list[str]:
        if _is_dump(value):
            return self.problems(value, Dumpable, what)
        items = value.values() if isinstance(value, Mapping) else value
        if isinstance(value, (Mapping, list)):
            return [problem for item in items for problem in self._problems_within(item, what)]
        return []

    def make(self, fields: Mapping[str, Any], base: type, what: str) -> Any:
        """An object of the class that `fields["type_info"]` names.

        Raises:
            DistilabelUserError: the class or a field is unknown, or a value doesn't fit.
        """
        try:
            cls: Any = self._class(fields, base)
        except DistilabelUserError as error:
            raise DistilabelUserError(f"{what}: {error}") from None
        values = {}
        for field, value in fields.items():
            if _is_left_out(field, cls):
                continue
            known = cls.model_fields.get(field)
            if known is None:
                raise DistilabelUserError(
                    f"{what}: {cls.__name__} has no field {field[:80]!r}."
                    f"{closest(field, cls.model_fields)}"
                )
            if value != known.default and not is_finite(value):
                raise DistilabelUserError(
                    f"{what}: {field} is infinite, or has a number that is; numbers in files are "
                    "finite."
                )
            values[field] = self.decode(
                _as_list(value, known.annotation), f"{what}, field {field!r}"
            )
            if is_secret(known.annotation):
                _refuse_file(field, value, what)
        replace_secrets(values, lambda path, value: _refuse_file(path, value, what))
        if inspect.isabstract(cls):
            raise DistilabelUserError(
                f"{what}: {cls.__name__} is what other classes derive from; name one of them."
            )
        try:
            made = cls(**values)
        except ValidationError as error:
            listed = "; ".join(problems_of(error))
            raise DistilabelUserError(f"{what} ({cls.__name__}): {listed}") from None
        except Exception as error:  # a class may raise anything
            said = hide_secrets(str(error)) or type(error).__name__
            raise DistilabelUserError(f"{what} ({cls.__name__}): {said}") from error
        if isinstance(made, RuntimeParametersMixin):
            made.remember_code_of_file(values)
        return made

    def decode(self, value: Any, what: str) -> Any:
        """A field's value; a dict that is the dump of a model becomes the model."""
        if isinstance(value, Mapping):
            if _is_dump(value):
                return self.make(value, Dumpable, what)
            if "_type" in value:
                return _tagged(value, what)
            for key, item in value.items():
                _refuse_hidden(item, f"{what}: {str(key)[:80]!r}")
            return {key: self.decode(item, what) for key, item in value.items()}
        if isinstance(value, NamedClass):
            try:
                return find_schema(value.name, value.module)
            except DistilabelUserError as error:
                raise DistilabelUserError(f"{what}: {error}") from None
        if isinstance(value, (list, tuple)):
            for i, item in enumerate(value):
                _refuse_hidden(item, f"{what}, item {i}")
            return [self.decode(item, f"{what}, item {i}") for i, item in enumerate(value)]
        return value

    def _class(self, fields: Mapping[str, Any], base: type) -> type[BaseModel]:
        info = fields.get("type_info")
        info = info if isinstance(info, Mapping) else {}
        module = info.get("module")
        if base not in self._classes:
            classes = known_classes(base)
            if base is Dumpable:  # what is within a Step is no Step
                classes = {
                    name: kept
                    for name, all_ in classes.items()
                    if (kept := [cls for cls in all_ if not issubclass(cls, _Step)])
                }
            self._classes[base] = classes
        found: Any = find_class(
            str(info.get("name"))[:200],
            None if module is None else str(module)[:200],
            base,
            self._classes[base],
        )
        return found


def _is_dump(value: Any) -> bool:
    """Whether a value is the dump of a Step or model, and not data with a key "type_info"."""
    info = value.get("type_info") if isinstance(value, Mapping) else None
    return isinstance(info, Mapping) and isinstance(info.get("name"), str) and "module" in info


def _as_list(value: Any, annotation: Any) -> Any:
    """distilabel writes a list of models as a dict: position to model."""
    if (
        isinstance(value, Mapping)
        and value
        and all(_is_dump(item) and str(key).isdecimal() for key, item in value.items())
        and _takes_list_of_models(annotation)
    ):
        return [value[key] for key in sorted(value, key=int)]
    return value


def _takes_list_of_models(annotation: Any) -> bool:
    arguments = typing.get_args(annotation)
    if typing.get_origin(annotation) in (list, tuple):
        return any(isinstance(a, type) and issubclass(a, RuntimeParametersMixin) for a in arguments)
    return any(map(_takes_list_of_models, arguments))


def _tagged(value: Mapping[str, Any], what: str) -> Any:
    """What JSON has no form for: an enumeration, as distilabel writes one, and bytes."""
    make = _TAGGED.get(str(value["_type"]))
    if make is None:
        return dict(value)
    try:
        return make(value)
    except (AttributeError, KeyError, TypeError, ValueError, binascii.Error) as error:
        raise DistilabelUserError(
            f"{what}: this is no {value['_type']} as pipeline files have them: "
            f"{str(dict(value))[:200]}: {error}"
        ) from None


def _enum(value: Mapping[str, Any]) -> Any:
    kind = _ENUM_TYPES.get(str(value["_enum_type"]))
    members = value["_values"]
    if kind is None:
        raise ValueError(f"the type of its values is none of {', '.join(_ENUM_TYPES)}")
    for name, member in members.items():
        # Names with underscores have a meaning of their own to `Enum`.
        if not name.isidentifier() or name.startswith("_") or type(member) is not kind:
            raise ValueError(f"{name!r}: {member!r} can't be one of its values")
    name = str(value["_name"])
    if not name.isidentifier():
        raise ValueError(f"{name!r} is no name of a class")
    if kind is bool:  # which no class can derive from
        return enum.Enum(name, dict(members), module=__name__)
    return enum.Enum(name, dict(members), module=__name__, type=kind)


def _bytes(value: Mapping[str, Any]) -> bytes:
    return base64.b64decode(value["_base64"], validate=True)


_TAGGED: dict[str, Callable[[Mapping[str, Any]], Any]] = {"enum": _enum, "bytes": _bytes}


def _refuse_file(path: str, value: Any, what: str) -> Any:
    """A pipeline file may come from anywhere: it has no say in which files are read.

    Raises:
        DistilabelUserError: it names a file with a secret.
    """
    source = source_in(value) if isinstance(value, str) else None
    if source is not None and source[1].startswith("file:"):
        within = "".join(f"{one or other}." for one, other in _PLACES.findall(what))
        raise DistilabelUserError(
            f"{what}: {path} names a file with a secret, {source[1]!r}, which a pipeline file may "
            f"not. Give it with the run: `--param {within}{path}={source[1]}`."
        )
    return value


def _refuse_hidden(value: Any, what: str) -> None:
    """Raise where a secret stood that was hidden when the file was written."""
    if value == HIDDEN:
        raise DistilabelUserError(
            f"{what} is {HIDDEN!r}, which stands where a secret was when the file was "
            "written. Take it out of the file and give it with the run, or name where it is: "
            "'env:MY_KEY'."
        )


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
    loader = _Loader()
    _raise(loader.problems(described, EngineModel, str(path)))
    model: EngineModel = loader.make(described, EngineModel, str(path))
    return model


__all__ = ["add_steps", "load_model", "pipeline_arguments"]
