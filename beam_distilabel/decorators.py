"""`@step` and `@task`: Steps and Tasks written as functions."""

from __future__ import annotations

import inspect
import re
import string
import textwrap
from collections.abc import Callable
from typing import Any, Literal

import yaml

from beam_distilabel.errors import DistilabelTypeError, DistilabelUserError
from beam_distilabel.row import Row
from beam_distilabel.runtime_parameters import is_runtime_parameter
from beam_distilabel.signatures import annotation_of, is_step_input, step_inputs
from beam_distilabel.step import GeneratorStep, GlobalStep, Step, column_flags
from beam_distilabel.task import Task
from beam_distilabel.typing import StepColumns

_BASES: dict[str, type[Step] | type[GeneratorStep]] = {
    "normal": Step,
    "global": GlobalStep,
    "generator": GeneratorStep,
}


def step(
    inputs: StepColumns | None = None,
    outputs: StepColumns | None = None,
    step_type: Literal["normal", "global", "generator"] = "normal",
) -> Callable[[Callable[..., Any]], Any]:
    """Make a Step class of a function; parameters marked as RuntimeParameter become its fields.

    Args:
        inputs: the columns that it needs.
        outputs: the columns that it adds.
        step_type: "normal", "global" or "generator".

    Raises:
        ValueError: the type is unknown.
        DistilabelTypeError: the function has several StepInput parameters.

    Example:
        >>> from beam_distilabel.typing import StepInput
        >>> @step(inputs=["text"], outputs=["length"])
        ... def Measure(inputs: StepInput):
        ...     yield [{**row, "length": len(row["text"])} for row in inputs]
        >>> next(Measure().process([{"text": "abc"}]))
        [{'text': 'abc', 'length': 3}]
    """
    if step_type not in _BASES:
        raise ValueError(f"step_type={step_type!r}: use one of {', '.join(map(repr, _BASES))}.")

    def decorate(function: Callable[..., Any]) -> Any:
        rows = step_inputs(function)
        if len(rows) > 1:
            raise DistilabelTypeError(
                f"{function.__name__}: a Step has at most one StepInput parameter, this has "
                f"{len(rows)}; for several predecessors write `*inputs: StepInput`."
            )
        fields: dict[str, tuple[Any, Any]] = {}
        for parameter in inspect.signature(function).parameters.values():
            annotation = annotation_of(function, parameter)
            if is_runtime_parameter(annotation):
                default = None if parameter.default is parameter.empty else parameter.default
                fields[parameter.name] = (annotation, default)

        signature = _signature_of_process(function, set(fields))

        def process(self: Any, *args: Any, **kwargs: Any) -> Any:
            # Fields may stand anywhere among the function's parameters, so positions differ.
            given = dict(signature.bind(self, *args, **kwargs).arguments)
            del given["self"]
            given.update({name: getattr(self, name) for name in fields})
            call = inspect.BoundArguments(inspect.signature(function), given)
            call.apply_defaults()
            yield from function(*call.args, **call.kwargs)

        process.__signature__ = signature  # type: ignore[attr-defined]
        namespace: dict[str, Any] = {
            "__module__": function.__module__,
            "__qualname__": function.__qualname__,
            "__doc__": function.__doc__,
            "__annotations__": {name: annotation for name, (annotation, _) in fields.items()},
            **{name: default for name, (_, default) in fields.items()},
            "process": process,
            "inputs": property(lambda self: column_flags(inputs or [])),
            "outputs": property(lambda self: column_flags(outputs or [])),
        }
        return type(function.__name__, (_BASES[step_type],), namespace)

    return decorate


def _signature_of_process(function: Callable[..., Any], fields: set[str]) -> inspect.Signature:
    """The function's signature as a method, without the parameters that became fields."""
    itself = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name in fields:
            continue
        if is_step_input(function, parameter):
            parameter = parameter.replace(annotation=annotation_of(function, parameter))
        parameters.append(parameter)
    return inspect.Signature([itself, *parameters])


