"""What crosses from one job to the next comes back as it was: values, types, order of keys."""

from __future__ import annotations

import datetime
import decimal
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from beam_distilabel.errors import DistilabelTypeError
from beam_distilabel.failures import Failure
from beam_distilabel.pipeline.stage_files import decode_element, encode_element
from beam_distilabel.pipeline.stage_rows import decode, encode

_scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["~", "\ud800", '"~"', ["~"]])
    | st.binary()
    | st.dates()
    | st.datetimes(timezones=st.none() | st.just(datetime.timezone.utc))
    | st.times()
    | st.timedeltas()
    | st.decimals()
    | st.uuids()
)
_hashable = st.none() | st.booleans() | st.integers() | st.text() | st.binary()
_values = st.recursive(
    _scalars,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.text() | st.just("~"), inner)
        | st.dictionaries(_hashable, inner)
        | st.sets(_hashable)
        | st.frozensets(_hashable)
    ),
    max_leaves=20,
)


def same(one: Any, other: Any) -> bool:
    """Equal, with equal types, also inside, and nan equal to itself."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return one == other and math.copysign(1, one) == math.copysign(1, other) or one != one
    if isinstance(one, decimal.Decimal):
        return str(one) == str(other)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return same(list(one), list(other)) and same(list(one.values()), list(other.values()))
    return bool(one == other)


@given(_values)
def test_values_come_back_as_they_were(value: Any) -> None:
    assert same(decode(encode(value)), value)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.int16).reshape(2, 3),
        np.array([1.5, np.nan], dtype=">f4"),
        np.array(["a", "bc"]),
        np.array(["2020-01-01"], dtype="datetime64[D]"),
        np.zeros((0, 3)),
        np.array(3.0),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.array([{"a": 1}, None, (2,)], dtype=object),
    ],
)
def test_arrays(array: Any) -> None:
    found = decode(encode({"v": array}))["v"]
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    assert found.tolist() == array.tolist() or np.isnan(array).any()
    found[...] = found  # not read-only


@pytest.mark.parametrize("scalar", [np.float32(0.1), np.int64(3), np.str_("a"), np.bytes_(b"a")])
def test_numpy_scalars(scalar: Any) -> None:
    found = decode(encode(scalar))
    assert type(found) is type(scalar) and found == scalar


def test_subclasses_become_what_they_stand_for() -> None:
    class Text(str):
        pass

    assert same(decode(encode(Text("a"))), "a")


def test_what_cannot_be_written_is_named() -> None:
    with pytest.raises(
        DistilabelTypeError, match=r"load: column 'c' of the row '0-1': a builtins\.object can't"
    ):
        encode_element({"_row_id": "0-1", "a": 1, "c": [object()]}, "load")


def test_failures() -> None:
    failure = Failure("step", "parse", "no", {"_row_id": "0-1", "x": (1, b"2")}, 3, "raw\ud800")
    found = decode_element(encode_element(failure, ".failures"))
    assert isinstance(found, Failure) and found == failure
