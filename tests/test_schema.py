"""Schema inference and unification: any rows fit one schema, and none is lost."""

from __future__ import annotations

import datetime
import decimal
import io
import json
import math
import uuid
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings, strategies as st

from beam_distilabel.schema import (
    JSON,
    MAX_DEPTH,
    MAX_FIELDS,
    PLACEHOLDER,
    convert_table,
    encode_column,
    encode_rows,
    json_paths,
    storage_schema,
    to_json,
    type_of,
    unify_schemas,
    unify_types,
)

TEXT = st.text(st.characters(), max_size=6)  # lone surrogates too
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    TEXT,
    st.binary(max_size=4),
)
KEYS = st.one_of(st.sampled_from(["a", "b", "c"]), TEXT, st.integers(0, 3))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)
ROWS = st.lists(st.dictionaries(KEYS, VALUES, max_size=4), min_size=1, max_size=8)


def write_and_read(table: pa.Table) -> pa.Table:
    file = io.BytesIO()
    pq.write_table(table, file)
    return pq.read_table(file)


def text_key(key: Any) -> str:
    return str(key).encode("utf-8", "backslashreplace").decode()


def fail(constant: str) -> None:
    raise AssertionError(f"{constant} isn't JSON")


def is_nothing(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(is_nothing, value.values()))
    return value is None


