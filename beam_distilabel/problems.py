"""What pydantic finds wrong, in one line each: the field's path, the value, what is expected."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from beam_distilabel.dumping import names_secret
from beam_distilabel.redaction import hide_secrets

_LONGEST = 80


def problems_of(error: ValidationError, path: str = "", skip: int = 0) -> list[str]:
    """Each problem, without secrets.

    Args:
        error: pydantic's.
        path: what stands before the fields' own places, such as "llm".
        skip: how many parts of these places `path` has already.

    Example:
        >>> from pydantic import BaseModel
        >>> class Model(BaseModel):
        ...     size: int
        >>> try:
        ...     Model(size="big")
        ... except ValidationError as error:
        ...     problems_of(error, "step.llm")
        ["step.llm.size='big': Input should be a valid integer, unable to parse string as an \
integer"]
    """
    problems = []
    for detail in error.errors(include_url=False):
        place = ".".join([*filter(None, [path]), *map(str, detail["loc"][skip:])])
        message = detail["msg"].removeprefix("Value error, ")
        if detail["type"] == "missing":
            message = "it is required, and was not given"
            problems.append(f"{place}: {message}" if place else message)
            continue
        shown = _shown(place, detail["input"])
        problems.append(f"{place}{shown}: {message}" if place else message)
    return [hide_secrets(problem) for problem in problems]


def explained(
    error: ValidationError, cls: type[BaseModel], given: Mapping[str, Any]
) -> ValidationError:
    """The error of a constructor in words for who called it; no secrets, no links.

    Args:
        error: pydantic's.
        cls: the class.
        given: what its constructor was given.
    """
    name = given.get("name")
    title = f"Step {name!r} ({cls.__name__})" if isinstance(name, str) else cls.__name__
    lines: list[InitErrorDetails] = []
    for detail in error.errors(include_url=False):
        kind, place = detail["type"], detail["loc"]
        message = detail["msg"].removeprefix("Value error, ")
        owner = _class_at(cls, place[:-1])
        whose = owner.__name__ if owner is not None else "it"
        field = str(place[-1]) if place else ""
        if kind == "missing":
            message = f"it is required, and was not given; write `{whose}({field}=..., ...)`."
        elif kind == "extra_forbidden":
            known = owner.model_fields if owner is not None else {}
            message = f"{whose} has no field of this name.{closest(field, known)}"
        lines.append(
            {
                "type": PydanticCustomError(kind, hide_secrets(message)),
                "loc": place,
                "input": _input_shown(cls, detail),
            }
        )
    return ValidationError.from_exception_data(title, lines)


def _class_at(cls: type[BaseModel], place: Sequence[int | str]) -> type[BaseModel] | None:
    """The class of what stands at `place` in a model, where its annotation says it."""
    found: type[BaseModel] | None = cls
    for part in place:
        field = found.model_fields.get(str(part)) if found is not None else None
        kind = field.annotation if field is not None else None
        found = kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None
    return found


def _input_shown(cls: type[BaseModel], detail: ErrorDetails) -> Any:
    """The value that doesn't fit, without what may be secret in it."""
    value = detail["input"]
    if detail["type"] == "missing":
        return None  # it is all that was given
    if any(names_secret(str(part)) for part in detail["loc"]):
        return "***"
    if isinstance(value, (bool, int, float, type(None))):
        return value
    if isinstance(value, Mapping):
        return dict.fromkeys(value, "***")
    # A secret may be given to a field whose name is misspelt.
    if cls.model_config.get("hide_input_in_errors") or detail["type"] == "extra_forbidden":
        return "***"
    text = repr(value)
    return value if hide_secrets(text) == text else "***"


def _shown(place: str, value: Any) -> str:
    """The value for a message, where it is short and no secret."""
    if any(names_secret(part) for part in place.split(".")):
        return "=***"
    if isinstance(value, Mapping):
        return f" (a {type(value).__name__} of {len(value)})"
    text = repr(value)
    return f"={text}" if len(text) <= _LONGEST else f"={text[:_LONGEST]}..."


def closest(name: object, known: Iterable[str], cutoff: float = 0.6) -> str:
    """` Did you mean 'x'?`, or nothing where no known name is close."""
    matches = difflib.get_close_matches(str(name), list(known), n=1, cutoff=cutoff)
    return f" Did you mean {matches[0]!r}?" if matches else ""


__all__ = ["closest", "explained", "problems_of"]
