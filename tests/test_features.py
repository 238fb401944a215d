"""Types and features of `datasets` that survive from a source to the files that are written."""

from __future__ import annotations

import datetime
import decimal
import io
import json
from pathlib import Path
from typing import Any

import apache_beam as beam
import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from hypothesis import given, settings, strategies as st
from PIL import Image

from beam_distilabel.context import RunContext
from beam_distilabel.pipeline import Pipeline
from beam_distilabel.pipeline.application import apply_graph
from beam_distilabel.pipeline.columns import prune_columns, subset_schemas
from beam_distilabel.row import ROW_ID, Row
from beam_distilabel.schema import encode_rows, storage_schema
from beam_distilabel.schema.declared import DeclaredColumns
from beam_distilabel.schema.features import (
    FEATURES_KEY,
    declared_schema,
    features_of,
    fit_features,
    with_features,
)
from beam_distilabel.step import Step
from beam_distilabel.transforms.columns.keep_columns import KeepColumns
from beam_distilabel.transforms.sinks.write_distiset import WriteDistiset
from beam_distilabel.transforms.sources.load_data_from_dataset import dataset_loader
from beam_distilabel.transforms.sources.load_data_from_hub import LoadDataFromHub
from beam_distilabel.transforms.tasks.text_generation import TextGeneration
from beam_distilabel.typing import StepInput
from tests.hub.fixtures import hub, hub_client, hub_server  # noqa: F401
from tests.hub.server import HubServer
from tests.pipeline.fakes import TaggedEcho

LABEL = {"names": ["no", "yes"], "_type": "ClassLabel"}
MILLISECOND = datetime.timedelta(milliseconds=1)
INT32 = {"dtype": "int32", "_type": "Value"}


def write(rows: list[Row], folder: Path, schema: pa.Schema, **options: Any) -> None:
    """Write the subset "default", in order."""
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        created = pipeline | beam.Create(
            [{ROW_ID: f"0-{i}", **row} for i, row in enumerate(rows)], reshuffle=False
        )
        if not rows:
            created = pipeline | "None" >> beam.Create([{}]) | beam.Filter(lambda row: False)
        _ = {"default": created} | WriteDistiset(
            str(folder), ordered=True, schemas={"default": schema}, **options
        )


def loaded(folder: Path) -> datasets.Dataset:
    """What `datasets` makes of a written subset."""
    cache = str(folder / "cache")
    return datasets.load_dataset(str(folder / "default"), split="train", cache_dir=cache)


def encoded(dataset: datasets.Dataset) -> list[Row]:
    """The rows of a dataset with images and audio as they are stored."""
    return list(dataset.with_format("arrow")[:].to_pylist())


def stored(folder: Path) -> list[pa.Schema]:
    """The schemas of the final shards."""
    return [pq.read_schema(path) for path in sorted((folder / "default").glob("*.parquet"))]


# --- schemas --------------------------------------------------------------------------------------


def test_a_feature_is_kept_while_its_column_has_its_type() -> None:
    schema = pa.schema([("a", pa.int64()), ("b", pa.int32()), ("c", pa.string())])
    declared = with_features(schema, {"a": LABEL, "b": INT32})
    found = pa.schema([("c", pa.string()), ("b", pa.float64()), ("a", pa.int64())])
    assert features_of(fit_features(found, declared)) == {"a": LABEL}
    assert fit_features(found, None) == found
    assert features_of(fit_features(pa.schema([("z", pa.null())]), declared)) == {}


def test_other_metadata_is_left_alone() -> None:
    schema = pa.schema([("a", pa.int64())], metadata={"mine": "1"})
    assert with_features(schema, {"a": LABEL}).metadata.keys() == {b"mine", FEATURES_KEY}
    assert with_features(with_features(schema, {"a": LABEL}), {}).metadata == {b"mine": b"1"}


