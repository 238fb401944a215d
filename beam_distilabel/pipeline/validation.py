"""Everything that can be wrong with a pipeline, found before anything runs."""

from __future__ import annotations

import inspect
import json
import math
import shlex
from collections.abc import Mapping
from typing import Any

from beam_distilabel.dumping import encode
from beam_distilabel.errors import DistilabelUserError, PipelineValidationError
from beam_distilabel.pipeline.declarations import check_declarations, check_mappings
from beam_distilabel.pipeline.graph import Graph
from beam_distilabel.problems import closest
from beam_distilabel.runtime_parameters import missing_parameters
from beam_distilabel.signatures import is_step_input, step_inputs, takes_many_inputs
from beam_distilabel.step import GeneratorStep, RowStep, Step, _Step
from beam_distilabel.task import Task, _Task, check_llm


def validate(graph: Graph, *, has_input: bool) -> None:
    """Raise where the pipeline can't run.

    Args:
        graph: the Steps, with the run's parameters set.
        has_input: whether rows are given to it (`run(dataset=)`, or `rows | pipeline`).

    Raises:
        PipelineValidationError: names the Step and the remedy.
    """
    if not graph.steps:
        raise PipelineValidationError(
            "the pipeline has no Steps; create them in a `with Pipeline(...)` block."
        )
    for name, step in graph.steps.items():
        check_declarations(step)
        _check_process(step, len(graph.predecessors(name)))
        check_mappings(step)
        _check_parameters(step)
        _check_code(step)
        if isinstance(step, _Task):
            _check_model(step)
    _check_roots(graph, has_input)
    _check_columns(graph)
    _check_routes(graph)


def _check_roots(graph: Graph, has_input: bool) -> None:
    generators = [name for name in graph.roots if graph.steps[name].is_generator]
    others = [name for name in graph.roots if not graph.steps[name].is_generator]
    if has_input and generators:
        raise PipelineValidationError(
            f"rows were given to a pipeline that loads its own by Step {generators[0]!r}; leave "
            "out `dataset`, or the loader."
        )
    if not has_input and others:
        step = graph.steps[others[0]]
        raise PipelineValidationError(
            f"{step._described()} cannot be a root step: it receives rows, and nothing is "
            "connected to it. Connect a loader to it, or pass rows by `pipeline.run(dataset=...)`."
        )


def _check_process(step: Any, predecessors: int) -> None:
    function = type(step).process
    described = step._described()
    undefined = _undefined(type(step))
    if undefined:
        raise PipelineValidationError(f"{described} has to define `{undefined}`.")
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise PipelineValidationError(
            f"{described}: `process` is an `async def`, which nothing awaits; write `def process`. "
            "What asks a model many times at once is a Task with a `rollout`."
        )
    rows = step_inputs(function)
    if step.is_generator:
        if rows:
            raise PipelineValidationError(
                f"{described}: `process` of a generator takes no StepInput; its signature is "
                "`process(self, offset: int = 0)`."
            )
        if "offset" not in inspect.signature(function).parameters:
            raise PipelineValidationError(
                f"{described}: `process` of a generator needs the parameter `offset`; its "
                "signature is `process(self, offset: int = 0)`."
            )
        if not _takes(step.process, "offset", offset=0):
            raise PipelineValidationError(
                f"{described}: `process` can't be called as `process(offset=0)`, as every "
                "generator's is; its signature is `process(self, offset: int = 0)`."
            )
        return
    if not rows:
        raise PipelineValidationError(
            f"{described}: `process` has no parameter annotated with StepInput; write "
            "`def process(self, inputs: StepInput)`."
        )
    if len(rows) > 1:
        raise PipelineValidationError(
            f"{described}: `process` has {len(rows)} StepInput parameters; for several "
            "predecessors write `def process(self, *inputs: StepInput)`."
        )
    if predecessors > 1 and not takes_many_inputs(function):
        raise PipelineValidationError(
            f"{described} has {predecessors} predecessors, but its `process` takes one list of "
            "rows; write `def process(self, *inputs: StepInput)`."
        )
    for parameter in inspect.signature(function).parameters.values():
        required = parameter.default is parameter.empty and parameter.kind in (
            parameter.POSITIONAL_ONLY,
            parameter.POSITIONAL_OR_KEYWORD,
            parameter.KEYWORD_ONLY,
        )
        if required and parameter.name != "self" and not is_step_input(function, parameter):
            raise PipelineValidationError(
                f"{described}: `process` needs the argument {parameter.name!r}, which nothing "
                "gives it; make it a field of the Step, or give it a default."
            )
    if not _takes(step.process, rows[0].name, *range(max(predecessors, 1))):
        raise PipelineValidationError(
            f"{described}: `process` is given rows by position, as its first argument, which "
            f"{rows[0].name!r}, the parameter annotated with StepInput, doesn't receive; write "
            f"`def process(self, {'*' * takes_many_inputs(function)}inputs: StepInput)`."
        )


