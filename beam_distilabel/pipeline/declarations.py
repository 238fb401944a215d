"""What Steps say of their columns: whether it can be what they say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from beam_distilabel.errors import DistilabelError, PipelineValidationError
from beam_distilabel.failures import message_of
from beam_distilabel.metadata import METADATA
from beam_distilabel.problems import closest
from beam_distilabel.row import RESERVED
from beam_distilabel.step import _Step, column_flags


def check_declarations(step: _Step) -> None:
    """Raise where `inputs`, `outputs` or `output_schema` of a Step can't be used.

    Raises:
        PipelineValidationError: names the Step, the property and what it gave.
    """
    _check_columns(step, "inputs", _asked(step, "inputs", lambda: step.inputs))
    _check_columns(step, "outputs", _asked(step, "outputs", lambda: step.outputs))
    _asked(step, "get_inputs", step.get_inputs)
    _asked(step, "get_outputs", step.get_outputs)
    if step.is_generator:
        return  # loaders look into their data for it
    schema = _asked(step, "output_schema", step.output_schema)
    if not isinstance(schema, (pa.Schema, type(None))):
        raise PipelineValidationError(
            f"{step._described()}: `output_schema` gave {schema!r}; it has to return a "
            "pyarrow.Schema, or None where no type is known."
        )


def _asked(step: _Step, name: str, ask: Any) -> Any:
    try:
        return ask()
    except DistilabelError:
        raise
    except Exception as error:
        if type(step).__module__.startswith("beam_distilabel."):
            raise  # a loader whose data can't be read, and it says so
        raise PipelineValidationError(
            f"{step._described()}: `{name}` raised {message_of(error)}. It is asked before "
            "anything is loaded, and has to return the names of columns."
        ) from error


def _check_columns(step: _Step, name: str, columns: Any) -> None:
    form = "return a list of the names of columns, or a dict of name to whether it is required"
    if isinstance(columns, str):
        raise PipelineValidationError(
            f"{step._described()}: `{name}` is the text {columns!r}; {form}: [{columns!r}]."
        )
    if not isinstance(columns, (list, tuple, Mapping)):
        raise PipelineValidationError(
            f"{step._described()}: `{name}` is {columns!r} ({type(columns).__name__}); {form}."
        )
    wrong = [column for column in columns if not isinstance(column, str) or not column]
    if wrong:
        raise PipelineValidationError(
            f"{step._described()}: `{name}` has {wrong[0]!r}, which is no name of a column; {form}."
        )
    if isinstance(columns, Mapping):
        for column, required in columns.items():
            if not isinstance(required, bool):
                raise PipelineValidationError(
                    f"{step._described()}: `{name}` has {column!r}: {required!r}; {form}: True or "
                    "False."
                )
        return
    twice = [column for i, column in enumerate(columns) if column in columns[:i]]
    if twice:
        raise PipelineValidationError(
            f"{step._described()}: `{name}` has {twice[0]!r} twice; name each column once."
        )


def check_mappings(step: _Step) -> None:
    """Raise where `input_mappings` or `output_mappings` name nothing, or lose a column.

    Raises:
        PipelineValidationError: names the Step, the mapping and the column.
    """
    inputs, outputs = column_flags(step.inputs), column_flags(step.outputs)
    _check_names(
        step, "input_mappings", inputs, "inputs", "{name the Step expects: column of the row}"
    )
    _check_names(
        step, "output_mappings", outputs, "outputs", "{name the Step makes: column wanted}"
    )
    made: dict[str, str] = {}
    for name in [*outputs, *(name for name in step.output_mappings if name not in outputs)]:
        wanted = step.output_mappings.get(name, name)
        if wanted in made:
            raise PipelineValidationError(
                f"{step._described()}: its outputs {made[wanted]!r} and {name!r} would both become "
                f"the column {wanted!r}, and one of them be lost; give each a column of its own by "
                "`output_mappings`."
            )
        made[wanted] = name
    for wanted, name in made.items():
        if wanted in RESERVED or wanted == METADATA != name:
            raise PipelineValidationError(
                f"{step._described()} makes a column {wanted!r}, a reserved name; rename it by "
                "`output_mappings`."
            )


def _check_names(step: _Step, field: str, known: Mapping[str, bool], kind: str, form: str) -> None:
    mappings: Mapping[str, str] = getattr(step, field)
    # What a loader makes may be unknown before it reads.
    unknown = step.is_generator and not known
    for name, column in mappings.items():
        if name not in known and not unknown:
            raise PipelineValidationError(
                f"{step._described()}: {field} names {name!r}, which is none of its {kind} "
                f"{sorted(known)}.{closest(name, known)} The form is {form}."
            )
        if not column:
            raise PipelineValidationError(
                f"{step._described()}: {field} maps {name!r} to a column without a name; the form "
                f"is {form}."
            )
