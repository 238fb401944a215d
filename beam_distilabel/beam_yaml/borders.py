"""Between rows with a schema, which Beam's YAML transforms have, and rows as Steps have them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.pvalue import TaggedOutput

from beam_distilabel.beam_yaml.fields import (
    ROW_COLUMN,
    arrow_type,
    can_be_field,
    fields_of,
    hint_of,
    row_type,
)
from beam_distilabel.beam_yaml.shapes import Shape, to_dict
from beam_distilabel.errors import RowError
from beam_distilabel.failures import Failure
from beam_distilabel.metadata import METADATA
from beam_distilabel.pipeline.columns import UNKNOWN, Column, KnownRows
from beam_distilabel.row import Row
from beam_distilabel.step import _Step

logger = logging.getLogger(__name__)

MISFITS = "misfits"
ERROR_FIELDS = {
    "msg": str,
    "stack": str,
    "step": str,
    "kind": str,
    "attempts": int,
    "raw_output": str,
    "row_json": str,
}
"""The fields of an error beside `element`, the row: Beam's own, and those of a `Failure`."""


def known_rows_of(rows: Any) -> KnownRows:
    """What is known of a PCollection's rows."""
    fields = fields_of(rows.element_type)
    if fields is None:
        return KnownRows({}, has_others=True)
    columns = {
        name: Column(arrow_type(hint), hint=hint)
        for name, hint in fields.items()
        if name != ROW_COLUMN
    }
    return KnownRows(columns, has_others=False)


def arrow_schema(known: KnownRows) -> pa.Schema:
    """What is known of rows as `WriteDistiset` takes it."""
    return pa.schema([(name, column.type) for name, column in known.columns.items()])


def _hint(column: Column) -> Any:
    return hint_of(column.type) if column.hint is None else column.hint


def _has_schema(known: KnownRows, what: str | None) -> bool:
    """Whether rows get a schema; a log says why they don't get one that is known."""
    unfit = [name for name in known.columns if not can_be_field(name)]
    if unfit and what is not None:
        logger.warning(
            "%s: the column %r can't be a field of Beam's, so its rows have no schema, which Beam's"
            " own YAML transforms need; rename it by output_mappings, or leave it out by "
            "KeepColumns.",
            what,
            unfit[0],
        )
    return not unfit and not known.has_others


class Receive(beam.PTransform):
    """Makes elements of any kind of row the dicts that Steps take."""

    def expand(self, rows: Any) -> Any:
        return rows | beam.ParDo(_Receive())


class _Receive(beam.DoFn):
    def process(self, element: Any) -> Iterator[Row]:
        row = to_dict(element)
        if METADATA in row and row[METADATA] is None:
            row = {name: row[name] for name in row if name != METADATA}
        yield row


class Send(beam.PTransform):
    """Makes rows elements with a schema, where one is known.

    Args:
        known: what is known of the rows.
        step: whose rows they are.
        handles_errors: whether a row that doesn't fit is an error that the file handles.
        tells_failures: whether rows may say in their metadata why they failed.

    Returns:
        The rows, and the failures of those that don't fit; None where that ends the job.
    """

    def __init__(
        self, known: KnownRows, step: _Step, handles_errors: bool, tells_failures: bool
    ) -> None:
        super().__init__()
        self._columns = dict(known.columns)
        if tells_failures:
            self._columns.setdefault(METADATA, UNKNOWN)
        self._has_others = known.has_others
        self._step = step
        self._handles_errors = handles_errors

    def expand(self, rows: Any) -> tuple[Any, Any]:
        what, name = self._step._described(), self._step.unique_name
        if not _has_schema(KnownRows(self._columns, self._has_others), what):
            return rows, None
        fields = {name: _hint(column) for name, column in self._columns.items()}
        fn = _Send(Shape(fields), what, name, self._handles_errors)
        kind = row_type({**fields, ROW_COLUMN: str})
        made = rows | beam.ParDo(fn).with_outputs(MISFITS, main="rows")
        made.rows.element_type = kind
        return made.rows, made[MISFITS]


class _Send(beam.DoFn):
    def __init__(self, shape: Shape, what: str, step: str, handles_errors: bool) -> None:
        self._shape = shape
        self._what = what
        self._step = step
        self._handles_errors = handles_errors

    def process(self, row: Row) -> Iterator[Any]:
        try:
            yield self._shape.row(row)
        except TypeError as error:
            if not self._handles_errors:
                raise RowError(
                    f"{self._what}: {error}. Beam's YAML transforms need rows of the declared "
                    "columns: declare it in the Step's `outputs` and `output_schema`, or send such "
                    "rows elsewhere with `error_handling: {output: errors}`."
                ) from None
            yield TaggedOutput(MISFITS, Failure(self._step, "schema", str(error), row))


class SendErrors(beam.PTransform):
    """Makes failures the elements of an error output, as Beam's YAML transforms have them.

    Fields are `element` (the row as it was received, as far as its schema holds it), `msg`,
    `stack`, and of the failure `step`, `kind`, `attempts` and `raw_output`; `row_json` has the
    whole row where `element` does not.

    Args:
        known: what is known of the rows received.
    """

    def __init__(self, known: KnownRows) -> None:
        super().__init__()
        self._known = known

    def expand(self, failures: Any) -> Any:
        columns = self._known.columns
        element: Any = Any
        shape = None
        if _has_schema(self._known, None):
            fields = {name: _hint(column) for name, column in columns.items()}
            element, shape = row_type({**fields, ROW_COLUMN: str}), Shape(fields)
        kind = row_type({"element": element, **ERROR_FIELDS})
        return failures | beam.ParDo(_SendErrors(shape)).with_output_types(kind)


class _SendErrors(beam.DoFn):
    def __init__(self, shape: Shape | None) -> None:
        self._shape = shape

    def process(self, failure: Failure) -> Iterator[Any]:
        element, row_json = failure.row, None
        if self._shape is not None:
            element, row_json = self._shape.part(failure.row)
        yield beam.Row(
            element=element,
            msg=failure.message,
            stack="",
            step=failure.step,
            kind=failure.kind,
            attempts=failure.attempts,
            raw_output=failure.raw_output,
            row_json=row_json,
        )


__all__ = [
    "Receive",
    "Send",
    "SendErrors",
    "arrow_schema",
    "known_rows_of",
]