def _takes(function: Any, name: str, *args: Any, **kwargs: Any) -> bool:
    """Whether a call with these arguments works, and the parameter `name` receives all of them."""
    try:
        received = inspect.signature(function).bind(*args, **kwargs).arguments
    except TypeError:
        return False
    return list(received) == [name]


def _undefined(cls: Any) -> str | None:
    """What a class has to define and doesn't; None where it lacks nothing."""
    if cls.process is Step.process and cls.apply_to is Step.apply_to:
        return "process(self, inputs: StepInput)"
    if cls.process is GeneratorStep.process and cls.apply_to is GeneratorStep.apply_to:
        return "process(self, offset: int = 0)"
    if cls.process is RowStep.process and cls.transform_row is RowStep.transform_row:
        return "transform_row(self, row)"
    if issubclass(cls, Task) and cls.process is Task.process and cls.rollout is Task.rollout:
        for name, arguments in (("format_input", "input"), ("format_output", "output, input")):
            if getattr(cls, name) is getattr(Task, name):
                return f"{name}(self, {arguments})"
    return None


def _check_parameters(step: _Step) -> None:
    for name in ("input_batch_size", "batch_size"):
        if name in type(step).model_fields and getattr(step, name) is None:
            raise PipelineValidationError(
                f"{step._described()}: {name} is None; give a number of rows, or leave it out."
            )
    missing = missing_parameters(step.runtime_parameters_names, step)
    if missing:
        path = missing[0].split(".")
        value: Any = "..."
        for part in reversed(path):
            value = {part: value}
        raise PipelineValidationError(
            f"{step._described()} has a missing required runtime parameter "
            f"{missing[0]!r}; pass it as an argument or by "
            f"`pipeline.run(parameters={ {step.name: value}!r})`.".replace("'...'", "...")
        )


def _check_code(step: _Step) -> None:
    for path, of_file in step.code_of_file().items():
        value = encode(of_file)
        option = f"{step.name}.{path}={value if isinstance(value, str) else json.dumps(value)}"
        parameters = value
        for part in reversed(path.split(".")):
            parameters = {part: parameters}
        raise PipelineValidationError(
            f"{step._described()}: {path}={value!r} was named by a pipeline file, and decides "
            "which code would be run here. If you trust it, name it yourself: "
            f"`--param {shlex.quote(option)}`, or "
            f"`run(parameters={ {step.name: parameters}!r})`."
        )


def _check_model(task: _Task) -> None:
    arguments = getattr(task.model, "generation_kwargs", None)
    _check_numbers(f"{task._described()}: the generation argument", arguments)
    try:
        check_llm(task)
    except DistilabelUserError as error:
        raise PipelineValidationError(str(error)) from None


def available_columns(graph: Graph) -> dict[str, set[str] | None]:
    """The columns of the rows that each Step sends on; None where they can't be known."""
    available: dict[str, set[str] | None] = {}
    for name in graph.in_order():
        step = graph.steps[name]
        before: set[str] | None = set()
        for predecessor in graph.predecessors(name):
            known = available[predecessor]
            before = None if known is None or before is None else before | known
        if not graph.predecessors(name) and not step.is_generator:
            before = None
        own = set(step.get_outputs())
        if not step.keeps_other_columns:
            available[name] = own
        elif step.is_generator:
            available[name] = own or None
        else:
            removed = {step.input_mappings.get(column, column) for column in step._removed_columns}
            available[name] = None if before is None else before - removed | own
    return available


def needed_columns(graph: Graph, name: str) -> tuple[tuple[str, ...], ...]:
    """Per predecessor of a Step, the columns that the Step requires and its rows surely have."""
    available = available_columns(graph)
    required = [column for column, flag in graph.steps[name].get_inputs().items() if flag]
    return tuple(
        tuple(column for column in required if column in (available[predecessor] or ()))
        for predecessor in graph.predecessors(name)
    )


def _check_columns(graph: Graph) -> None:
    available = available_columns(graph)
    for name, step in graph.steps.items():
        predecessors = graph.predecessors(name)
        columns: set[str] = set()
        for predecessor in predecessors:
            known = available[predecessor]
            if known is None:
                break
            columns |= known
        else:
            needed = [column for column, required in step.get_inputs().items() if required]
            missing = [column for column in needed if column not in columns]
            if predecessors and missing:
                raise PipelineValidationError(
                    f"{step._described()} requires inputs that nothing before it makes: "
                    f"{', '.join(map(repr, missing))}.{closest(missing[0], columns)} Its rows "
                    f"have: {', '.join(sorted(columns)) or 'no columns'}. "
                    f"{_remedy(step, missing[0])}, or add a Step that makes it."
                )


