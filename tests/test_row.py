"""Row identity."""

import copy
import random
import string
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from beam_distilabel.row import (
    DRAW,
    ROW_ID,
    Row,
    Unnamed,
    canonical_json,
    child_id,
    chosen_branches,
    content,
    content_id,
    copied,
    fingerprint,
    fork_id,
    fork_key,
    identify,
    inherit,
    number_equal_rows,
    path_below,
    position_id,
    seed_from,
    sort_key,
    source_id,
)
from beam_distilabel.transforms.sources.load_data_from_dicts import LoadDataFromDicts
from tests.fakes import run_from

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(), max_size=5)
    | st.binary(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)
rows_of_anything = st.dictionaries(
    st.text(string.ascii_lowercase, max_size=3), json_values, max_size=4
)
numbers = st.integers(0, 10**12)
paths = st.tuples(numbers, numbers, st.lists(numbers, max_size=4))


def id_of(path: tuple[int, int, list[int]], marks: int = 0) -> str:
    """The id at `path`; the bits of `marks` say where fork marks are."""
    unit, index, children = path
    row_id = position_id(unit, index)
    for i, child in enumerate(children):
        if marks >> i & 1:
            row_id = fork_id(row_id, 5 if marks >> 8 & 1 else None)
        row_id = child_id(row_id, child)
    return row_id


# ---------------------------------------------------------------------------------- names


@given(st.lists(paths, unique_by=str))
def test_ids_are_unique_and_sort_in_natural_order(found: list[Any]) -> None:
    ids = [id_of(path) for path in found]
    assert len(set(ids)) == len(ids)
    natural = sorted(found, key=lambda path: (path[0], path[1], *path[2]))
    random.Random(0).shuffle(ids)
    assert sorted(ids, key=sort_key) == [id_of(path) for path in natural]


@given(paths, st.integers(0, 2**9 - 1))
def test_fork_marks_change_neither_order_nor_path(path: Any, marks: int) -> None:
    unit, index, children = path
    row_id = id_of(path, marks)
    assert sort_key(row_id) == sort_key(id_of(path))
    assert source_id(row_id) == source_id(fork_id(row_id, 3)) == position_id(unit, index)
    assert path_below(row_id, position_id(unit, index)) == tuple(children)


@given(paths, st.none() | st.integers(0, 2**40))
def test_fork_keys(path: Any, chosen: int | None) -> None:
    key = fork_id(id_of(path), chosen)
    row_id = child_id(fork_id(child_id(key, 3)), 1)
    assert fork_key(row_id, 1) == key
    assert chosen_branches(key) == chosen
    assert fork_key(row_id, 2) == f"{key}3/"
    with pytest.raises(ValueError):
        fork_key(row_id, 3)


@given(rows_of_anything)
def test_content_ids_sort_too(row: Row) -> None:
    row_id = content_id(row)
    assert sort_key(child_id(row_id, 2)) < sort_key(child_id(row_id, 10))
    assert content_id({**row, ROW_ID: "0-1", DRAW: 3}) == row_id
    assert content_id({**row, "another": 1}) != row_id


def test_content_ids_of_many_rows_differ() -> None:
    ids = {content_id({"n": n}) for n in range(50_000)}
    assert len(ids) == 50_000
    assert min(len(row_id) for row_id in ids) > 30  # 128 bits: no chance meetings in large data


# ---------------------------------------------------------------------------------- content


@given(json_values)
def test_canonical_json_takes_everything_in_any_order(value: Any) -> None:
    assert canonical_json(value) == canonical_json(copy.deepcopy(value))
    if isinstance(value, dict):
        assert canonical_json(dict(reversed(value.items()))) == canonical_json(value)


@pytest.mark.parametrize(
    "value",
    [
        {1: "a", "b": 2},
        {("a", 1): 2},
        {"\ud800": "\udfff"},
        10**40,
        {"s": {"b", "a"}},
        {"f": frozenset("ab")},
        b"\xff",
        [float("nan"), float("inf")],
        object,
    ],
)
def test_canonical_json_of_what_json_does_not_have(value: Any) -> None:
    assert canonical_json(value) == canonical_json(copy.copy(value))
    assert canonical_json(value) != canonical_json([value, 1])


def test_canonical_json_tells_large_arrays_apart() -> None:
    numpy = pytest.importorskip("numpy")
    one, other = numpy.zeros(5_000), numpy.zeros(5_000)
    other[2_500] = 1  # numpy's repr leaves the middle out
    assert canonical_json({"v": one}) != canonical_json({"v": other})


