"""Steps and models as JSON-like data, without secrets."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from pydantic import BaseModel, ConfigDict, SecretStr

from beam_distilabel.row import fingerprint


class Dumpable(BaseModel):
    """A pydantic model that can be written to a file and made anew from it.

    Unknown fields are refused, and values are checked whenever they are set.
    """

    model_config = ConfigDict(
        arbitrary_types_allowed=True,
        extra="forbid",
        protected_namespaces=(),
        validate_assignment=True,
        validate_default=True,
    )

    def dump(self) -> dict[str, Any]:
        """The fields and the class; secrets and fields excluded from serialization are left out."""
        return {**dump_fields(self), "type_info": type_info(type(self))}

    @property
    def signature(self) -> str:
        """Equal for objects of the same class with the same fields."""
        return fingerprint(self.dump())


def type_info(cls: type) -> dict[str, str]:
    """The module and name of a class."""
    return {"module": cls.__module__, "name": cls.__qualname__}


def dump_fields(model: BaseModel) -> dict[str, Any]:
    """A model's fields as JSON-like data."""
    return {
        name: encode(getattr(model, name))
        for name, field in type(model).model_fields.items()
        if not field.exclude and not is_secret(field.annotation)
    }


def is_secret(annotation: Any) -> bool:
    """Whether a field of this type holds a secret."""
    return annotation is SecretStr or any(
        is_secret(argument) for argument in getattr(annotation, "__args__", ())
    )


def encode(value: Any) -> Any:
    """A field's value as JSON-like data."""
    if isinstance(value, Dumpable):
        return value.dump()
    if isinstance(value, SecretStr):
        return None
    if isinstance(value, type) and issubclass(value, BaseModel):
        return value.model_json_schema()
    if isinstance(value, BaseModel):
        return dump_fields(value)
    if isinstance(value, enum.Enum):
        return encode(value.value)
    if isinstance(value, Mapping):
        return {str(key): encode(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [encode(item) for item in value]
    if isinstance(value, PurePath):
        return str(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return repr(value)
