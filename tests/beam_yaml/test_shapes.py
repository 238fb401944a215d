"""Rows to Beam's and back."""

from __future__ import annotations

import datetime
import json
import pickle
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam import coders
from hypothesis import given, strategies as st

from beam_distilabel.beam_yaml.fields import ROW_COLUMN, arrow_type, fields_of, hint_of, row_type
from beam_distilabel.beam_yaml.shapes import Shape, to_dict

TYPES = st.recursive(
    st.sampled_from([pa.string(), pa.int64(), pa.float64(), pa.bool_(), pa.binary()]),
    lambda inner: st.one_of(
        inner.map(pa.list_),
        st.dictionaries(st.sampled_from("xyz"), inner, min_size=1).map(
            lambda fields: pa.struct(list(fields.items()))
        ),
    ),
    max_leaves=5,
)
ATOMS = {
    pa.string(): st.text(),
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.float64(): st.floats(allow_nan=False),
    pa.bool_(): st.booleans(),
    pa.binary(): st.binary(),
}


def values_of(kind: pa.DataType) -> st.SearchStrategy[Any]:
    if pa.types.is_list(kind):
        made: st.SearchStrategy[Any] = st.lists(values_of(kind.value_type), max_size=3)
    elif pa.types.is_struct(kind):
        made = st.fixed_dictionaries({field.name: values_of(field.type) for field in kind})
    else:
        made = ATOMS[kind]
    return st.none() | made


@st.composite
def rows(draw: st.DrawFn) -> tuple[dict[str, pa.DataType], dict[str, Any]]:
    types = draw(st.dictionaries(st.sampled_from("abc"), TYPES, min_size=1))
    row = {name: draw(values_of(kind)) for name, kind in types.items()}
    return types, {**row, "_row_id": "0-3.1/", "_draw": draw(st.integers(1, 9))}


@given(rows())
def test_what_fits_comes_back_as_it_was_through_beams_coder(given_row: Any) -> None:
    types, row = given_row
    fields = {name: hint_of(kind) for name, kind in types.items()}
    assert {name: arrow_type(hint) for name, hint in fields.items()} == types
    shape = pickle.loads(pickle.dumps(Shape(fields)))
    kind = row_type({**fields, ROW_COLUMN: str})
    assert list(fields_of(kind) or {}) == [*fields, ROW_COLUMN]
    coder = coders.registry.get_coder(kind)
    assert to_dict(coder.decode(coder.encode(shape.row(row)))) == row
    assert shape.part(row)[1] is None


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("xyz"), inner),
    max_leaves=6,
)


@given(TYPES, st.dictionaries(st.sampled_from("ab"), VALUES))
def test_whatever_comes_is_encoded_or_refused_with_its_column(
    kind: pa.DataType, row: dict[str, Any]
) -> None:
    fields = {"a": hint_of(kind)}
    shape = Shape(fields)
    coder = coders.registry.get_coder(row_type({**fields, ROW_COLUMN: str}))
    element, whole = shape.part(row)
    coder.encode(element)
    try:
        made = shape.row(row)
    except TypeError as error:
        assert str(error).startswith(("column 'a' ", "column 'b' "))
        assert whole is not None or all(value is None for value in row.values()) or "b" in row
        if whole is not None:
            assert set(json.loads(whole)) == set(row)
    else:
        coder.encode(made)


def test_times_and_elements_that_are_no_rows() -> None:
    from apache_beam.utils.timestamp import Timestamp

    now = datetime.datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=datetime.timezone.utc)
    row = Shape({"at": Timestamp}).row({"at": now})
    assert isinstance(row.at, Timestamp) and to_dict(row)["at"] == now
    with pytest.raises(TypeError, match="an element is a str, no row"):
        to_dict("text")
    assert to_dict(beam.Row(a=[beam.Row(b=1)])) == {"a": [{"b": 1}]}
