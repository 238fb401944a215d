"""Checking what an LLM is asked with."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from beam_distilabel.dumping import names_secret
from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.problems import closest

T = TypeVar("T")


def _is_secret(path: tuple[int | str, ...]) -> bool:
    """Whether what is at this place has a name like "api_key", or is within what has."""
    return any(isinstance(name, str) and names_secret(name) for name in path)


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: "***" if names_secret(str(name)) else _without_secrets(item)
            for name, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return type(value)(_without_secrets(item) for item in value)
    return value


_NO_ARGUMENTS = frozenset(("self", "input", "inputs", "num_generations", "__class__"))


def given_arguments(namespace: Mapping[str, Any]) -> dict[str, Any]:
    """The generation arguments among the parameters of `generate` or `agenerate`.

    Args:
        namespace: its `locals()`, before it has any other variable.

    Example:
        >>> given_arguments({"self": None, "input": "Hi", "temperature": 0.5})
        {'temperature': 0.5}
    """
    return {name: value for name, value in namespace.items() if name not in _NO_ARGUMENTS}


@functools.lru_cache(maxsize=64)
def adapter_of(kind: type) -> TypeAdapter[Any]:
    """The adapter of a class; making one takes long."""
    return TypeAdapter(kind)


def checked_arguments(
    adapter: TypeAdapter[T], kind: type[T], arguments: dict[str, Any], whose: str
) -> T:
    """`arguments` as the dataclass `kind`.

    Args:
        adapter: of `kind`; making one takes long.
        kind: a dataclass whose fields are the arguments.
        arguments: name to value.
        whose: the LLM class, for the message.

    Raises:
        DistilabelUserError: names the argument, its value and what is expected.
    """
    try:
        return adapter.validate_python(arguments)
    except ValidationError as error:
        known = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
        problems = []
        for detail in error.errors():
            name = str(detail["loc"][0]) if detail["loc"] else "?"
            hint = closest(name, known) if name not in known else ""
            shown = "***" if _is_secret(detail["loc"]) else repr(_without_secrets(detail["input"]))
            problems.append(f"{name}={shown}: {detail['msg']}.{hint}")
        raise DistilabelUserError(
            f"{whose}'s generation arguments are wrong: {'; '.join(problems)}"
        ) from None