def same_json(ours: Any, theirs: Any) -> bool:
    """Whether two values are the same, though one of them had a type of its own for a while."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        names = {text_key(key) for key in (*ours, *theirs)}
        left = {text_key(key): value for key, value in ours.items()}
        right = {text_key(key): value for key, value in theirs.items()}
        return all(same_json(left.get(name), right.get(name)) for name in names)
    if is_nothing(ours) and is_nothing(theirs):
        return True
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(same_json, ours, theirs))
    if isinstance(ours, (int, float)) and isinstance(theirs, (int, float)):
        return math.isclose(ours, theirs)
    return ours == theirs or (isinstance(ours, str) and text_key(ours) == text_key(theirs))


def assert_same(given_value: Any, found: Any, kind: Any) -> None:
    """`found` is `given_value` but for the coercions that the module documents."""
    if given_value is None:
        assert found is None
    elif found is None:
        assert given_value == {}
    elif kind == JSON:
        ours, theirs = json.loads(str(to_json(given_value))), json.loads(found, parse_constant=fail)
        assert same_json(ours, theirs), (ours, theirs)
    elif pa.types.is_struct(kind):
        assert isinstance(given_value, dict)
        if len({text_key(key) for key in given_value}) == len(given_value):
            by_name = {text_key(key): value for key, value in given_value.items()}
            for field in kind:
                assert_same(by_name.pop(field.name, None), found[field.name], field.type)
            assert not by_name
    elif pa.types.is_list(kind):
        assert len(found) == len(given_value)
        for ours, theirs in zip(given_value, found, strict=True):
            assert_same(ours, theirs, kind.value_type)
    elif pa.types.is_floating(kind):
        assert math.isnan(found) if math.isnan(given_value) else found == float(given_value)
    elif isinstance(given_value, str):
        assert found == text_key(given_value)
    else:
        assert found == given_value


@settings(max_examples=150, deadline=None)
@given(ROWS, ROWS)
def test_any_two_lists_of_rows_share_a_schema_and_all_rows_survive(
    left: list[dict[Any, Any]], right: list[dict[Any, Any]]
) -> None:
    encoded = [encode_rows(rows) for rows in (left, right)]
    unified = unify_schemas(schema for _, schema in encoded)
    stored = [write_and_read(convert_table(table, schema, unified)) for table, schema in encoded]
    for rows, table in zip((left, right), stored, strict=True):
        assert table.schema.equals(storage_schema(unified))
        assert table.num_rows == len(rows)
        for row, found in zip(rows, table.to_pylist(), strict=True):
            if len({text_key(key) for key in row}) < len(row):
                continue  # keys that meet as text get new names: see the test of that
            by_name = {text_key(key): value for key, value in row.items()}
            for field in unified:
                if pa.types.is_string(field.type) or field.type == JSON:
                    continue  # text of text or JSON of JSON: the types below cover what matters
                assert_same(by_name.get(field.name), found[field.name], field.type)
            assert set(by_name) <= set(found) | ({PLACEHOLDER} if not by_name else set())


@settings(max_examples=150, deadline=None)
@given(st.lists(VALUES, min_size=1, max_size=6), st.lists(VALUES, min_size=1, max_size=6))
def test_a_schema_does_not_depend_on_how_rows_are_cut_into_batches(
    left: list[Any], right: list[Any]
) -> None:
    array, together = encode_column(left + right)
    (first, kind), (second, other) = encode_column(left), encode_column(right)
    apart = unify_types(kind, other)
    assert same_but_for_field_order(together, apart)
    assert same_but_for_field_order(apart, unify_types(other, kind))
    for value, found in zip(left + right, array.to_pylist(), strict=True):
        assert_same(value, found, together)
    continued, _ = encode_column(right, kind)
    assert len(continued) == len(right)
    del first, second


def same_but_for_field_order(left: Any, right: Any) -> bool:
    if pa.types.is_struct(left) and pa.types.is_struct(right):
        names = {field.name for field in left}
        return names == {field.name for field in right} and all(
            same_but_for_field_order(left.field(name).type, right.field(name).type)
            for name in names
        )
    if pa.types.is_list(left) and pa.types.is_list(right):
        return same_but_for_field_order(left.value_type, right.value_type)
    return bool(left == right)


@settings(max_examples=100, deadline=None)
@given(VALUES, VALUES, VALUES)
def test_unification_is_associative(a: Any, b: Any, c: Any) -> None:
    x, y, z = type_of(a), type_of(b), type_of(c)
    assert same_but_for_field_order(
        unify_types(unify_types(x, y), z), unify_types(x, unify_types(y, z))
    )


@pytest.mark.parametrize(
    ("left", "right", "unified"),
    [
        (pa.null(), pa.string(), pa.string()),
        (pa.int64(), pa.float64(), pa.float64()),
        (pa.int32(), pa.int64(), pa.int64()),
        (pa.uint8(), pa.int8(), pa.int16()),
        (pa.uint64(), pa.int64(), JSON),
        (pa.bool_(), pa.int64(), pa.int64()),
        (pa.string(), pa.int64(), JSON),
        (pa.string(), pa.large_string(), pa.large_string()),
        (pa.list_(pa.null()), pa.list_(pa.string()), pa.list_(pa.string())),
        (pa.list_(pa.int64()), pa.struct([("a", pa.int64())]), JSON),
        (pa.list_(pa.float32(), 3), pa.list_(pa.float32(), 3), pa.list_(pa.float32(), 3)),
        (pa.list_(pa.float32(), 3), pa.list_(pa.float32(), 4), pa.list_(pa.float32())),
        (pa.timestamp("ms"), pa.timestamp("us"), pa.timestamp("us")),
        (pa.timestamp("us"), pa.timestamp("us", "UTC"), JSON),
        (pa.timestamp("us"), pa.date32(), JSON),
        (pa.date32(), pa.date64(), pa.date64()),
        (pa.time64("us"), pa.time32("s"), pa.time64("us")),
        (pa.decimal128(3, 1), pa.decimal128(5, 2), pa.decimal128(5, 2)),
        (pa.dictionary(pa.int8(), pa.string()), pa.string(), pa.string()),
        (
            pa.struct([("a", pa.null()), ("b", pa.int64())]),
            pa.struct([("c", pa.bool_()), ("a", pa.string())]),
            pa.struct([("a", pa.string()), ("b", pa.int64()), ("c", pa.bool_())]),
        ),
    ],
)
def test_two_types_unify_to_the_smallest_that_holds_both(
    left: Any, right: Any, unified: Any
) -> None:
    assert unify_types(left, right).equals(unified)


@pytest.mark.parametrize(
    ("values", "stored"),
    [
        ([1, None, 2.5], [1.0, None, 2.5]),
        ([2**63, 1], ["9223372036854775808", "1"]),
        ([2**60 + 1, 0.5], [float(2**60 + 1), 0.5]),
        (["\ud800", "ok"], ["\\ud800", "ok"]),
        ([b"a", "b"], ['"YQ=="', '"b"']),
        ([{}, None], [None, None]),
        ([{}, {"a": 1}], [{"a": None}, {"a": 1}]),
        ([[{}], [{"a": 1}]], [[{"a": None}], [{"a": 1}]]),
        ([{1: "x", None: "y"}], [{"1": "x", "None": "y"}]),
        ([{1: "x", "1": "y"}], [{"1_": "x", "1": "y"}]),
        ([float("nan"), "a"], ['"NaN"', '"a"']),
        ([(1, 2), {3}], [[1, 2], [3]]),
        ([np.ones((1, 2)), None], [[[1.0, 1.0]], None]),
        ([np.int64(1), 2], [1, 2]),
        ([uuid.UUID(int=1)], ["00000000-0000-0000-0000-000000000001"]),
        ([decimal.Decimal("1.5"), 2], [decimal.Decimal("1.5"), decimal.Decimal("2")]),
        (
            [datetime.date(2024, 1, 2), datetime.datetime(2024, 1, 2, 3)],
            ['"2024-01-02"', '"2024-01-02T03:00:00"'],
        ),
        ([10**5000], [f'"{hex(10**5000)}"']),
    ],
)
def test_every_value_is_kept(values: list[Any], stored: list[Any]) -> None:
    array, _ = encode_column(values)
    assert array.to_pylist() == stored


def test_mixed_values_deep_inside_become_text_only_there() -> None:
    rows: list[dict[str, Any]] = [
        {"m": {"turns": [{"content": "x"}]}},
        {"m": {"turns": [{"content": [1]}], "n": 1}},
    ]
    table, schema = encode_rows(rows)
    assert json_paths(schema) == {"m.turns[].content"}
    assert table.to_pylist()[1] == {"m": {"turns": [{"content": "[1]"}], "n": 1}}


def test_json_text_inside_a_column_that_becomes_json_later_is_not_quoted_twice() -> None:
    table, schema = encode_rows([{"m": [1, "a"]}])
    other = encode_rows([{"m": 5}])[1]
    unified = unify_schemas([schema, other])
    assert convert_table(table, schema, unified).to_pylist() == [{"m": '[1, "a"]'}]


def test_deep_and_wide_values_become_json_text() -> None:
    deep: Any = "leaf"
    for _ in range(MAX_DEPTH + 20):
        deep = [deep]
    wide = {f"k{i}": i for i in range(MAX_FIELDS + 1)}
    table, schema = encode_rows([{"deep": deep, "wide": wide}])
    assert schema.field("wide").type == JSON
    assert json.loads(table["wide"][0].as_py()) == wide
    value = table["deep"][0].as_py()
    while isinstance(value, list):
        [value] = value
    assert json.loads(value)[0][0]  # the rest of the lists, as text
    halves = [{f"{side}{i}": i for i in range(MAX_FIELDS // 2 + 1)} for side in "ab"]
    assert encode_column(halves)[1] == JSON


def test_what_holds_itself_costs_its_value_and_not_its_row() -> None:
    loop: list[Any] = []
    loop.append(loop)
    assert "holds itself" in str(to_json(loop))


def test_declared_types_are_kept_where_they_hold_the_values() -> None:
    declared = pa.schema(
        [("id", pa.int32()), ("vector", pa.list_(pa.float32(), 2)), ("absent", pa.string())],
        metadata={"kept": "yes"},
    )
    rows: list[dict[str, Any]] = [{"vector": [0.5, 1.5], "id": 1, "more": True}]
    table, schema = encode_rows(rows, declared=declared)
    assert schema.equals(declared.append(pa.field("more", pa.bool_())))
    assert schema.metadata == {b"kept": b"yes"}
    assert table.to_pylist() == [{"id": 1, "vector": [0.5, 1.5], "absent": None, "more": True}]
    _, schema = encode_rows([{"id": 2**40, "vector": [1.0]}], declared=declared)
    assert schema.field("id").type == pa.int64()
    assert schema.field("vector").type.equals(pa.list_(pa.float64()))


def test_a_declared_struct_loses_no_field_that_it_does_not_name() -> None:
    declared = pa.schema([("m", pa.struct([("a", pa.int64())]))])
    table, _ = encode_rows([{"m": {"a": 1, "b": 2}}], declared=declared)
    assert table.to_pylist() == [{"m": {"a": 1, "b": 2}}]


def test_rows_without_columns_are_counted_and_need_no_column_beside_others() -> None:
    table, schema = encode_rows([{}, {}])
    assert table.num_rows == 2 and schema.names == [PLACEHOLDER]
    unified = unify_schemas([schema, encode_rows([{"a": 1}])[1]])
    assert unified.names == ["a"]
    theirs = unify_schemas([schema, encode_rows([{PLACEHOLDER: None}])[1]])
    assert theirs.field(PLACEHOLDER).type == pa.null()
    assert unify_schemas([schema, encode_rows([{"a": 1, PLACEHOLDER: None}])[1]]).names == [
        "a",
        PLACEHOLDER,
    ]
    assert encode_rows([{"a": 1}], schema)[1].names == ["a"]
    assert convert_table(table, schema, unified).to_pylist() == [{"a": None}, {"a": None}]


def test_conversion_keeps_nulls_and_slices_of_nested_arrays() -> None:
    values = [[{"a": 1}], None, [], [{"a": 2}, None], [{"a": 3}]]
    source = pa.schema([("x", pa.list_(pa.struct([("a", pa.int64())])))])
    target = pa.schema([("x", pa.list_(pa.struct([("b", pa.string()), ("a", pa.float64())])))])
    table = pa.table({"x": pa.array(values, source.field("x").type)}).slice(1)
    found = convert_table(table, source, target).column("x").to_pylist()
    assert found == [
        None,
        [],
        [{"b": None, "a": 2.0}, None],
        [{"b": None, "a": 3.0}],
    ]


def test_what_lies_below_a_null_struct_is_not_looked_at() -> None:
    table, schema = encode_rows([{}, {"m": {"c": {"a": 2**63}}}])
    unified = unify_schemas([schema, encode_rows([{"m": {"c": False}}])[1]])
    assert convert_table(table, schema, unified).to_pylist() == [
        {"m": None},
        {"m": {"c": '{"a": 9223372036854775808}'}},
    ]
