"""What files say of their columns: against what a card declares, and of several files together."""

from __future__ import annotations

from typing import Any

import datasets
import pyarrow as pa
import pytest
from hypothesis import given, settings, strategies as st

from beam_distilabel.schema.features import features_of
from beam_distilabel.transforms.sources.declared_features import have_features
from beam_distilabel.transforms.sources.readers import union_schema

_LEAVES: list[tuple[Any, Any]] = [
    *((kind, 1) for kind in (pa.int8(), pa.uint8(), pa.int32(), pa.int64(), pa.uint64())),
    *((kind, 0.1) for kind in (pa.float32(), pa.float64())),
    *((kind, "1") for kind in (pa.string(), pa.large_string())),
    (pa.binary(), b"1"),
    (pa.bool_(), True),
    (pa.null(), None),
]


def _nested(inner: Any) -> Any:
    lists = inner.map(lambda pair: (pa.list_(pair[0]), [pair[1], None]))
    large = inner.map(lambda pair: (pa.large_list(pair[0]), [pair[1]]))
    structs = inner.map(lambda pair: (pa.struct([("x", pair[0])]), {"x": pair[1]}))
    return lists | large | structs


_TYPED = st.recursive(st.sampled_from(_LEAVES), _nested, max_leaves=3)


@given(_TYPED, _TYPED)
@settings(max_examples=300, deadline=None)
def test_what_has_the_features_is_not_changed_by_a_cast(
    stored: tuple[Any, Any], declared: tuple[Any, Any]
) -> None:
    kind, value = stored
    table = pa.table({"a": pa.array([value, None], kind)})
    assert have_features([table.schema], table.schema)
    target = pa.schema([("a", declared[0])])
    if have_features([table.schema], target):
        assert table.cast(target).to_pylist() == table.to_pylist()


@pytest.mark.parametrize(
    ("stored", "declared"),
    [
        (pa.string(), pa.int64()),  # a label's name
        (pa.int64(), pa.int32()),
        (pa.float64(), pa.float32()),
        (pa.timestamp("ms"), pa.timestamp("s")),
        (pa.string(), pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
    ],
)
def test_what_has_to_be_cast(stored: Any, declared: Any) -> None:
    assert not have_features([pa.schema([("a", stored)])], pa.schema([("a", declared)]))


def test_columns_have_to_be_the_declared_ones() -> None:
    one, two = pa.schema([("a", pa.int8())]), pa.schema([("a", pa.int8()), ("b", pa.int8())])
    assert have_features([two, two], two)
    assert not have_features([two, one], two) and not have_features([two], one)
    assert not have_features([None], one)


def _labels(*names: str) -> pa.Schema:
    return datasets.Features({"a": datasets.ClassLabel(names=list(names))}).arrow_schema


def test_a_feature_is_kept_where_files_agree_on_it() -> None:
    same = union_schema([_labels("x", "y"), _labels("x", "y"), pa.schema([("a", pa.null())])])
    assert same is not None and features_of(same)["a"]["names"] == ["x", "y"]
    other = union_schema([_labels("x", "y"), _labels("y", "x")])
    assert other is not None and features_of(other) == {} and other.field("a").type == pa.int64()
    text = union_schema([_labels("x"), pa.schema([("a", pa.string())])])
    assert text is not None and features_of(text) == {} and text.field("a").type == pa.null()
    assert union_schema([_labels("x"), None]) is None