def _remedy(step: _Step, column: str) -> str:
    """How a Step can be given another column than `column`, which its rows lack."""
    for expected, present in step.input_mappings.items():
        if present == column:
            return f"Name one of these: input_mappings={{{expected!r}: <column>}}"
    for name, field in type(step).model_fields.items():
        if (
            name not in _Step.model_fields
            and column in _names(getattr(step, name))
            and column not in _names(field.get_default(call_default_factory=False))
        ):
            return f"It is `{name}` that names {column!r}: name one of these there"
    return f"Map a column with input_mappings={{{column!r}: <column>}}"


def _names(value: Any) -> list[Any]:
    """The names in a field's value: one, several, or none."""
    if isinstance(value, str):
        return [value]
    return list(value) if isinstance(value, (list, tuple, Mapping)) else []


def _check_routes(graph: Graph) -> None:
    for name, router in graph.unfinished.items():
        raise PipelineValidationError(
            f"Step {name!r} is followed by the router {router.name!r}, which is followed by no "
            "Steps; write `step >> router >> [a, b]`."
        )
    available = available_columns(graph) if graph.routers else {}
    for name, router in graph.routers.items():
        successors = graph.successors(name)
        if len(successors) < 2 and not router.targets:
            raise PipelineValidationError(
                f"Step {name!r} has a routing function but only one successor; connect the Steps "
                "to choose from, or leave the router out."
            )
        known = available[name]
        for column in sorted(router.columns or ()):
            if known is not None and column not in known:
                raise PipelineValidationError(
                    f"Step {name!r}: {router.name} goes by the column {column!r}, which nothing "
                    f"before it makes.{closest(column, known)} Its rows have: "
                    f"{', '.join(sorted(known)) or 'no columns'}."
                )
        try:
            router.check(list(successors))
        except DistilabelUserError as error:
            raise PipelineValidationError(f"Step {name!r}: {error}") from error


def check_storage_parameters(storage_parameters: Any) -> None:
    """Raise where distilabel's `storage_parameters` are none, although they have no effect.

    Raises:
        PipelineValidationError: it is no dict with a "path".
    """
    if not storage_parameters:
        return
    if not isinstance(storage_parameters, Mapping) or not storage_parameters.get("path"):
        raise PipelineValidationError(
            f"storage_parameters={storage_parameters!r} has to be a dict with a 'path', such as "
            '{"path": "s3://bucket/folder"}. Here the runner passes the data: leave it out.'
        )


def set_parameters(graph: Graph, parameters: Mapping[str, Any]) -> None:
    """Set a run's parameters on the Steps of `graph` in place.

    Raises:
        PipelineValidationError: a Step or parameter is unknown, or a value doesn't fit.
    """
    if not isinstance(parameters, Mapping):
        raise PipelineValidationError(
            f"parameters={parameters!r} has to be a dict of the names of Steps and their "
            'parameters, such as {"load": {"batch_size": 10}}.'
        )
    for name, values in parameters.items():
        if not isinstance(name, str):
            meant = f"; write {name.unique_name!r}" if isinstance(name, _Step) else ""
            raise PipelineValidationError(
                f"parameters has the key {name!r}, which is no name of a Step{meant}."
            )
        _check_numbers(f"Step {name!r}: the parameter", values)
        step = graph.get(name)
        if not isinstance(values, Mapping):
            raise PipelineValidationError(
                f"the parameters of Step {name!r} have to be a dict, got {values!r}."
            )
        try:
            step.set_runtime_parameters(values)
        except DistilabelUserError as error:
            said = str(error)
            named = said if said.startswith("Step ") else f"Step {name!r}: {said}"
            raise PipelineValidationError(named) from None
        except ValueError as error:
            raise PipelineValidationError(f"Step {name!r}: {error}") from error


def _check_numbers(what: str, value: Any) -> None:
    """Raise where a number in `value` is NaN: nothing can be compared with it, or kept as JSON."""
    if isinstance(value, float) and math.isnan(value):
        raise PipelineValidationError(f"{what} is NaN; give a number, or leave it out.")
    items = value.items() if isinstance(value, Mapping) else ()
    if isinstance(value, (list, tuple)):
        items = enumerate(value)  # type: ignore[assignment]
    for key, item in items:
        _check_numbers(f"{what}{'.' if isinstance(value, Mapping) else ' '}{key}", item)


__all__ = [
    "available_columns",
    "check_storage_parameters",
    "needed_columns",
    "set_parameters",
    "validate",
]
