"""Rows as Beam's YAML transforms have them, and as Steps have them. Pure.

Beam's transforms take rows with a schema: field names to types, as on any of its SDKs. The rows of
Steps are dicts whose values decide. `to_dict` makes a row of Beam's a dict; `Shape` makes a dict a
row of Beam's, or says why it is none.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable, Mapping
from typing import Any

import apache_beam as beam
from apache_beam.portability.api import schema_pb2
from apache_beam.typehints.schemas import named_fields_to_schema
from apache_beam.utils.timestamp import Timestamp

from beam_distilabel.beam_yaml.fields import ROW_COLUMN, nullable
from beam_distilabel.beam_yaml.identities import identified, identity
from beam_distilabel.row import DRAW, RESERVED, ROW_ID, Row, content
from beam_distilabel.schema.json_text import to_json

_INTEGERS: dict[Any, int] = {
    schema_pb2.BYTE: 8,
    schema_pb2.INT16: 16,
    schema_pb2.INT32: 32,
    schema_pb2.INT64: 64,
}
_INSTANTS = ("beam:logical_type:millis_instant:v1", "beam:logical_type:micros_instant:v1")
_PLAIN = frozenset((bool, bytes, float, int, str, type(None)))


def to_dict(element: Any) -> Row:
    """An element of a Beam pipeline as a row: dicts and lists all the way down.

    Raises:
        TypeError: it has no fields.

    Example:
        >>> to_dict(beam.Row(a=1, b=[beam.Row(c="x")]))
        {'a': 1, 'b': [{'c': 'x'}]}
    """
    if isinstance(element, dict):
        return element
    row = _fields_in(element)
    if row is None:
        raise TypeError(
            f"an element is a {type(element).__name__}, no row; make rows of them first, say by "
            "MapToFields."
        )
    return identified(row, row.pop(ROW_COLUMN, None))


def _fields_in(value: Any) -> Row | None:
    """The fields of a Beam row, a NamedTuple or a dataclass by name; None of anything else."""
    if isinstance(value, beam.Row):
        return {name: _plain(item) for name, item in value.as_dict().items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return {name: _plain(item) for name, item in zip(value._fields, value, strict=True)}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = (field.name for field in dataclasses.fields(value))
        return {name: _plain(getattr(value, name)) for name in names}
    return None


def _plain(value: Any) -> Any:
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is list:
        return [item if type(item) in _PLAIN else _plain(item) for item in value]
    if kind is dict:
        return {key: _plain(item) for key, item in value.items()}
    if kind is Timestamp:
        return value.to_utc_datetime(has_tz=True)
    fields = _fields_in(value)
    return value if fields is None else fields


class Shape:
    """What a row of known columns is as a row of Beam's.

    Args:
        fields: the columns' types.

    Example:
        >>> shape = Shape({"a": int, "b": Any})
        >>> element = shape.row({"a": 1, "_row_id": "0-3"})
        >>> element.a, element.b, to_dict(element)
        (1, None, {'a': 1, '_row_id': '0-3'})
        >>> shape.row({"a": "one"})
        Traceback (most recent call last):
        ...
        TypeError: column 'a' has a str, and is declared to have int64
    """

    def __init__(self, fields: Mapping[str, Any]) -> None:
        # As bytes, since types can't be pickled by everything that Beam may be told to pickle by.
        fields = {name: nullable(h) for name, h in fields.items() if name != ROW_COLUMN}
        self._schema = named_fields_to_schema(list(fields.items())).SerializeToString()
        self._makers: dict[str, _Maker] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"_schema": self._schema, "_makers": None}

    @property
    def names(self) -> list[str]:
        """The columns."""
        return list(self._columns())

    def row(self, row: Row) -> Any:
        """`row` as one of Beam's, its identity in `ROW_COLUMN`.

        Raises:
            TypeError: it has other columns, or a value of another type; says which.
        """
        values: Row = {}
        missing = 0
        for name, make in self._columns().items():
            if name not in row:
                values[name] = None
                missing += 1
                continue
            value = row[name]
            try:
                values[name] = None if value is None else make(value)
            except TypeError as error:
                raise TypeError(f"column {name!r} {error}") from None
        reserved = (ROW_ID in row) + (DRAW in row)
        if len(row) > len(values) - missing + reserved:
            extra = [name for name in row if name not in values and name not in RESERVED]
            raise TypeError(
                f"column {extra[0]!r} isn't among those that are declared: "
                f"{', '.join(values) or 'none'}"
            )
        return _element(values, row)

    def part(self, row: Row) -> tuple[Any, str | None]:
        """As much of `row` as fits, for what tells of it; and all of it as JSON if that isn't all.

        Example:
            >>> Shape({"a": int, "b": int}).part({"a": 1, "b": "x"})
            (Row(a=1, b=None, distilabel_row_id='###'), '{"a": 1, "b": "x"}')
        """
        fits: Row = {}
        for name, make in self._columns().items():
            try:
                fits[name] = None if row.get(name) is None else make(row[name])
            except TypeError:
                fits[name] = None
        whole = content(row)
        lost = any(value is not None and fits.get(name) is None for name, value in whole.items())
        return _element(fits, row), to_json(whole) if lost else None

    def _columns(self) -> dict[str, _Maker]:
        if self._makers is None:
            schema = schema_pb2.Schema.FromString(self._schema)
            self._makers = {field.name: _maker(field.type) for field in schema.fields}
        return self._makers


def _element(values: Row, row: Row) -> Any:
    """A row of Beam's with these values, and the identity of `row`."""
    absent = [name for name in values if name not in row]
    plain = {name: _plain(value) for name, value in values.items()}
    return beam.Row(**values, **{ROW_COLUMN: identity(row, plain, absent)})


