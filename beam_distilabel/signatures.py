"""What a user's `process` function asks for."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from typing import Any

from beam_distilabel.typing import STEP_INPUT_MARKER


def annotation_of(function: Callable[..., Any], parameter: inspect.Parameter) -> Any:
    """The parameter's annotation; text annotations are resolved where the function was written."""
    if not isinstance(parameter.annotation, str):
        return parameter.annotation
    try:
        return typing.get_type_hints(function, include_extras=True).get(
            parameter.name, parameter.annotation
        )
    except Exception:  # a name that exists for type checkers only
        return parameter.annotation


def is_step_input(function: Callable[..., Any], parameter: inspect.Parameter) -> bool:
    """Whether `parameter` is annotated with `StepInput`."""
    annotation = annotation_of(function, parameter)
    if isinstance(annotation, str):
        return annotation.rpartition(".")[2].strip("\"'") == "StepInput"
    return STEP_INPUT_MARKER in getattr(annotation, "__metadata__", ())


def step_inputs(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """The parameters of `function` that receive rows."""
    return [
        parameter
        for parameter in inspect.signature(function).parameters.values()
        if is_step_input(function, parameter)
    ]


def takes_many_inputs(function: Callable[..., Any]) -> bool:
    """Whether rows arrive by `*args`, one list per predecessor."""
    return any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in step_inputs(function))