@given(json_values, json_values)
def test_fingerprints_are_equal_for_equal_content_only(one: Any, other: Any) -> None:
    assert (fingerprint(one) == fingerprint(other)) == (
        canonical_json(one) == canonical_json(other)
    )
    assert 0 <= seed_from(one) < 2**31


@given(rows_of_anything)
def test_a_copied_row_shares_nothing_that_can_change(row: Row) -> None:
    before = canonical_json(row)
    twin = copied(row)
    assert canonical_json(twin) == before

    def spoil(value: Any) -> None:
        if isinstance(value, dict):
            for item in list(value.values()):
                spoil(item)
            value["spoilt"] = 1
        elif isinstance(value, list):
            for item in value:
                spoil(item)
            value.append("spoilt")

    spoil(twin)
    assert canonical_json(row) == before


# ---------------------------------------------------------------------------------- identify


def batch(count: int) -> list[Row]:
    return [{ROW_ID: position_id(0, i), "n": i} for i in range(count)]


def names(found: list[tuple[Row, Row]]) -> list[tuple[str, str]]:
    """(id of the row, id of its parent)"""
    return [(row[ROW_ID], parent[ROW_ID]) for row, parent in found]


def test_rows_that_kept_their_id_keep_it() -> None:
    inputs = batch(3)
    assert identify(inputs, [inputs]) == list(zip(inputs, inputs, strict=True))
    assert names(identify(inputs, [inputs[::-1]])) == [(f"0-{i}",) * 2 for i in (2, 1, 0)]


def test_new_rows_by_position() -> None:
    found = identify(batch(3), [[{"x": 0}, {"x": 1}, {"x": 2}]])
    assert [row for row, _ in found] == [{"x": i, ROW_ID: f"0-{i}"} for i in range(3)]


def test_a_new_row_among_kept_ones_is_of_its_position() -> None:
    inputs = batch(3)
    found = identify(inputs, [[inputs[0], {"x": 1}, inputs[2]]])
    assert names(found) == [("0-0", "0-0"), ("0-1", "0-1"), ("0-2", "0-2")]


def test_fewer_rows() -> None:
    inputs = batch(3)
    assert names(identify(inputs, [[inputs[2]]])) == [("0-2", "0-2")]
    assert names(identify(inputs, [[{"x": 1}]])) == [("0-0", "0-0")]
    assert identify(inputs, [[]]) == identify(inputs, []) == []


def test_more_rows_are_children() -> None:
    found = identify(batch(2), [[{"x": i} for i in range(4)]])
    assert names(found) == [
        ("0-0.0", "0-0"),
        ("0-0.1", "0-0"),
        ("0-1.0", "0-1"),
        ("0-1.1", "0-1"),
    ]


def test_copies_of_a_row_are_its_children() -> None:
    inputs = batch(2)
    found = identify(inputs, [[{**row, "k": k} for row in inputs for k in range(2)]])
    assert names(found) == [
        ("0-0.0", "0-0"),
        ("0-0.1", "0-0"),
        ("0-1.0", "0-1"),
        ("0-1.1", "0-1"),
    ]


def test_one_yield_per_row() -> None:
    inputs = batch(3)
    assert names(identify(inputs, [[{"x": i}] for i in range(3)])) == [
        (f"0-{i}",) * 2 for i in range(3)
    ]


def test_several_yields_of_all_rows() -> None:
    inputs = batch(2)
    found = identify(inputs, [[{"x": 0}, {"x": 1}], [{"x": 2}, {"x": 3}]])
    assert [(row["x"], row[ROW_ID]) for row, _ in found] == [
        (0, "0-0.0"),
        (1, "0-1.0"),
        (2, "0-0.1"),
        (3, "0-1.1"),
    ]


def test_five_equal_children_have_five_draws() -> None:
    parent = {ROW_ID: "0-7", DRAW: 2, "x": 1}
    found = identify([parent], [[{"x": 1} for _ in range(5)]])
    assert [row.get(DRAW, 0) for row, _ in found] == [10, 11, 12, 13, 14]


def test_children_of_equal_rows_keep_the_draws_of_their_parents() -> None:
    inputs = [{ROW_ID: "0-0", "x": 1}, {ROW_ID: "0-1", DRAW: 1, "x": 1}]
    found = identify(inputs, [[{**row, "k": k} for row in inputs for k in range(2)]])
    assert [row.get(DRAW, 0) for row, _ in found] == [0, 0, 1, 1]


