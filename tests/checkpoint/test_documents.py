"""What is put into a checkpoint comes out as it was, or not at all."""

import enum
import math
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, strategies as st

from beam_distilabel.checkpoint.documents import decode, encode, seal, unseal

TEXTS = st.text(st.characters(codec=None, categories=None), max_size=20)
ATOMS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=-(2**300), max_value=2**300)
    | st.floats()
    | TEXTS
    | st.sampled_from(["\ud800", "a\udfffb", "\x00"])
    | st.binary(max_size=20)
)
KEYS = TEXTS | st.integers() | st.tuples(st.integers(), TEXTS) | st.binary(max_size=4)
PLAIN = st.recursive(
    ATOMS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(KEYS, inner, max_size=4)
    ),
    max_leaves=20,
)


def same(one: Any, other: Any) -> bool:
    """Equal with types, and NaN equal to itself."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return one.hex() == other.hex()
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return list(map(repr, one)) == list(map(repr, other)) and all(
            same(one[key], value) for key, value in zip(one, other.values(), strict=True)
        )
    return one == other


@given(PLAIN)
def test_any_plain_data_comes_back(value: Any) -> None:
    assert same(decode(encode(value)), value)


class Colour(str, enum.Enum):
    RED = "red"


class Pair(NamedTuple):
    one: int
    two: str


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (np.array([[1.5, 2.5]]), [[1.5, 2.5]]),
        (np.float32(0.5), 0.5),
        (np.int64(2**40), 2**40),
        (np.bool_(True), True),
        (Colour.RED, "red"),
        (enum.IntEnum("Size", {"BIG": 2**70}).BIG, 2**70),
        (Pair(1, "b"), (1, "b")),
        (type("Words", (list,), {})(["a"]), ["a"]),
    ],
)
def test_what_stands_for_plain_data_becomes_it(value: Any, kept: Any) -> None:
    assert same(decode(encode({"value": [value]})), {"value": [kept]})


@pytest.mark.parametrize(
    "value", [object(), {1, 2}, print, [{"a": object()}], np.datetime64("now")]
)
def test_other_data_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="can't be kept|can not serialize"):
        encode(value)


def nested(depth: int, kind: type) -> Any:
    value: Any = 0
    for _ in range(depth):
        value = kind((value,))
    return value


@pytest.mark.parametrize("kind", [list, tuple])
def test_what_is_nested_too_deep_is_refused(kind: type) -> None:
    assert same(decode(encode(nested(50, kind))), nested(50, kind))
    with pytest.raises(ValueError):
        encode(nested(100_000, kind))
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(ValueError):
        encode(circle)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        decode(data)
    except ValueError:
        pass


@given(st.binary(min_size=16, max_size=16), PLAIN, st.data())
def test_a_damaged_document_is_never_taken_for_a_whole_one(
    key: bytes, value: Any, data: st.DataObject
) -> None:
    sealed = seal(key, value)
    assert same(unseal(key, sealed), value)
    at = data.draw(st.integers(0, len(sealed) - 1))
    bit = 1 << data.draw(st.integers(0, 7))
    with pytest.raises(ValueError):
        unseal(key, sealed[:at] + bytes([sealed[at] ^ bit]) + sealed[at + 1 :])
    with pytest.raises(ValueError):
        unseal(bytes([key[0] ^ bit]) + key[1:], sealed)
    with pytest.raises(ValueError):
        unseal(key, sealed[:at])


def test_numbers_that_are_none() -> None:
    value = decode(encode([math.nan, math.inf, -math.inf, -0.0]))
    assert same(value, [math.nan, math.inf, -math.inf, -0.0])