_Maker = Callable[[Any], Any]
"""What makes a value one of a field's type; raises TypeError where it can't."""


def _maker(kind: schema_pb2.FieldType) -> _Maker:
    which = kind.WhichOneof("type_info")
    if which == "atomic_type":
        return _atomic_maker(kind.atomic_type)
    if which in ("array_type", "iterable_type"):
        make_item = _of_none(_maker(getattr(kind, which).element_type))

        def make_list(value: Any) -> Any:
            if not isinstance(value, (list, tuple)):
                raise _misfit(value, "a list")
            return [make_item(item) for item in value]

        return make_list
    if which == "map_type":
        make_key = _maker(kind.map_type.key_type)
        make_value = _of_none(_maker(kind.map_type.value_type))

        def make_map(value: Any) -> Any:
            if not isinstance(value, Mapping):
                raise _misfit(value, "a map")
            return {make_key(key): make_value(item) for key, item in value.items()}

        return make_map
    if which == "row_type":
        makers = {f.name: _of_none(_maker(f.type)) for f in kind.row_type.schema.fields}

        def make_row(value: Any) -> Any:
            if not isinstance(value, Mapping):
                raise _misfit(value, "a row")
            extra = [name for name in value if name not in makers]
            if extra:
                raise TypeError(
                    f"has a dict with {extra[0]!r}, and is declared to have {', '.join(makers)}"
                )
            return beam.Row(**{name: make(value.get(name)) for name, make in makers.items()})

        return make_row
    if which == "logical_type" and kind.logical_type.urn in _INSTANTS:
        return _instant
    return _same


def _atomic_maker(atomic: Any) -> _Maker:
    bits = _INTEGERS.get(atomic)
    if bits is not None:
        least, most = -(2 ** (bits - 1)), 2 ** (bits - 1)

        def make_int(value: Any) -> Any:
            if type(value) is not int:
                value = _of_numpy(value, "iu", f"int{bits}")
            if not least <= value < most:
                raise TypeError(f"has an integer beyond {bits} bits")
            return value

        return make_int
    if atomic in (schema_pb2.FLOAT, schema_pb2.DOUBLE):

        def make_float(value: Any) -> Any:
            if type(value) is float:
                return value
            if type(value) is int:
                return float(value)
            return float(_of_numpy(value, "iuf", "float"))

        return make_float
    if atomic == schema_pb2.BOOLEAN:
        return lambda value: value if type(value) is bool else _of_numpy(value, "b", "bool")
    if atomic == schema_pb2.BYTES:
        return lambda value: value if type(value) is bytes else _refused(value, "bytes")
    return lambda value: value if type(value) is str else _refused(value, "str")


def _of_none(make: _Maker) -> _Maker:
    return lambda value: None if value is None else make(value)


def _of_numpy(value: Any, kinds: str, wanted: str) -> Any:
    """The Python value of a scalar of numpy, if it is of these kinds."""
    dtype = getattr(value, "dtype", None)
    if dtype is None or dtype.kind not in kinds or getattr(value, "shape", None) != ():
        raise _misfit(value, wanted)
    return value.item()


def _refused(value: Any, wanted: str) -> Any:
    raise _misfit(value, wanted)


def _misfit(value: Any, wanted: str) -> TypeError:
    return TypeError(f"has a {type(value).__name__}, and is declared to have {wanted}")


def _instant(value: Any) -> Any:
    if isinstance(value, datetime.datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=datetime.timezone.utc)
        return Timestamp.from_utc_datetime(aware.astimezone(datetime.timezone.utc))
    return value if isinstance(value, Timestamp) else _refused(value, "a timestamp")


def _same(value: Any) -> Any:
    return value


__all__ = ["Shape", "to_dict"]