@pytest.mark.parametrize(
    "text", ["", "null", "[]", "{", '{"info": null}', '{"info": {"features": [1]}}', "\\udc00"]
)
def test_metadata_that_is_no_features_has_none(text: str) -> None:
    schema = pa.schema([("a", pa.int64())], metadata={FEATURES_KEY: text.encode()})
    assert features_of(schema) == {} and declared_schema(schema).metadata is None


def test_unknown_and_wrong_features_are_left_out() -> None:
    array = {"shape": [2, 2], "dtype": "float32", "_type": "Array2D"}
    features = {"a": {"_type": "Hologram"}, "b": LABEL, "c": LABEL, "m": array, "gone": INT32}
    lists = pa.list_(pa.list_(pa.float32()))
    columns = [("a", pa.int64()), ("b", pa.string()), ("c", pa.int64()), ("m", lists)]
    declared = declared_schema(with_features(pa.schema(columns), features))
    assert declared.equals(pa.schema(columns)) and features_of(declared) == {"c": LABEL}


@pytest.mark.parametrize(
    ("kind", "plain"),
    [
        (pa.dictionary(pa.int8(), pa.string()), pa.string()),
        (pa.json_(), pa.string()),
        (pa.string_view(), pa.string()),
        (pa.list_(pa.field("element", pa.dictionary(pa.int8(), pa.string()))), "list"),
        (pa.list_(pa.float32(), 2), pa.list_(pa.float32(), 2)),
        (pa.large_list(pa.int8()), pa.large_list(pa.int8())),
        (pa.map_(pa.string(), pa.int64()), pa.null()),
        (pa.struct([("m", pa.map_(pa.string(), pa.int64()))]), pa.null()),
        (pa.struct([("n", pa.null())]), pa.struct([("n", pa.null())])),
        (pa.list_(pa.list_(pa.int8(), 2)), pa.list_(pa.list_(pa.int8()))),
        (pa.struct([]), pa.null()),
        (pa.decimal128(10, 2), pa.decimal128(10, 2)),
    ],
)
def test_types_are_those_of_the_values_that_rows_have(kind: Any, plain: Any) -> None:
    plain = pa.list_(pa.string()) if plain == "list" else plain
    assert declared_schema(pa.schema([("a", kind)])).field("a").type == plain


# --- declared columns -----------------------------------------------------------------------------


def test_a_column_is_declared_once_a_row_has_it() -> None:
    declared = DeclaredColumns(pa.schema([("a", pa.int32()), ("b", pa.float32())]))
    table, first = declared.encode([{"x": 1}])
    assert first == pa.schema([("x", pa.int64())]) and table.num_columns == 1
    _, second = declared.encode([{"b": None, "x": 1}], first)
    assert second == pa.schema([("x", pa.int64()), ("b", pa.float32())])


@pytest.mark.parametrize("rows_per_shard", [1, 100])
@pytest.mark.parametrize("gap", [0, 1, 2])
def test_arrays_of_a_fixed_size_with_gaps_load(
    gap: int, rows_per_shard: int, tmp_path: Path
) -> None:
    rows: list[Row] = [{"v": [float(i), 0.5]} for i in range(3)]
    rows[gap] = {"v": None}
    schema = pa.schema([("v", pa.list_(pa.float32(), 2))])
    write(rows, tmp_path, schema, max_shard_rows=rows_per_shard)
    assert encoded(loaded(tmp_path)) == rows
    assert all(s.field("v").type == pa.list_(pa.float32()) for s in stored(tmp_path))


def test_arrays_of_a_fixed_size_that_some_shards_lack_load(tmp_path: Path) -> None:
    rows: list[Row] = [{"v": [1.0, 0.5], "i": 0}, {"i": 1}]
    schema = pa.schema([("v", pa.list_(pa.float32(), 2))])
    write(rows, tmp_path, schema, max_shard_rows=1)
    assert encoded(loaded(tmp_path)) == [rows[0], {"v": None, "i": 1}]


