"""LoadDataFromDicts: in the graph or staged, the rows are the same."""

from __future__ import annotations

import datetime
import math
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from beam_distilabel.context import RunContext
from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.row import DRAW, ROW_ID
from beam_distilabel.step import GeneratorStep
from beam_distilabel.transforms.sources.load_data_from_dicts import GRAPH_BYTES, LoadDataFromDicts
from beam_distilabel.transforms.sources.staging import TAG, decode_row, encode_row, stage_rows
from tests.sources.running import graph_bytes, plain, processed, run_source

ODD: list[dict[str, Any]] = [
    {"a": 1},
    {"a": None, "b": {}},
    {"a": "text", "c": [1, "x", None, {"d": b"\x00\xff"}]},
    {"a": 2**80, "b": [float("inf")], "e": "\U0001f600"},
    {TAG: ["bytes", "eA=="], "a": {TAG: 1}},
    {"a": datetime.datetime(2024, 1, 2, 3, tzinfo=datetime.timezone.utc)},
]


def _large(count: int = 3000) -> list[dict[str, Any]]:
    return [{"index": i, "text": f"row {i % 1500} " * 60} for i in range(count)]


def test_rows_in_order_with_ids() -> None:
    data = [{"i": i} for i in range(300)]
    rows, failures = run_source(LoadDataFromDicts(data=data))
    assert plain(rows) == data and not failures
    assert [row[ROW_ID] for row in rows] == [f"0-{i}" for i in range(300)]
    assert data == [{"i": i} for i in range(300)]


def test_equal_rows_are_numbered_over_the_whole_list() -> None:
    data = [{"a": 1}, {"a": 2}] * 200
    rows, _ = run_source(LoadDataFromDicts(data=data))
    assert [row.get(DRAW, 0) for row in rows] == [i // 2 for i in range(400)]


def test_large_data_is_staged_and_neither_in_the_graph_nor_in_the_pickle(tmp_path: Path) -> None:
    step = LoadDataFromDicts(name="load", data=[{"text": r["text"]} for r in _large()])
    step._context = RunContext(run_dir=str(tmp_path))
    assert graph_bytes(step) < GRAPH_BYTES
    assert len(pickle.dumps(step)) < 10_000
    assert list((tmp_path / "staged" / "load").glob("*.parquet"))
    rows, _ = run_source(step)
    assert plain(rows) == step.data
    assert [row[ROW_ID] for row in rows] == [f"0-{i}" for i in range(3000)]
    assert [row.get(DRAW, 0) for row in rows] == [i // 1500 for i in range(3000)]


def test_large_data_without_a_run_directory() -> None:
    rows, _ = run_source(LoadDataFromDicts(data=_large()))
    assert plain(rows) == _large()


@pytest.mark.parametrize("size", [0, GRAPH_BYTES])
def test_odd_values_survive(size: int) -> None:
    data = [*ODD, {"pad": "x" * size}]
    rows, _ = run_source(LoadDataFromDicts(data=data))
    assert plain(rows) == data


def test_lone_surrogates_become_escapes_since_no_runner_can_carry_them() -> None:
    rows, _ = run_source(LoadDataFromDicts(data=[{"a\udfff": ["x\ud800y"]}]))
    assert plain(rows) == [{"a\\udfff": ["x\\ud800y"]}]


def test_nan_survives() -> None:
    rows, _ = run_source(LoadDataFromDicts(data=[{"a": float("nan")}]))
    assert math.isnan(rows[0]["a"])


class _Thing:
    """A value that no file format knows."""

    def __init__(self, number: int) -> None:
        self.number = number


def test_objects_travel_where_they_are_small_and_are_refused_where_they_are_not() -> None:
    rows, _ = run_source(LoadDataFromDicts(data=[{"a": _Thing(5)}]))
    assert rows[0]["a"].number == 5
    large: list[dict[str, Any]] = [{"pad": "x" * GRAPH_BYTES}, {"b": 1, "a": _Thing(5)}]
    with pytest.raises(
        DistilabelUserError, match=r"load_data_from_dicts_0.*row 1, column 'a'.*_Thing"
    ):
        run_source(LoadDataFromDicts(data=large))


def test_outputs_are_all_keys_in_order() -> None:
    step = LoadDataFromDicts(data=[{"b": 1}, {"a": 1, "b": 2}, {"c": 1}])
    assert step.outputs == ["b", "a", "c"]


def test_output_mappings() -> None:
    step = LoadDataFromDicts(data=[{"prompt": "x"}], output_mappings={"prompt": "instruction"})
    assert plain(run_source(step)[0]) == [{"instruction": "x"}]
    assert step.get_outputs() == {"instruction": True}


def test_no_rows_and_no_data() -> None:
    assert run_source(LoadDataFromDicts(data=[])) == ([], [])
    assert list(LoadDataFromDicts(data=[]).process()) == [([], True)]
    with pytest.raises(DistilabelUserError, match="load_data_from_dicts_0.*dataset="):
        run_source(LoadDataFromDicts())


def test_data_is_not_serialized_nor_shown() -> None:
    step = LoadDataFromDicts(data=[{"secret": "text"}])
    assert "data" not in step.model_dump()
    assert "secret" not in repr(step) + str(step)


@settings(deadline=None)
@given(count=st.integers(0, 40), batch_size=st.integers(1, 15), offset=st.integers(0, 45))
def test_process_resumes_at_any_offset(count: int, batch_size: int, offset: int) -> None:
    data = [{"i": i} for i in range(count)]
    step = LoadDataFromDicts(data=data, batch_size=batch_size)
    assert processed(step, offset) == data[offset:]


def test_a_subclass_with_its_own_process_is_heard() -> None:
    rows, _ = run_source(_Doubled(data=[{"a": 1}]))
    assert plain(rows) == [{"a": 2}]


class _Doubled(LoadDataFromDicts):
    def process(self, offset: int = 0) -> Any:
        yield [{"a": 2 * row["a"]} for row in self.data[offset:]], True


def test_it_is_a_source() -> None:
    assert issubclass(LoadDataFromDicts, GeneratorStep)
    with pytest.raises(DistilabelUserError, match="can't be applied to rows"):
        _ = [{"a": 1}] | LoadDataFromDicts(data=[{"a": 1}])


JSON_LIKE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.sampled_from([TAG, "bytes"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=5) | st.just(TAG), inner, max_size=4)
    ),
    max_leaves=15,
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.text(max_size=8) | st.just(TAG), JSON_LIKE, max_size=5))
def test_encoding_is_lossless(row: dict[str, Any]) -> None:
    text = encode_row(row)
    assert text.isascii() and "\n" not in text
    decoded = decode_row(text)
    assert decoded == row
    assert repr(decoded) == repr(row)  # 1, 1.0 and True are told apart


def test_staging_empties_its_folder(tmp_path: Path) -> None:
    (first,) = stage_rows([{"a": i} for i in range(5)], str(tmp_path / "x"))
    assert stage_rows([], str(tmp_path / "x")) == []
    assert not Path(first).exists()
