"""Runtime parameters: fields that `Pipeline.run(parameters=...)` may set."""

from __future__ import annotations

import copy
import inspect
import math
import types
import typing
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import BaseModel, PrivateAttr, ValidationError
from pydantic.fields import FieldInfo
from typing_extensions import Self

from beam_distilabel.consent import names_code
from beam_distilabel.docstrings import described_attributes
from beam_distilabel.dumping import encode
from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.problems import closest as closest, explained, problems_of

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
    """What Steps, LLMs and their parts share: parameters that a run may set, by dotted path.

    Attributes:
        code_fields: the runtime parameters that say which code is run. What a pipeline file says of
            them holds only where the run's parameters say it, too.
    """

    code_fields: ClassVar[tuple[str, ...]] = ()

    _of_file: dict[str, Any] = PrivateAttr(default_factory=dict)

    def __init__(self, /, **data: Any) -> None:
        try:
            super().__init__(**data)
        except ValidationError as error:
            raise explained(error, type(self), data) from None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # A runtime parameter may always be left out of the constructor; the run asks for it.
        for name, annotation in inspect.get_annotations(cls).items():
            if name not in cls.__dict__ and _directly_marked(annotation):
                type.__setattr__(cls, name, None)

    def _members(self) -> dict[str, dict[str, RuntimeParametersMixin]]:
        """Field to the members in it that have runtime parameters of their own.

        Those of a list go by their index, those of a dict by their key; "" is the field's value.
        """
        found: dict[str, dict[str, RuntimeParametersMixin]] = {}
        for name in type(self).model_fields:
            members = _members_of(getattr(self, name))
            if members:
                found[name] = members
        return found

    @property
    def runtime_parameters_names(self) -> dict[str, Any]:
        """Parameter name to whether it is optional; nested members to a dict of the same form."""
        names: dict[str, Any] = {}
        for name, field in type(self).model_fields.items():
            optional = runtime_parameter_is_optional(field)
            if optional is not None:
                names[name] = optional
        for name, members in self._members().items():
            inner = {key: member.runtime_parameters_names for key, member in members.items()}
            inner = {key: of_member for key, of_member in inner.items() if of_member}
            if inner:
                names[name] = inner.get("", inner)
        return names

    def get_runtime_parameters_info(self) -> list[dict[str, Any]]:
        """Every runtime parameter, those of members within included.

        Each has "name" and "optional", and where they are known "description" (the docstring's,
        where the field has none), "type" and "default". Members have "runtime_parameters_info", for
        those in a list a dict by index.

        Example:
            >>> from beam_distilabel.steps import KeepColumns
            >>> KeepColumns(columns=["a"]).get_runtime_parameters_info()[-1] == {
            ...     "name": "input_batch_size",
            ...     "optional": True,
            ...     "description": "The number of rows that `process` receives at once, at most.",
            ...     "type": "int",
            ...     "default": 50,
            ... }
            True
        """
        info: list[dict[str, Any]] = []
        names = self.runtime_parameters_names
        members = self._members()
        described = described_attributes(type(self))
        for name, field in type(self).model_fields.items():
            if name not in names:
                continue
            if name in members:
                infos = {
                    key: member.get_runtime_parameters_info()
                    for key, member in members[name].items()
                }
                info.append({"name": name, "runtime_parameters_info": infos.get("", infos)})
                continue
            entry: dict[str, Any] = {"name": name, "optional": names[name]}
            description = field.description or described.get(name)
            if description:
                entry["description"] = description
            entry["type"] = type_text(field.annotation)
            may_be_left_out = names[name] and not field.is_required()
            if may_be_left_out and field.default_factory in (None, dict, list, set, tuple):
                entry["default"] = encode(field.get_default(call_default_factory=True))
            info.append(entry)
        return info

    def set_runtime_parameters(self, runtime_parameters: Mapping[str, Any]) -> None:
        """Set parameters in place; members take a dict, those of a list a dict by index or a list.

        Raises:
            DistilabelUserError: a name is unknown, or a value doesn't fit; the message has its path
                and the closest name.
        """
        self._set_all(runtime_parameters, self._described(), "")

    def _set_all(self, values: Any, whose: str, path: str) -> None:
        """Set parameters; messages begin with `whose` and `path`."""
        where = f"{whose}: {path}" if path else whose
        if not isinstance(values, Mapping):
            raise DistilabelUserError(
                f"{where}: the runtime parameters of a {type(self).__name__} have to be a dict, "
                f"not a {type(values).__name__}."
            )
        for name, value in values.items():
            self._set_runtime_parameter(str(name), value, whose, path)

    def _set_runtime_parameter(self, name: str, value: Any, whose: str, path: str) -> None:
        here = f"{path}.{name}" if path else name
        field = type(self).model_fields.get(name)
        members = _members_of(getattr(self, name)) if field is not None else {}
        if "" in members:
            members[""]._set_all(value, whose, here)
        elif members and isinstance(value, (Mapping, list)):
            by_key = value if isinstance(value, Mapping) else dict(enumerate(value))
            for key, of_member in by_key.items():
                if str(key) not in members:
                    raise DistilabelUserError(
                        f"{whose}: {here} has no item {key!r}: it has {len(members)}, "
                        f"{', '.join(members)}."
                    )
                members[str(key)]._set_all(of_member, whose, f"{here}.{key}")
        elif field is None or runtime_parameter_is_optional(field) is None:
            known = list(self.runtime_parameters_names)
            place = f"{whose}: {path}" if path else whose
            hint = closest(name, known)
            if field is not None:
                hint = f" It is a field, to be given to the constructor of {type(self).__name__}."
            raise DistilabelUserError(
                f"{place} has no runtime parameter {name!r}.{hint} It has: "
                f"{', '.join(sorted(known)) or 'none'}."
            )
        else:
            optional = RUNTIME_PARAMETER_MARKER not in field.metadata or field.default is None
            problem = unfit(field.annotation, value, optional)
            if problem:
                raise DistilabelUserError(f"{whose}: {here}={value!r}: {problem}.")
            self._check_runtime_parameter(name, value, f"{whose}: {here}")
            try:
                setattr(self, name, value)
            except ValidationError as error:
                problems = "; ".join(problems_of(error, here, skip=1))
                raise DistilabelUserError(f"{whose}: {problems}.") from None
            # Not in place: copies of this one have the same dict.
            self._of_file = {of: said for of, said in self._of_file.items() if of != name}

    def remember_code_of_file(self, fields: typing.Iterable[str]) -> None:
        """Remember what a pipeline file, which has these fields, says of which code is run."""
        named = set(fields).intersection(self.code_fields)
        self._of_file = {name: getattr(self, name) for name in named}

    def code_of_file(self) -> dict[str, Any]:
        """What a pipeline file alone says of which code is run: dotted path to value."""
        found: dict[str, Any] = {}
        for name, value in self._of_file.items():
            if getattr(self, name) == value:  # else it was set since
                default = type(self).model_fields[name].get_default(call_default_factory=True)
                if names_code(value, default):
                    found[name] = value
        for name, members in self._members().items():
            for key, member in members.items():
                prefix = f"{name}.{key}" if key else name
                found |= {f"{prefix}.{path}": v for path, v in member.code_of_file().items()}
        return found

    def _check_runtime_parameter(self, name: str, value: Any, place: str) -> None:
        """Raise where a value can't be set, beyond what the field's type says."""

    def _described(self) -> str:
        return type(self).__name__

    def copied(self) -> Self:
        """A copy whose runtime parameters can be set without changing this one."""
        duplicate = copy.copy(self)
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, RuntimeParametersMixin):
                duplicate.__dict__[name] = value.copied()
            elif isinstance(value, (list, tuple)) and _members_of(value):
                duplicate.__dict__[name] = type(value)(map(_copied, value))
            elif isinstance(value, dict) and _members_of(value):
                duplicate.__dict__[name] = {key: _copied(item) for key, item in value.items()}
            elif (
                isinstance(value, dict)
                and runtime_parameter_is_optional(type(self).model_fields[name]) is not None
            ):
                duplicate.__dict__[name] = copy.deepcopy(value)
        return duplicate