def test_values_that_do_not_fit_win_as_if_nothing_had_been_declared() -> None:
    schema = with_features(pa.schema([("label", pa.int64()), ("n", pa.int32())]), {"label": LABEL})
    declared = DeclaredColumns(schema)
    _, nulls = declared.encode([{"label": None, "n": 1}])
    assert nulls.field("label").type == pa.int64() and features_of(nulls) == {"label": LABEL}
    table, texts = declared.encode([{"label": "yes", "n": 2}], nulls)
    assert texts == pa.schema([("label", pa.string()), ("n", pa.int32())])
    assert features_of(texts) == {} and table.to_pylist() == [{"label": "yes", "n": 2}]


@pytest.mark.parametrize(
    ("kind", "value", "fits"),
    [
        (pa.timestamp("s"), datetime.datetime(2026, 1, 2, 3, 4, 5), True),
        (pa.timestamp("s"), datetime.datetime(2026, 1, 2, 3, 4, 5, 6), False),
        (pa.struct([("raw", pa.binary()), ("n", pa.int8())]), {"raw": b"\xff", "n": 7}, True),
        (pa.struct([("raw", pa.binary()), ("n", pa.int8())]), {"raw": b"\xff", "n": 700}, False),
        (pa.struct([("raw", pa.binary()), ("n", pa.int8())]), {"raw": "text", "n": 7}, False),
        (pa.list_(pa.large_binary()), [b"\xff"], True),
        (pa.date32(), datetime.datetime(2026, 1, 2, 3), False),
        (pa.date64(), datetime.date(2026, 1, 2), True),
        (pa.time32("s"), datetime.time(1, 2, 3), True),
        (pa.time32("ms"), datetime.time(1, 2, 3, 4000), True),
        (pa.time32("ms"), datetime.time(1, 2, 3, 4), False),
        (pa.duration("ms"), datetime.timedelta(days=1), True),
        (pa.uint64(), 2**64 - 1, True),
        (pa.uint64(), 1, True),
        (pa.uint64(), -1, False),
        (pa.uint64(), 1.0, False),
        (pa.timestamp("us", "UTC"), datetime.datetime(2026, 1, 2, 3), False),
        (pa.list_(pa.struct([("n", pa.uint64())])), [{"n": 2**63}], True),
        (pa.list_(pa.struct([("n", pa.uint64())])), [{"n": 1, "raw": b"x"}], False),
    ],
)
def test_types_are_kept_as_far_as_they_hold_the_values(kind: Any, value: Any, fits: bool) -> None:
    table, schema = DeclaredColumns(pa.schema([("a", kind)])).encode([{"a": value}, {"a": None}])
    assert schema.field("a").type.equals(kind) == fits
    assert table.column("a").to_pylist() == [value, None]


VALUES = st.none() | st.integers(-(2**40), 2**40) | st.floats(-1e9, 1e9) | st.text(max_size=3)
ROWS = st.lists(st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3), max_size=4)
TYPES = st.sampled_from([pa.int32(), pa.int64(), pa.float32(), pa.string(), pa.list_(pa.int8())])


@given(st.lists(ROWS.filter(bool), max_size=3), st.dictionaries(st.sampled_from("abcd"), TYPES))
@settings(max_examples=200, deadline=None)
def test_a_declaration_loses_no_value_and_adds_no_column(
    blocks: list[list[Row]], types: dict[str, Any]
) -> None:
    declared = DeclaredColumns(pa.schema(list(types.items())))
    known: pa.Schema | None = None
    plainly: pa.Schema | None = None
    for block in blocks:
        table, known = declared.encode(block, known)
        expected, plainly = encode_rows(block, plainly)
        assert set(known.names) == set(plainly.names)
        for name in known.names:
            if known.field(name).type == plainly.field(name).type:
                assert table.column(name).to_pylist() == expected.column(name).to_pylist()
            else:
                # Another type only where it was declared, and then with equal values.
                for row, value in zip(block, table.column(name).to_pylist(), strict=True):
                    _assert_same(row.get(name), value, known.field(name).type)