_TASK_KEYS = {"system_prompt", "user_message_template"}


def task(
    inputs: StepColumns | None = None, outputs: StepColumns | None = None
) -> Callable[[Callable[..., Any]], Any]:
    """Make a Task class of a function, which becomes its `format_output`.

    The function's docstring has a YAML block between two lines `---` with the keys `system_prompt`
    and `user_message_template`; their `{placeholders}` are input columns.

    Args:
        inputs: the columns that the template uses.
        outputs: the columns that the function gives.

    Raises:
        DistilabelUserError: the docstring has no such block, or a placeholder is no input.

    Example:
        >>> @task(inputs=["country"], outputs=["capital"])
        ... def Capital(output, input):
        ...     '''
        ...     ---
        ...     system_prompt: You know every capital.
        ...     user_message_template: What is the capital of {country}?
        ...     ---
        ...     '''
        ...     return {"capital": output}
        >>> issubclass(Capital, Task)
        True
    """

    def decorate(function: Callable[..., Any]) -> Any:
        prompts = _prompts_of(function)
        for key, template in prompts.items():
            unknown = sorted(_placeholders(template, f"@task {function.__name__}: the {key}"))
            unknown = [name for name in unknown if name not in (inputs or [])]
            if unknown:
                raise DistilabelUserError(
                    f"@task {function.__name__}: the {key} uses "
                    f"{', '.join(map(repr, unknown))}, which `inputs`={list(inputs or [])} "
                    "doesn't name; add it there."
                )

        def format_input(self: Any, input: Row) -> Any:
            messages = [{"role": "user", "content": fill(prompts["user_message_template"], input)}]
            if prompts["system_prompt"]:
                system = fill(prompts["system_prompt"], input)
                messages.insert(0, {"role": "system", "content": system})
            return messages

        def format_output(self: Any, output: Any, input: Row | None = None) -> Any:
            return function(output, input)

        namespace: dict[str, Any] = {
            "__module__": function.__module__,
            "__qualname__": function.__qualname__,
            "__doc__": function.__doc__,
            "inputs": property(lambda self: inputs or []),
            "outputs": property(lambda self: [*(outputs or []), "model_name"]),
            "format_input": format_input,
            "format_output": format_output,
        }
        return type(function.__name__, (Task,), namespace)

    return decorate


def fill(template: str, row: Row) -> str:
    """`template` with its plain `{placeholders}` replaced; values are inserted as they are."""
    parts = []
    for text, name, _, _ in string.Formatter().parse(template):
        parts.append(text)
        if name is not None:
            parts.append(str(row[name]))
    return "".join(parts)


def _placeholders(template: str, what: str) -> set[str]:
    """The names of the `{placeholders}` in `template`."""
    try:
        return {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}
    except ValueError as error:
        raise DistilabelUserError(
            f"{what} can't be read: {error}; write '{{{{' and '}}}}' for braces that are no "
            "placeholder."
        ) from None


def _prompts_of(function: Callable[..., Any]) -> dict[str, str]:
    where = f"@task {function.__name__}"
    blocks = re.split(r"(?m)^[ \t]*---[ \t]*$", function.__doc__ or "")
    if len(blocks) < 3:
        raise DistilabelUserError(
            f"{where}: its docstring needs a YAML block between two lines '---' with the keys "
            "system_prompt and user_message_template."
        )
    try:
        prompts = yaml.safe_load(textwrap.dedent(blocks[1]))
    except yaml.YAMLError as error:
        raise DistilabelUserError(f"{where}: the YAML of its docstring is wrong: {error}") from None
    if not isinstance(prompts, dict) or not _TASK_KEYS <= set(prompts):
        missing = sorted(_TASK_KEYS - set(prompts or {})) if isinstance(prompts, dict) else []
        raise DistilabelUserError(
            f"{where}: the YAML of its docstring lacks {', '.join(missing) or 'its keys'}."
        )
    return {key: str(prompts[key] or "").strip() for key in _TASK_KEYS}


__all__ = ["fill", "step", "task"]