def unfit(annotation: Any, value: Any, optional: bool = True) -> str | None:
    """What is wrong with a value that pydantic would take.

    Args:
        annotation: the type that it has to have.
        value: of a runtime parameter or a generation argument.
        optional: whether None is a value.

    Example:
        >>> unfit(int, True), unfit(dict, {"temperature": float("inf")}), unfit(int, 1)
        ('expected int, not a bool', 'a number has to be finite', None)
    """
    if value is None and not optional:
        return f"expected {type_text(annotation)}, not None"
    kinds = _leaves(annotation)
    if isinstance(value, bool) and kinds & {int, float} and not kinds & {bool, Any, object}:
        return f"expected {type_text(annotation)}, not a bool"
    return None if is_finite(value) else "a number has to be finite"


def _leaves(annotation: Any) -> set[Any]:
    """The types that a union has, or the one that there is."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return _leaves(arguments[0])
    if origin in (typing.Union, types.UnionType):
        return {leaf for kind in arguments for leaf in _leaves(kind)}
    if origin is typing.Literal:
        return {type(choice) for choice in arguments}
    return {annotation}


def is_finite(value: Any) -> bool:
    """Whether all numbers in a value are finite."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, Mapping):
        return all(map(is_finite, value.values()))
    return not isinstance(value, (list, tuple)) or all(map(is_finite, value))


def _members_of(value: Any) -> dict[str, RuntimeParametersMixin]:
    """See `RuntimeParametersMixin._members`."""
    if isinstance(value, RuntimeParametersMixin):
        return {"": value}
    if isinstance(value, (list, tuple)):
        items: typing.Iterable[tuple[Any, Any]] = enumerate(value)
    elif isinstance(value, Mapping):
        items = value.items()
    else:
        return {}
    return {str(key): item for key, item in items if isinstance(item, RuntimeParametersMixin)}


def _copied(item: Any) -> Any:
    return item.copied() if isinstance(item, RuntimeParametersMixin) else item


def type_text(annotation: Any) -> str:
    """A type as people write it; that None is possible too is left out.

    Example:
        >>> type_text(RuntimeParameter[dict[str, int]]), type_text(list[str] | str | None)
        ('dict[str, int]', 'list[str] | str')
    """
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return type_text(arguments[0])
    if origin in (typing.Union, types.UnionType):
        kinds = [type_text(kind) for kind in arguments if kind is not type(None)]
        return " | ".join(dict.fromkeys(kinds))
    if origin is typing.Literal:
        return " | ".join(map(repr, arguments))
    if origin is not None:
        inner = ", ".join("..." if kind is ... else type_text(kind) for kind in arguments)
        name = getattr(origin, "__name__", str(origin))
        return f"{name}[{inner}]" if inner else name
    if annotation is type(None):
        return "None"
    return getattr(annotation, "__name__", str(annotation).removeprefix("typing."))


def missing_parameters(names: Mapping[str, Any], values: Any, prefix: str = "") -> list[str]:
    """Dotted paths of the required runtime parameters that have no value."""
    missing = []
    for name, optional in names.items():
        if isinstance(values, (list, tuple)):
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