def _assert_same(given: Any, found: Any, kind: pa.DataType) -> None:
    if isinstance(given, str) or given is None or found is None:
        # As JSON text where a block before had numbers.
        assert found == given or (given is not None and json.loads(found) == given)
    elif pa.types.is_floating(kind):
        assert found == pa.scalar(float(given), kind).as_py()
    elif pa.types.is_string(kind):
        assert json.loads(found) == given
    else:
        assert found == given


DECLARED: dict[Any, Any] = {
    pa.int32(): st.integers(-(2**31), 2**31 - 1),
    pa.uint64(): st.integers(0, 2**64 - 1),
    pa.float32(): st.floats(width=32, allow_nan=False),
    pa.string(): st.text(st.characters(exclude_categories=["Cs"]), max_size=3),
    pa.date32(): st.dates(),
    pa.date64(): st.dates(),
    pa.time32("s"): st.times().map(lambda value: value.replace(microsecond=0)),
    pa.time32("ms"): st.times().map(lambda value: value.replace(microsecond=7000)),
    pa.timestamp("ms"): st.datetimes().map(lambda value: value.replace(microsecond=7000)),
    pa.duration("ms"): st.timedeltas().map(lambda value: value - value % MILLISECOND),
    pa.decimal128(5, 1): st.integers(-9999, 9999).map(lambda n: decimal.Decimal(n) / 10),
    pa.list_(pa.struct([("raw", pa.binary()), ("n", pa.int16())])): st.lists(
        st.fixed_dictionaries({"raw": st.binary(max_size=2) | st.none(), "n": st.integers(0, 9)}),
        max_size=2,
    ),
}
CHANGED: list[Any] = ["text", 1.25, True, b"x", {"k": "v"}, [{"other": 1}], -(2**40)]


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_every_column_is_judged_on_its_own(data: st.DataObject) -> None:
    kinds = data.draw(st.lists(st.sampled_from(list(DECLARED)), min_size=1, max_size=5))
    types = {f"c{i}": kind for i, kind in enumerate(kinds)}
    changed = data.draw(st.sets(st.sampled_from(list(types))))
    features = {name: {"_type": "Value", "dtype": str(kind)} for name, kind in types.items()}
    declared = DeclaredColumns(with_features(pa.schema(list(types.items())), features))
    known: pa.Schema | None = None
    for sizes in data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=3)):
        values = {
            name: data.draw(
                st.lists(
                    st.sampled_from(CHANGED) if name in changed else DECLARED[kind] | st.none(),
                    min_size=sizes,
                    max_size=sizes,
                )
            )
            for name, kind in types.items()
        }
        rows = [{name: values[name][i] for name in types} for i in range(sizes)]
        table, known = declared.encode(rows, known)
        assert known.names == list(types)
        for name in types.keys() - changed:
            assert known.field(name).type.equals(types[name])
            assert features_of(known)[name] == features[name]
            assert table.column(name).to_pylist() == values[name]


NESTED = {"a": {"_type": "List", "feature": LABEL}}