def test_only_one_row_takes_draw_with_it() -> None:
    inputs = [{ROW_ID: "0-0", DRAW: 3, "x": 1}]
    assert identify(inputs, [[{"y": 2}]])[0][0] == {ROW_ID: "0-0", DRAW: 3, "y": 2}


def test_what_was_yielded_is_left_as_it_is() -> None:
    yielded = [{"x": 1}, {"x": 1}]
    identify([{ROW_ID: "0-0", DRAW: 1}], [yielded])
    assert yielded == [{"x": 1}, {"x": 1}]


@st.composite
def calls(draw: Any) -> tuple[list[Row], list[list[Row]]]:
    """The rows of a `process` call and what it yielded: kept, copied and new rows."""
    inputs = batch(draw(st.integers(1, 5)))
    row: Any = st.sampled_from(inputs).map(dict) | st.builds(dict, n=st.integers(0, 2))
    return inputs, draw(st.lists(st.lists(row, max_size=7), max_size=4))


@given(calls())
@settings(max_examples=300)
def test_identity_after_any_process(call: tuple[list[Row], list[list[Row]]]) -> None:
    inputs, yields = call
    found = identify(inputs, yields)
    assert [content(row) for row, _ in found] == [content(row) for rows in yields for row in rows]
    ids = [row[ROW_ID] for row, _ in found]
    assert len(set(ids)) == len(ids)
    for (row, parent), before in zip(found, (r for rows in yields for r in rows), strict=True):
        assert row[ROW_ID] == parent[ROW_ID] or row[ROW_ID].startswith(f"{parent[ROW_ID]}.")
        assert parent[ROW_ID] == before.get(ROW_ID, parent[ROW_ID])
    families = Counter(parent[ROW_ID] for _, parent in found)
    for row, parent in found:
        assert (row[ROW_ID] == parent[ROW_ID]) == (families[parent[ROW_ID]] == 1)
    siblings = Counter(
        (parent[ROW_ID], canonical_json(content(row)), row.get(DRAW, 0)) for row, parent in found
    )
    assert max(siblings.values(), default=1) == 1


@given(st.lists(rows_of_anything, max_size=6), st.integers(0, 5))
def test_equal_rows_get_different_draws(rows: list[Row], parent_draw: int) -> None:
    twice = [dict(row) for row in rows + rows]
    number_equal_rows(twice, parent_draw)
    drawn = [(canonical_json(content(row)), row.get(DRAW, 0)) for row in twice]
    assert len(set(drawn)) == len(drawn)
    assert all(row.get(DRAW) != 0 for row in twice)


def test_draws_of_children_of_equal_rows_do_not_meet() -> None:
    draws = []
    for parent_draw in range(4):
        children: list[Row] = [{"x": 1} for _ in range(3)]
        number_equal_rows(children, parent_draw)
        draws += [row.get(DRAW, 0) for row in children]
    assert sorted(draws) == list(range(12))


def test_inherit() -> None:
    parent = {ROW_ID: "0-1", DRAW: 2}
    assert inherit({"a": 1}, parent) == {"a": 1, ROW_ID: "0-1", DRAW: 2}
    assert inherit({"a": 1, ROW_ID: "9-9", DRAW: 9}, {ROW_ID: "0-1"}) == {"a": 1, ROW_ID: "0-1"}
    row = {"a": 1, **parent}
    assert inherit(row, parent) is row


def test_unnamed_rows_are_named_by_content_and_number() -> None:
    unnamed = Unnamed()
    first, second, other = (unnamed.named(dict(row)) for row in ({"a": 1}, {"a": 1}, {"a": 2}))
    assert len({first[ROW_ID], second[ROW_ID], other[ROW_ID]}) == 3
    assert [row.get(DRAW) for row in (first, second, other)] == [None, 1, None]
    # Neither the other rows of the bundle nor their order matter.
    assert Unnamed().named({"a": 2})[ROW_ID] == other[ROW_ID]
    named = {"a": 1, ROW_ID: "0-0"}
    assert unnamed.named(named) is named


def test_equal_rows_of_a_source_are_numbered() -> None:
    rows = run_from(LoadDataFromDicts(data=[{"a": 1}, {"a": 2}, {"a": 1}, {"a": 1}]))
    rows.sort(key=lambda row: sort_key(row[ROW_ID]))
    assert [(row["a"], row.get(DRAW, 0)) for row in rows] == [(1, 0), (2, 0), (1, 1), (1, 2)]
    assert len({row[ROW_ID] for row in rows}) == 4
