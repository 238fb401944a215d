"""The fields of Beam's rows: their names and types.

Every field is nullable. A column of which no type is known has Beam's type for any Python object:
its values go on as they are, to transforms in Python only.
"""

from __future__ import annotations

import keyword
from collections.abc import Mapping, Sequence
from typing import Any, Optional

import pyarrow as pa
from apache_beam.portability.api import schema_pb2
from apache_beam.typehints.row_type import RowTypeConstraint
from apache_beam.typehints.schemas import named_fields_from_element_type, named_fields_to_schema

from beam_distilabel.schema.types import is_list

ROW_COLUMN = "distilabel_row_id"
"""The field of a Beam row that holds a row's identity, see `identities.py`.

Beam's fields can't be called `_row_id`. A row that comes without it gets an identity from its
content, as in any Beam pipeline.
"""

Fields = dict[str, Any]
"""Field name to its type, as Beam hints it."""


def fields_of(element_type: Any) -> Fields | None:
    """The fields of a PCollection's rows, None where it has no schema."""
    try:
        return dict(named_fields_from_element_type(element_type))
    except (TypeError, ValueError):
        return None


def can_be_field(name: str) -> bool:
    """Whether a column of this name can be in a schema of Beam's: a name that Python could use.

    Example:
        >>> [can_be_field(name) for name in ("text", "my text", "class", "_text")]
        [True, False, False, False]
    """
    return name.isidentifier() and not keyword.iskeyword(name) and not name.startswith("_")


def row_type(fields: Mapping[str, Any]) -> RowTypeConstraint:
    """The element type of rows with these fields, each nullable."""
    return RowTypeConstraint.from_fields([(name, nullable(h)) for name, h in fields.items()])


def hint_of(kind: pa.DataType) -> Any:
    """Beam's type for values of an Arrow type; `Any` where there is none that holds them all.

    Example:
        >>> hint_of(pa.list_(pa.int32()))
        collections.abc.Sequence[typing.Optional[int]]
    """
    types = pa.types
    for is_kind, hint in (
        (types.is_boolean, bool),
        (types.is_integer, int),
        (types.is_floating, float),
        (types.is_string, str),
        (types.is_large_string, str),
        (types.is_binary, bytes),
        (types.is_large_binary, bytes),
    ):
        if is_kind(kind):
            return hint
    if is_list(kind):
        return _list_of(hint_of(kind.value_type))
    if types.is_struct(kind) and kind.num_fields and all(can_be_field(f.name) for f in kind):
        return row_type({field.name: hint_of(field.type) for field in kind})
    return Any


def arrow_type(hint: Any) -> pa.DataType:
    """The Arrow type that a field's values have in a file; null where it isn't known.

    Example:
        >>> arrow_type(Optional[int])
        DataType(int64)
    """
    return _arrow(named_fields_to_schema([("field", hint)]).fields[0].type)


def _list_of(hint: Any) -> Any:
    return Sequence[nullable(hint)]  # type: ignore[misc]


def nullable(hint: Any) -> Any:
    """The type of values that may be None."""
    return Optional[hint]  # noqa: UP045  (hints of rows have no `|`)


def _arrow(kind: schema_pb2.FieldType) -> pa.DataType:
    which = kind.WhichOneof("type_info")
    if which == "atomic_type":
        return _ATOMIC.get(kind.atomic_type, pa.null())
    if which in ("array_type", "iterable_type"):
        item = _arrow(getattr(kind, which).element_type)
        return pa.null() if pa.types.is_null(item) else pa.list_(item)
    if which == "row_type":
        fields = [(field.name, _arrow(field.type)) for field in kind.row_type.schema.fields]
        known = all(not pa.types.is_null(item) for _, item in fields)
        return pa.struct(fields) if known and fields else pa.null()
    return pa.null()


_ATOMIC = {
    schema_pb2.BYTE: pa.int64(),
    schema_pb2.INT16: pa.int64(),
    schema_pb2.INT32: pa.int64(),
    schema_pb2.INT64: pa.int64(),
    schema_pb2.FLOAT: pa.float64(),
    schema_pb2.DOUBLE: pa.float64(),
    schema_pb2.STRING: pa.string(),
    schema_pb2.BOOLEAN: pa.bool_(),
    schema_pb2.BYTES: pa.binary(),
}


__all__ = [
    "ROW_COLUMN",
    "Fields",
    "arrow_type",
    "can_be_field",
    "fields_of",
    "hint_of",
    "nullable",
    "row_type",
]