@pytest.mark.parametrize(
    ("feature", "kind", "good", "bad"),
    [
        (LABEL, pa.int64(), -1, -2),
        (LABEL, pa.int64(), 1, 2),
        ({"_type": "List", "feature": LABEL}, pa.list_(pa.int64()), [0, None], [0, 7]),
        ([LABEL], pa.list_(pa.int64()), [0, None], [0, 7]),
        (NESTED, pa.struct([("a", pa.list_(pa.int64()))]), {"a": [1]}, {"a": [2]}),
        (
            {"_type": "Sequence", "feature": {"a": LABEL}},
            pa.struct([("a", pa.list_(pa.int64()))]),
            {"a": [1]},
            {"a": [2]},
        ),
    ],
)
def test_a_label_that_has_no_name_costs_the_feature_for_good(
    feature: Any, kind: Any, good: Any, bad: Any
) -> None:
    schema = with_features(pa.schema([("a", kind), ("n", pa.int64())]), {"a": feature, "n": LABEL})
    declared = DeclaredColumns(schema)
    known: pa.Schema | None = None
    for value, left in ((None, {"a", "n"}), (good, {"a", "n"}), (bad, {"n"}), (good, {"n"})):
        table, known = declared.encode([{"a": value, "n": 0}], known)
        assert features_of(known).keys() == left
        assert known.field("a").type.equals(kind)
        assert table.column("a").to_pylist() == [value]


def test_a_feature_that_one_shard_has_lost_is_lost_for_all() -> None:
    columns = pa.schema([("a", pa.int64()), ("b", pa.int64())])
    schema = with_features(columns, {"a": LABEL, "b": LABEL})
    shards = [DeclaredColumns(schema).encode(rows)[1] for rows in ([{"a": 1, "b": 1}], [{"a": 2}])]
    assert features_of(fit_features(schema, schema, shards)) == {"b": LABEL}


# --- written --------------------------------------------------------------------------------------


def test_declared_columns_that_no_row_has_are_not_written(tmp_path: Path) -> None:
    schema = with_features(
        pa.schema([("gone", pa.int64()), ("n", pa.int32()), ("empty", pa.string())]),
        {"gone": LABEL, "n": INT32},
    )
    write([{"x": "a", "n": 1, "empty": None}, {"x": "b", "n": 2}], tmp_path, schema)
    (found,) = stored(tmp_path)
    assert [(f.name, str(f.type)) for f in found] == [
        ("x", "string"),
        ("n", "int32"),
        ("empty", "string"),
    ]
    assert features_of(found) == {"n": INT32}
    assert loaded(tmp_path).features["n"] == datasets.Value("int32")


def test_a_subset_without_rows_has_all_declared_columns(tmp_path: Path) -> None:
    schema = with_features(pa.schema([("a", pa.int64()), ("b", pa.null())]), {"a": LABEL})
    write([], tmp_path, schema)
    (found,) = stored(tmp_path)
    assert found.names == ["a", "b"] and features_of(found) == {"a": LABEL}


@pytest.mark.parametrize("rows_per_shard", [1, 100])
@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        (pa.int64(), [None, "yes", None], ["string", None, "yes", None]),
        (pa.int64(), [1, "yes", None], ["string", "1", '"yes"', None]),
        (pa.struct([("bytes", pa.binary())]), [None, "a.png"], ["string", None, "a.png"]),
        (pa.int32(), [1, 2**40], ["int64", 1, 2**40]),
        (pa.string(), [None, None], ["string", None, None]),
    ],
)
def test_values_that_a_step_changed_load(
    kind: Any, values: list[Any], expected: list[Any], rows_per_shard: int, tmp_path: Path
) -> None:
    schema = with_features(pa.schema([("a", kind)]), {"a": LABEL})
    rows: list[Row] = [{"a": value, "i": i} for i, value in enumerate(values)]
    write(rows, tmp_path, schema, max_shard_rows=rows_per_shard)
    found = loaded(tmp_path)
    assert [row["a"] for row in encoded(found)] == expected[1:]
    assert found.features == {"a": datasets.Value(expected[0]), "i": datasets.Value("int64")}
    assert len({schema.serialize().to_pybytes() for schema in stored(tmp_path)}) == 1


# --- from the Hub to the files --------------------------------------------------------------------

