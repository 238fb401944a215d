"""Runtime parameters: fields that `Pipeline.run(parameters=...)` may set."""

from __future__ import annotations

import copy
import difflib
import inspect
import typing
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from typing_extensions import Self

from beam_distilabel.errors import DistilabelUserError

T = TypeVar("T")

RUNTIME_PARAMETER_MARKER = "distilabel_runtime_parameter"

RuntimeParameter = Annotated[T | None, RUNTIME_PARAMETER_MARKER]
"""`RuntimeParameter[T]`: a field of type T that may be given when the pipeline is run.

It is required (at the run) when its default is None and it isn't written
`Optional[RuntimeParameter[T]]`.
"""


def is_runtime_parameter(annotation: Any) -> bool:
    """Whether a runtime parameter annotation is somewhere inside `annotation`."""
    if RUNTIME_PARAMETER_MARKER in getattr(annotation, "__metadata__", ()):
        return True
    return any(is_runtime_parameter(argument) for argument in typing.get_args(annotation))


def _directly_marked(annotation: Any) -> bool:
    """Whether `annotation` is `RuntimeParameter[...]` itself; it may be text still."""
    if isinstance(annotation, str):
        return annotation.partition("[")[0].rpartition(".")[2] == "RuntimeParameter"
    return RUNTIME_PARAMETER_MARKER in getattr(annotation, "__metadata__", ())


def runtime_parameter_is_optional(field: FieldInfo) -> bool | None:
    """None if `field` is no runtime parameter, else whether it may be left out."""
    direct = RUNTIME_PARAMETER_MARKER in field.metadata
    if not direct and not is_runtime_parameter(field.annotation):
        return None
    return (
        not direct
        or field.get_default(call_default_factory=False) is not None
        or (field.default_factory is not None)
    )


class RuntimeParametersMixin(BaseModel):
    """What Steps, LLMs and their parts share: parameters that a run may set, by dotted path."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # A runtime parameter may always be left out of the constructor; the run asks for it.
        for name, annotation in inspect.get_annotations(cls).items():
            if name not in cls.__dict__ and _directly_marked(annotation):
                type.__setattr__(cls, name, None)

    def _nested(self) -> dict[str, RuntimeParametersMixin]:
        """The members that have runtime parameters of their own; list items by their index."""
        nested: dict[str, RuntimeParametersMixin] = {}
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, RuntimeParametersMixin):
                nested[name] = value
            elif isinstance(value, list):
                for index, item in enumerate(value):
                    if isinstance(item, RuntimeParametersMixin):
                        nested[f"{name}.{index}"] = item
        return nested

    @property
    def runtime_parameters_names(self) -> dict[str, Any]:
        """Parameter name to whether it is optional; nested members to a dict of the same form."""
        names: dict[str, Any] = {}
        for name, field in type(self).model_fields.items():
            optional = runtime_parameter_is_optional(field)
            if optional is not None:
                names[name] = optional
        for path, member in self._nested().items():
            target = names
            *parents, last = path.split(".")
            for parent in parents:
                target = target.setdefault(parent, {})
            inner = member.runtime_parameters_names
            if inner:
                target[last] = inner
        return names

    def get_runtime_parameters_info(self) -> list[dict[str, Any]]:
        """Name, optionality and description of every runtime parameter, nested members included."""
        info: list[dict[str, Any]] = []
        nested = self._nested()
        for name, field in type(self).model_fields.items():
            if name in nested:
                info.append(
                    {
                        "name": name,
                        "runtime_parameters_info": nested[name].get_runtime_parameters_info(),
                    }
                )
                continue
            optional = runtime_parameter_is_optional(field)
            if optional is None:
                continue
            entry: dict[str, Any] = {"name": name, "optional": optional}
            if field.description:
                entry["description"] = field.description
            info.append(entry)
        for path, member in nested.items():
            if "." in path:
                info.append(
                    {
                        "name": path,
                        "runtime_parameters_info": member.get_runtime_parameters_info(),
                    }
                )
        return info

    def set_runtime_parameters(self, runtime_parameters: Mapping[str, Any]) -> None:
        """Set parameters in place; nested members take a dict.

        Raises:
            DistilabelUserError: a name is unknown; the message has the closest one.
        """
        for name, value in runtime_parameters.items():
            self._set_runtime_parameter(name, value)

    def _set_runtime_parameter(self, name: str, value: Any) -> None:
        field = type(self).model_fields.get(name)
        current = getattr(self, name) if field is not None else None
        if isinstance(current, RuntimeParametersMixin):
            if not isinstance(value, Mapping):
                raise DistilabelUserError(
                    f"the runtime parameters of {type(self).__name__}.{name} have to be a dict, "
                    f"got {value!r}."
                )
            current.set_runtime_parameters(value)
        elif isinstance(current, list) and isinstance(value, Mapping):
            for index, item_value in value.items():
                try:
                    item = current[int(index)]
                except (ValueError, IndexError):
                    raise DistilabelUserError(
                        f"{type(self).__name__}.{name} has no item {index!r}: it has "
                        f"{len(current)}, numbered from 0."
                    ) from None
                item.set_runtime_parameters(item_value)
        elif field is None or runtime_parameter_is_optional(field) is None:
            known = sorted(self.runtime_parameters_names)
            raise DistilabelUserError(
                f"{self._described()} has no runtime parameter {name!r}."
                f"{closest(name, known)} It has: {', '.join(known) or 'none'}."
            )
        else:
            setattr(self, name, value)

    def _described(self) -> str:
        return type(self).__name__

    def copied(self) -> Self:
        """A copy whose runtime parameters can be set without changing this one."""
        duplicate = copy.copy(self)
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, RuntimeParametersMixin):
                duplicate.__dict__[name] = value.copied()
            elif isinstance(value, list) and any(
                isinstance(item, RuntimeParametersMixin) for item in value
            ):
                duplicate.__dict__[name] = [
                    item.copied() if isinstance(item, RuntimeParametersMixin) else item
                    for item in value
                ]
            elif (
                isinstance(value, dict)
                and runtime_parameter_is_optional(type(self).model_fields[name]) is not None
            ):
                duplicate.__dict__[name] = copy.deepcopy(value)
        return duplicate


def missing_parameters(names: Mapping[str, Any], values: Any, prefix: str = "") -> list[str]:
    """Dotted paths of the required runtime parameters that have no value."""
    missing = []
    for name, optional in names.items():
        if isinstance(values, list):
            value = values[int(name)]
        elif isinstance(values, Mapping):
            value = values.get(name)
        else:
            value = getattr(values, name, None)
        if isinstance(optional, Mapping):
            missing += missing_parameters(optional, value or {}, f"{prefix}{name}.")
        elif not optional and value is None:
            missing.append(f"{prefix}{name}")
    return missing


def closest(name: object, known: typing.Iterable[str]) -> str:
    """` Did you mean 'x'?`, or nothing where no known name is close."""
    matches = difflib.get_close_matches(str(name), list(known), n=1)
    return f" Did you mean {matches[0]!r}?" if matches else ""
