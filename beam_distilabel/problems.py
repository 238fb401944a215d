"""What pydantic finds wrong, in one line each: the field's path, the value, what is expected."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

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


def _shown(place: str, value: Any) -> str:
    """The value for a message, where it is short and no secret."""
    if any(names_secret(part) for part in place.split(".")):
        return "=***"
    if isinstance(value, Mapping):
        return f" (a {type(value).__name__} of {len(value)})"
    text = repr(value)
    return f"={text}" if len(text) <= _LONGEST else f"={text[:_LONGEST]}..."


__all__ = ["problems_of"]