FEATURES = datasets.Features(
    {
        "instruction": datasets.Value("string"),
        "label": datasets.ClassLabel(names=["no", "yes"]),
        "count": datasets.Value("int32"),
        "score": datasets.Value("float32"),
        "image": datasets.Image(),
        "audio": datasets.Audio(sampling_rate=8000),
        "tags": datasets.List(datasets.Value("string")),
        "votes": datasets.List(datasets.ClassLabel(names=["bad", "good"])),
        "nested": {
            "codes": datasets.List(datasets.Value("int16")),
            "raw": datasets.Value("binary"),
        },
        "wide": datasets.Value("string"),
    }
)


def _png(color: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (2, 2), color).save(buffer, "PNG")
    return buffer.getvalue()


def _examples() -> list[Row]:
    return [
        {
            "instruction": f"Say {i}.",
            "label": i % 2 if i != 2 else None,
            "count": i,
            "score": i / 4,
            "image": {"bytes": _png(i), "path": f"{i}.png"},
            "audio": {"bytes": b"RIFF" + bytes([i]), "path": None},
            "tags": ["a", None][: i % 3],
            "votes": [1, 0],
            "nested": {"codes": [i, None], "raw": bytes([255, i])},
            "wide": "x" * 50,
        }
        for i in range(5)
    ]


def _run(pipeline: Pipeline, folder: Path) -> None:
    """A run as far as this matters: pruned, with schemas, to files."""
    graph = pipeline.graph
    graph = graph.with_steps({name: step.copied() for name, step in graph.steps.items()})
    schemas = subset_schemas(graph)
    prune_columns(graph)
    with beam.Pipeline(runner=FnApiRunner()) as job:
        subsets = apply_graph(graph, job, RunContext()).subsets
        _ = subsets | WriteDistiset(str(folder), ordered=True, schemas=schemas)


@pytest.fixture
def repo(hub: HubServer, hub_client: Path) -> str:  # noqa: F811
    name = f"{hub.namespace}/features"
    # Not by `from_list`, which encodes audio by a package that isn't needed here.
    table = pa.Table.from_pylist(_examples(), schema=FEATURES.arrow_schema)
    datasets.Dataset(datasets.table.InMemoryTable(table)).push_to_hub(name)
    return name


def test_features_of_the_hub_survive_to_the_files(repo: str, tmp_path: Path) -> None:
    kept = [name for name in FEATURES if name not in ("wide", "instruction")]
    with Pipeline("features") as pipeline:
        load = LoadDataFromHub(name="load", repo_id=repo, split="train")
        task = TextGeneration(name="ask", llm=TaggedEcho())
        keep = KeepColumns(columns=[*kept, "generation"], output_mappings={"label": "class"})
        load >> task >> keep
    _run(pipeline, tmp_path)
    found = loaded(tmp_path)
    expected = {name: FEATURES[name] for name in kept}
    expected = {"class" if name == "label" else name: kind for name, kind in expected.items()}
    assert found.features == {
        **expected,
        "generation": datasets.Value("string"),
        "distilabel_metadata": found.features["distilabel_metadata"],
    }
    source = encoded(datasets.load_dataset(repo, split="train"))
    for row, original in zip(encoded(found), source, strict=True):
        assert {name: row["class" if name == "label" else name] for name in kept} == {
            name: original[name] for name in kept
        }
        assert row["generation"] == f"echo: {original['instruction']}"
    # As it was declared, so that the shard was written once.
    assert features_of(stored(tmp_path)[0]).keys() == {*expected}


def test_features_that_a_user_step_changed_are_inferred_anew(repo: str, tmp_path: Path) -> None:
    class Change(Step):
        def process(self, inputs: StepInput) -> Any:  # type: ignore[override]
            yield [
                {
                    "label": None if row["label"] is None else ["no", "yes"][row["label"]],
                    "image": row["image"]["path"],
                    "count": row["count"] + 2**40,
                    "votes": row["votes"],
                }
                for row in inputs
            ]

    with Pipeline("changed") as pipeline:
        LoadDataFromHub(repo_id=repo) >> Change()
    _run(pipeline, tmp_path)
    found = loaded(tmp_path)
    assert found.features == {
        "label": datasets.Value("string"),
        "image": datasets.Value("string"),
        "count": datasets.Value("int64"),
        "votes": FEATURES["votes"],
    }
    rows = encoded(found)
    assert [row["label"] for row in rows] == ["no", "yes", None, "yes", "no"]
    assert [row["image"] for row in rows] == [f"{i}.png" for i in range(5)]


