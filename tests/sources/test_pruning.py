"""Readers that leave columns unread: the same rows, ids and units, with fewer columns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets
import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings, strategies as st

from beam_distilabel.row import DRAW, ROW_ID, Row
from beam_distilabel.schema.features import features_of
from beam_distilabel.transforms.sources.files import shown
from beam_distilabel.transforms.sources.load_data_from_disk import LoadDataFromDisk
from beam_distilabel.transforms.sources.load_data_from_file_system import LoadDataFromFileSystem
from tests.sources.running import run_source

ROWS: list[Row] = [
    {"a": i, "a.b": str(i), "s": {"x": i, "y": [i]}, "": f"none {i}", "same": 1}
    for i in range(2500)
]
NAMES = [*ROWS[0], "absent", "x"]


def _write(folder: Path, kind: str) -> str:
    table = pa.Table.from_pylist(ROWS)
    path = folder / f"rows.{'arrow' if kind.startswith('arrow') else kind}"
    if kind == "parquet":
        pq.write_table(table, path, row_group_size=1200)
    elif kind == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    else:
        new = pa.ipc.new_file if kind == "arrow" else pa.ipc.new_stream
        with new(str(path), table.schema) as writer:
            writer.write_table(table, max_chunksize=700)
    return str(path)


@pytest.fixture(scope="module", params=["parquet", "arrow", "arrow-stream"])
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    return _write(tmp_path_factory.mktemp("data"), request.param)


def _blocks(step: LoadDataFromFileSystem) -> list[Row]:
    read, work = step._plan()
    return [row for element in work for block in read(element) for row in block.rows]


@pytest.mark.parametrize("num_examples", [None, 0, 1300])
@given(columns=st.frozensets(st.sampled_from(NAMES)))
@settings(max_examples=12, deadline=None)
def test_rows_have_the_needed_columns(
    columns: frozenset[str], num_examples: int | None, path: str
) -> None:
    step = LoadDataFromFileSystem(data_files=path, num_examples=num_examples)
    whole, units, total = _blocks(step), step._plan()[1], step.count_rows()
    step.read_only(columns)
    pruned = _blocks(step)
    assert (step._plan()[1], step.count_rows()) == (units, total)
    assert [row[ROW_ID] for row in pruned] == [row[ROW_ID] for row in whole]
    assert [{k: v for k, v in row.items() if k not in (ROW_ID, DRAW)} for row in pruned] == [
        {k: v for k, v in row.items() if k in columns} for row in whole
    ]
    assert step.outputs == list(ROWS[0])


def test_arrow_files_elsewhere(path: str) -> None:
    """Files that can't be mapped into memory are opened twice: for their columns, and for rows."""
    memory = fsspec.filesystem("memory")
    name = f"/pruned/{Path(path).parent.name}-{Path(path).name}"
    memory.pipe_file(name, Path(path).read_bytes())
    step = LoadDataFromFileSystem(data_files=f"memory:/{name}")
    step.read_only(frozenset({"a.b"}))
    assert [row["a.b"] for row in _blocks(step)] == [row["a.b"] for row in ROWS]
    assert {*_blocks(step)[0]} == {"a.b", ROW_ID}


def test_rows_that_differ_in_unread_columns_only_are_equal_rows(tmp_path: Path) -> None:
    step = LoadDataFromFileSystem(data_files=_write(tmp_path, "parquet"), num_examples=3)
    step.read_only(frozenset({"same"}))
    assert [row.get(DRAW, 0) for row in run_source(step)[0]] == [0, 1, 2]


def test_text_is_read_as_a_whole(tmp_path: Path) -> None:
    step = LoadDataFromFileSystem(data_files=_write(tmp_path, "jsonl"), num_examples=2)
    step.read_only(frozenset({"a"}))
    assert [row.keys() for row in _blocks(step)] == [{*ROWS[0], ROW_ID}] * 2


# --- what else is known of files ------------------------------------------------------------------


def test_schemas_of_files(tmp_path: Path, path: str) -> None:
    schema = LoadDataFromFileSystem(data_files=path).output_schema()
    assert schema is not None and schema.field("s").type.field("y").type == pa.list_(pa.int64())
    assert LoadDataFromFileSystem(data_files=_write(tmp_path, "jsonl")).output_schema() is None
    assert LoadDataFromFileSystem().output_schema() is None


def test_a_saved_dataset_keeps_its_features(tmp_path: Path) -> None:
    features = datasets.Features({"label": datasets.ClassLabel(names=["no", "yes"])})
    dataset = datasets.Dataset.from_dict({"label": [0, 1]}, features=features)
    datasets.DatasetDict({"test": dataset}).save_to_disk(str(tmp_path))
    step = LoadDataFromDisk(dataset_path=str(tmp_path), split="test")
    schema = step.output_schema()
    assert schema is not None and features_of(schema)["label"]["names"] == ["no", "yes"]
    size = sum(file.stat().st_size for file in tmp_path.glob("test/*.arrow"))
    assert step.described_source() == {
        "dataset_path": str(tmp_path),
        "config": None,
        "split": "test",
        "files": 1,
        "bytes": size,
    }


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("rows?.csv", "rows?.csv"),
        ("s3://key:secret@bucket/a*.csv", "s3://bucket/a*.csv"),
        ("https://u:p@host/a.csv?sig=secret#x", "https://host/a.csv"),
        ("hf://datasets/me/rows@main/a.csv", "hf://datasets/me/rows@main/a.csv"),
        ({"train": ["ftp://u:p@h/a", "b"]}, {"train": ["ftp://h/a", "b"]}),
        (Path("a/b.csv"), "a/b.csv"),
    ],
)
def test_what_is_shown_of_a_path_has_no_secret(path: Any, expected: Any) -> None:
    assert shown(path) == expected