def test_a_run_keeps_features_and_reads_what_it_needs(
    repo: str,
    hub: HubServer,  # noqa: F811
    tmp_path: Path,
) -> None:
    with Pipeline("run") as pipeline:
        LoadDataFromHub(name="load", repo_id=repo) >> KeepColumns(columns=["label", "image"])
    distiset = pipeline.run(output_dir=tmp_path / "run")
    expected = datasets.Features({name: FEATURES[name] for name in ("label", "image")})
    assert distiset["default"]["train"].features == expected
    assert loaded(tmp_path / "run" / "distiset").features == expected
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["sources"]["load"]["commit"] == hub.commits(repo)[0].id


def test_arrow_types_of_a_dataset_survive_and_arrays_become_lists(tmp_path: Path) -> None:
    features = datasets.Features(
        {
            "time": datasets.Value("timestamp[ms]"),
            "day": datasets.Value("date32"),
            "price": datasets.Value("decimal128(10, 2)"),
            "fixed": datasets.List(datasets.Value("float32"), length=2),
            "gaps": datasets.List(datasets.Value("float32"), length=2),
            "large": datasets.LargeList(datasets.Value("int8")),
            "matrix": datasets.Array2D((2, 2), "float32"),
        }
    )
    row = {
        "time": datetime.datetime(2026, 1, 2, 3, 4, 5, 6000),
        "day": datetime.date(2026, 1, 2),
        "price": decimal.Decimal("1.25"),
        "fixed": [1.5, 2.5],
        "gaps": [1.5, 2.5],
        "large": [1],
        "matrix": [[1.0, 2.0], [3.0, 4.0]],
    }
    full = ("matrix", "fixed")
    rows = [row, {**dict.fromkeys(features), **{name: row[name] for name in full}, "large": []}]
    with Pipeline("types") as pipeline:
        loader = dataset_loader(datasets.Dataset.from_list(rows, features=features), name="load")
        loader >> KeepColumns(columns=list(features))
    _run(pipeline, tmp_path)
    found = loaded(tmp_path)
    plain = datasets.List(datasets.Value("float32"))
    # Parquet can't give null arrays of a fixed size back.
    assert found.features == {**features, "matrix": datasets.List(plain), "gaps": plain}
    assert encoded(found) == rows


@pytest.mark.parametrize("size", [5, 1500])
def test_features_of_a_dataset_in_memory_survive(size: int, tmp_path: Path) -> None:
    features = datasets.Features({name: FEATURES[name] for name in ("label", "count", "votes")})
    features["pair"] = datasets.Translation(languages=["de", "en"])
    pair = {"de": "Zahl", "en": "number"}
    rows = [{"label": i % 2, "count": i, "votes": [0, 1], "pair": pair} for i in range(size)]
    with Pipeline("memory") as pipeline:
        loader = dataset_loader(datasets.Dataset.from_list(rows, features=features), name="load")
        loader >> KeepColumns(columns=["count", "label", "votes", "pair"])
    _run(pipeline, tmp_path)
    found = loaded(tmp_path)
    assert found.features == features
    assert found.column_names == ["count", "label", "votes", "pair"]
    assert encoded(found) == [{k: row[k] for k in found.column_names} for row in rows]


def test_logical_types_are_compared_as_they_are_stored() -> None:
    schema = with_features(pa.schema([("a", pa.list_(pa.int64()))]), {"a": LABEL})
    assert features_of(fit_features(storage_schema(schema), schema)) == {"a": LABEL}
