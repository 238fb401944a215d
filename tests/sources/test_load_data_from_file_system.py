"""LoadDataFromFileSystem: formats, listing, order, bad records, limits."""

from __future__ import annotations

import gzip
import json
import math
import pickle
import tempfile
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings, strategies as st

from beam_distilabel.errors import DistilabelUserError, RowError
from beam_distilabel.row import DRAW, ROW_ID, Row
from beam_distilabel.transforms.sources import units
from beam_distilabel.transforms.sources.load_data_from_file_system import LoadDataFromFileSystem
from tests.sources.running import graph_bytes, plain, processed, run_source

ROWS: list[Row] = [
    {
        "text": f"row {i}, “quoted”\nline",
        "number": i,
        "score": i / 3,
        "tags": ["a", None] if i % 2 else [],
        "meta": {"x": i, "y": None},
    }
    for i in range(2500)
]


def _lines(rows: list[Row]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def _arrow(path: Path, rows: list[Row], footer: bool) -> None:
    table = pa.Table.from_pylist(rows)
    opened = pa.ipc.new_file if footer else pa.ipc.new_stream
    with opened(str(path), table.schema) as writer:
        writer.write_table(table, max_chunksize=400)


def _write(folder: Path, name: str, rows: list[Row]) -> Path:
    path = folder / name
    if name.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=1100)
    elif name.endswith(".arrow"):
        _arrow(path, rows, footer="footer" in name)
    elif ".jsonl" in name:
        path.write_bytes(_compressed(name, _lines(rows)))
    else:
        path.write_bytes(_compressed(name, json.dumps(rows, indent=1).encode()))
    return path


def _compressed(name: str, data: bytes) -> bytes:
    if name.endswith(".gz"):
        return gzip.compress(data)
    return zstandard.compress(data) if name.endswith(".zst") else data


FORMATS = [
    "a.parquet",
    "footer.arrow",
    "stream.arrow",
    "a.jsonl",
    "a.jsonl.gz",
    "a.json.zst",
    "a.json",
]


@pytest.mark.parametrize("name", FORMATS)
def test_formats(name: str, tmp_path: Path) -> None:
    path = _write(tmp_path, name, ROWS)
    step = LoadDataFromFileSystem(data_files=str(path))
    assert step.outputs == list(ROWS[0])
    rows, failures = run_source(step)
    assert plain(rows) == ROWS and not failures
    assert [row[ROW_ID] for row in rows] == [f"0-{i}" for i in range(len(ROWS))]
    assert processed(step, 1234) == ROWS[1234:]
    assert step.count_rows() == (None if "json" in name else len(ROWS))


@settings(max_examples=15, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 30), min_size=1, max_size=5),
    limit=st.integers(0, 80),
    group=st.integers(1, 12),
    names=st.lists(st.sampled_from(["x.parquet", "x.jsonl", "x.arrow"]), min_size=5, max_size=5),
)
def test_num_examples_is_exact_in_source_order(
    sizes: list[int], limit: int, group: int, names: list[str]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        files, expected = [], []
        for number, (size, name) in enumerate(zip(sizes, names, strict=False)):
            rows: list[Row] = [{"file": number, "row": i} for i in range(size)]
            path = Path(folder) / f"{number}-{name}"
            schema = pa.schema([("file", pa.int64()), ("row", pa.int64())])
            table = pa.Table.from_pylist(rows, schema)
            if name == "x.jsonl":
                path.write_bytes(_lines(rows))
            elif name == "x.parquet":
                pq.write_table(table, path, row_group_size=group)
            else:
                with pa.ipc.new_stream(str(path), schema) as writer:
                    writer.write_table(table, max_chunksize=group)
            files.append(str(path))
            expected += [{**row, ROW_ID: f"{number}-{row['row']}"} for row in rows]
        step = LoadDataFromFileSystem(data_files=files, num_examples=limit)
        loaded, _ = run_source(step)
        assert loaded == expected[:limit]
        assert processed(step) == plain(expected[:limit])
        assert processed(LoadDataFromFileSystem(data_files=files), limit) == plain(expected[limit:])


def test_row_groups_are_units_and_large_ones_are_cut(tmp_path: Path) -> None:
    table = pa.table({"a": list(range(10_000))})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=6000)
    step = LoadDataFromFileSystem(data_files=str(tmp_path / "a.parquet"))
    _, work = step._plan()
    assert [(w.units[0].start, w.units[0].num_rows) for w in work] == [
        (0, 2000), (0, 2000), (0, 2000), (1, 1000), (1, 1000), (1, 1000), (1, 1000),
    ]  # fmt: skip
    rows, _ = run_source(step)
    assert [row["a"] for row in rows] == list(range(10_000))


def test_equal_rows_of_a_block_are_numbered_however_it_is_cut(tmp_path: Path) -> None:
    rows = [{"a": i % 700} for i in range(3000)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    (tmp_path / "a.jsonl").write_bytes(_lines(rows))
    for name in ("a.parquet", "a.jsonl"):
        loaded, _ = run_source(LoadDataFromFileSystem(data_files=str(tmp_path / name)))
        seen: dict[tuple[int, int], int] = {}
        for i, row in enumerate(loaded):
            key = (i // 1000, row["a"])
            assert row.get(DRAW, 0) == seen.get(key, 0)
            seen[key] = seen.get(key, 0) + 1
        assert max(seen.values()) == 2 and len(loaded) == 3000


def test_large_local_lines_are_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(units, "_LINES_BYTES", 10_000)
    _write(tmp_path, "a.jsonl", ROWS)
    step = LoadDataFromFileSystem(data_files=str(tmp_path / "a.jsonl"))
    assert len(step._plan()[1]) > 20
    rows, _ = run_source(step)
    assert plain(rows) == ROWS
    assert [row[ROW_ID] for row in rows] == [f"0-{i}" for i in range(len(ROWS))]


def test_many_units_become_one_per_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(units, "MAX_UNITS", 3)
    for name in ("a.parquet", "b.parquet"):
        pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / name, row_group_size=300)
    step = LoadDataFromFileSystem(data_files=str(tmp_path), num_examples=3000)
    assert len(step._plan()[1]) == 2
    rows, _ = run_source(step)
    assert plain(rows) == [*ROWS, *ROWS[:500]]


def test_bad_lines_cost_themselves(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}\r\n\n{"a": 2\n[3]\n{"a": "\xff"}\n{"a": 4}')
    step = LoadDataFromFileSystem(name="load", data_files=str(path))
    rows, failures = run_source(step)
    assert [(row["a"], row[ROW_ID]) for row in rows] == [(1, "0-0"), (4, "0-5")]
    assert sorted(f.message.split(": ")[0] for f in failures) == [
        f"{path}, line {n}" for n in (3, 4, 5)
    ]
    assert {f.kind for f in failures} == {"read"} and {f.step for f in failures} == {"load"}
    assert {f.raw_output for f in failures} == {'{"a": 2', "[3]", '{"a": "\\xff"}'}
    assert processed(step) == [{"a": 1}, {"a": 4}]
    assert processed(LoadDataFromFileSystem(data_files=str(path), num_examples=2)) == [
        {"a": 1},
        {"a": 4},
    ]


def test_bad_lines_raise_when_asked_to(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n{\n')
    step = LoadDataFromFileSystem(data_files=str(tmp_path), on_failure="raise")
    with pytest.raises(RowError, match="a.jsonl, line 2"):
        processed(step)
    with pytest.raises(Exception, match="a.jsonl, line 2"):
        run_source(step)


def test_records_of_documents_that_are_no_objects(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('[{"a": 1}, 7, {"a": 2}]')
    rows, failures = run_source(LoadDataFromFileSystem(data_files=str(tmp_path)))
    assert [(row["a"], row[ROW_ID]) for row in rows] == [(1, "0-0"), (2, "0-2")]
    assert [f.row[ROW_ID] for f in failures] == ["0-1"]
    assert [f.message.rpartition("a.json")[2] for f in failures] == [
        ", record 2: a record has to be a JSON object, this is a number"
    ]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ('{"a": 1}\n{"a": 2}\n', [{"a": 1}, {"a": 2}]),
        ('{\n "a": 1\n}\n{\n "a": 2}', [{"a": 1}, {"a": 2}]),
        ("[]", []),
        ("", []),
        (" \n", []),
    ],
)
def test_json_files_of_other_forms(text: str, rows: list[Row], tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text)
    assert processed(LoadDataFromFileSystem(data_files=str(tmp_path))) == rows


def test_broken_documents_are_errors_that_name_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('[{"a": 1}, {"a"')
    step = LoadDataFromFileSystem(name="load", data_files=str(tmp_path))
    with pytest.raises(Exception, match="Step 'load'.*a.json.*after 1 records"):
        run_source(step)
    (tmp_path / "a.json").unlink()
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(_lines(ROWS))[:-50])
    with pytest.raises(Exception, match="Step 'load'.*a.jsonl.gz"):
        run_source(step)


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow"])
def test_damaged_files_are_errors_that_name_them(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"not this format at all")
    with pytest.raises(DistilabelUserError, match=f"Step 'load'.*{name}"):
        LoadDataFromFileSystem(name="load", data_files=str(tmp_path)).outputs  # noqa: B018


CSV = (
    "id,zip,score,ok,text,mixed\n"
    '1,01234,0.5,true,"a ""quoted"", text\nof two lines",1\n'
    "2,99999,,False,NA,2\n"
    "too,few\n"
    '3,00001,NaN,,"",x7\n'
    "4,5,6,7,8,9,10\n"
    "5,12345,1e3,true,,007\n"
)


def test_csv_has_types_and_bad_records_cost_themselves(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbf" + CSV.encode())
    step = LoadDataFromFileSystem(data_files=str(tmp_path))
    assert step.outputs == ["id", "zip", "score", "ok", "text", "mixed"]
    rows, failures = run_source(step)
    assert [row[ROW_ID] for row in rows] == ["0-0", "0-1", "0-3", "0-5"]
    assert plain(rows) == [
        {"id": 1, "zip": "01234", "score": 0.5, "ok": True, "mixed": "1",
         "text": 'a "quoted", text\nof two lines'},
        {"id": 2, "zip": "99999", "score": None, "ok": False, "text": "NA", "mixed": "2"},
        {"id": 3, "zip": "00001", "score": None, "ok": None, "text": "", "mixed": "x7"},
        {"id": 5, "zip": "12345", "score": 1000.0, "ok": True, "text": None, "mixed": "007"},
    ]  # fmt: skip
    assert sorted(f.message.rpartition("a.csv")[2] for f in failures) == [
        ", record 3: 2 fields instead of 6",
        ", record 5: 7 fields instead of 6",
    ]


def test_csv_values_that_do_not_fit_their_column_stay_text(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("n,m\n1,1.5\n2,2\n")
    (tmp_path / "b.csv").write_text("n,m\n3,x\n007,NA\nmany,4\n")
    (tmp_path / "c.tsv").write_text("n\tm\n5\t1,5\n")
    step = LoadDataFromFileSystem(data_files=[str(tmp_path / f"{n}") for n in ("a.csv", "b.csv")])
    assert processed(step) == [
        {"n": 1, "m": 1.5},
        {"n": 2, "m": 2.0},
        {"n": 3, "m": "x"},
        {"n": "007", "m": None},
        {"n": "many", "m": 4.0},
    ]
    assert processed(LoadDataFromFileSystem(data_files=str(tmp_path / "c.tsv"))) == [
        {"n": 5, "m": "1,5"}
    ]


def test_csv_of_many_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("beam_distilabel.transforms.sources.csv_files.BLOCK_BYTES", 5000)
    lines = ["a,b"] + [f"{i}," if i % 7 else "bad" for i in range(5000)] + ["bad"]
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
    rows, failures = run_source(LoadDataFromFileSystem(data_files=str(tmp_path)))
    assert [(row["a"], row[ROW_ID]) for row in rows] == [
        (i, f"0-{i}") for i in range(5000) if i % 7
    ]
    assert len(failures) == 716
    assert {f.row[ROW_ID] for f in failures} == {f"0-{i}" for i in [*range(0, 5000, 7), 5000]}


def test_csv_without_rows_or_header(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("")
    (tmp_path / "b.csv").write_text("x,y\n")
    step = LoadDataFromFileSystem(data_files=str(tmp_path))
    assert processed(step) == [] and step.outputs == ["x", "y"]


def test_csv_with_a_repeated_column_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,x\n1,2\n")
    with pytest.raises(DistilabelUserError, match=r"a\.csv.*'x' occur more than once"):
        processed(LoadDataFromFileSystem(data_files=str(tmp_path)))


def test_globs_folders_and_lists_have_a_fixed_order(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / ".hidden").mkdir()
    for name in ("b.jsonl", "a.jsonl", "deep/c.jsonl", ".hidden/d.jsonl"):
        (tmp_path / name).write_text(json.dumps({"name": name}))
    (tmp_path / "README.md").write_text("read me")
    (tmp_path / "dataset_info.json").write_text("{}")

    def names(data_files: Any, **fields: Any) -> list[str]:
        rows, _ = run_source(LoadDataFromFileSystem(data_files=data_files, **fields))
        return [row["name"] for row in rows]

    assert names(str(tmp_path)) == ["a.jsonl", "b.jsonl", "deep/c.jsonl"]
    assert names(f"{tmp_path}/*.jsonl") == ["a.jsonl", "b.jsonl"]
    assert names(f"{tmp_path}/**/*.jsonl") == ["a.jsonl", "b.jsonl", "deep/c.jsonl"]
    assert names(f"{tmp_path}/.hidden/*.jsonl") == [".hidden/d.jsonl"]
    assert names([f"{tmp_path}/b.jsonl", f"{tmp_path}/a.jsonl"]) == ["b.jsonl", "a.jsonl"]
    splits = {"train": f"{tmp_path}/a.jsonl", "test": [f"{tmp_path}/b.jsonl"]}
    assert names(splits, split="test") == ["b.jsonl"]
    with pytest.raises(DistilabelUserError, match=r"no split 'tests'. Did you mean 'test'\?"):
        names(splits, split="tests")


def test_names_with_glob_characters(tmp_path: Path) -> None:
    (tmp_path / "a[1].jsonl").write_text('{"a": 1}')
    step = LoadDataFromFileSystem(data_files=str(tmp_path / "a[1].jsonl"))
    assert processed(step) == [{"a": 1}]


def test_folders_whose_files_name_their_splits(tmp_path: Path) -> None:
    for split in ("train", "test"):
        pq.write_table(pa.table({"s": [split]}), tmp_path / f"{split}-00000-of-00001.parquet")
    assert processed(LoadDataFromFileSystem(data_files=str(tmp_path))) == [{"s": "train"}]
    step = LoadDataFromFileSystem(data_files=str(tmp_path), split="test")
    assert processed(step) == [{"s": "test"}]
    with pytest.raises(DistilabelUserError, match="no file of the split 'validation'.*test, train"):
        processed(LoadDataFromFileSystem(data_files=str(tmp_path), split="validation"))


def test_the_explicit_filetype_wins(tmp_path: Path) -> None:
    (tmp_path / "rows.txt").write_text('{"a": 1}\n')
    (tmp_path / "rows.csv").write_text('{"a": 2}\n')
    for name, value in (("rows.txt", 1), ("rows.csv", 2)):
        step = LoadDataFromFileSystem(data_files=str(tmp_path / name), filetype="json")
        assert processed(step) == [{"a": value}]


@pytest.mark.parametrize(
    ("files", "fields", "message"),
    [
        (["a.txt"], {"data_files": "a.txt"}, r"a\.txt' isn't known. Accepted are .parquet, .jsonl"),
        (["a.txt"], {"data_files": "."}, r"no file of a known type \(it has a.txt\)"),
        ([], {"data_files": "none.jsonl"}, "none.jsonl' stands for no file: it doesn't exist"),
        ([], {"data_files": "*.jsonl"}, "glob matches nothing"),
        (["a.csv", "b.jsonl"], {"data_files": "."}, "several types .csv, jsonl.; say which"),
        (["a.csv"], {"data_files": ".", "filetype": "jsonl"}, "has no jsonl file"),
        (["a.csv"], {"data_files": "a.csv", "filetype": "jsonlines"}, "Did you mean 'jsonl'"),
        (["a.parquet.gz"], {"data_files": "a.parquet.gz"}, "isn't known"),
        (["a.csv"], {"data_files": "a.csv", "split": "test"}, ""),
    ],
)
def test_what_cannot_be_listed_is_refused_before_anything_runs(
    files: list[str], fields: dict[str, Any], message: str, tmp_path: Path
) -> None:
    for name in files:
        (tmp_path / name).write_text("")
    step = LoadDataFromFileSystem(
        name="load", **{**fields, "data_files": f"{tmp_path}/{fields['data_files']}"}
    )
    if not message:
        assert step.outputs == []  # one file is what it is, whatever the split is called
        return
    with pytest.raises(DistilabelUserError, match=f"Step 'load'.*{message}"):
        step.outputs  # noqa: B018


def test_no_files_yet_is_no_error_before_the_run() -> None:
    step = LoadDataFromFileSystem()
    assert step.outputs == []
    assert step.runtime_parameters_names["data_files"] is False
    assert step.runtime_parameters_names["filetype"] is True


def test_a_file_that_vanishes_is_named(tmp_path: Path) -> None:
    path = _write(tmp_path, "a.jsonl", ROWS[:3])
    step = LoadDataFromFileSystem(name="load", data_files=str(path))
    read, work = step._plan()
    path.unlink()
    with pytest.raises(DistilabelUserError, match=r"a\.jsonl' doesn't exist"):
        list(read(work[0]))


@pytest.mark.parametrize("name", ["a.parquet", "stream.arrow", "footer.arrow"])
def test_a_file_that_changes_during_the_run_is_named(name: str, tmp_path: Path) -> None:
    path = _write(tmp_path, name, ROWS)
    read, work = LoadDataFromFileSystem(data_files=str(path))._plan()
    _write(tmp_path, name, ROWS[:100])
    with pytest.raises(DistilabelUserError, match="has changed since the run began"):
        for element in work:
            list(read(element))


def test_empty_files_and_rows_without_columns(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("")
    (tmp_path / "b.jsonl").write_text('{}\n{"a": 1}\n')
    step = LoadDataFromFileSystem(data_files=str(tmp_path))
    rows, failures = run_source(step)
    assert plain(rows) == [{}, {"a": 1}] and not failures
    assert step.outputs == ["a"]
    pq.write_table(pa.table({"a": pa.array([], pa.int64())}), tmp_path / "c.parquet")
    empty = LoadDataFromFileSystem(data_files=str(tmp_path / "c.parquet"))
    assert run_source(empty) == ([], []) and empty.outputs == ["a"]
    assert list(empty.process()) == [([], True)]


def test_reserved_columns_of_a_file_are_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(_lines([{"a": 1, ROW_ID: "9-9", DRAW: 7}]))
    rows, _ = run_source(LoadDataFromFileSystem(data_files=str(tmp_path)))
    assert rows == [{"a": 1, ROW_ID: "0-0"}]


def test_any_fsspec_filesystem() -> None:
    memory = fsspec.filesystem("memory")
    for name, rows in (("b", ROWS[1000:]), ("a", ROWS[:1000])):
        with memory.open(f"/rows/{name}.parquet", "wb") as file:
            pq.write_table(pa.Table.from_pylist(rows), file)
    with memory.open("/lines/a.jsonl", "wb") as file:
        file.write(_lines(ROWS))
    with memory.open("/stream/a.arrow", "wb") as file:
        table = pa.Table.from_pylist(ROWS)
        with pa.ipc.new_stream(file, table.schema) as writer:
            writer.write_table(table)
    for data_files in ("memory://rows", "memory://lines/*.jsonl", "memory://stream/a.arrow"):
        assert plain(run_source(LoadDataFromFileSystem(data_files=data_files))[0]) == ROWS


def test_secrets_in_storage_options_are_neither_serialized_nor_shown(tmp_path: Path) -> None:
    options = {"anon": False, "secret": "hush", "client_kwargs": {"api_key": "hush", "region": "x"}}
    step = LoadDataFromFileSystem(data_files=str(tmp_path), storage_options=options)
    assert "storage_options" not in {**step.model_dump(), **step.dump()}
    assert "hush" not in repr(step) + str(step)
    assert step.storage_options == options


def test_the_graph_holds_no_data_and_steps_are_picklable(tmp_path: Path) -> None:
    _write(tmp_path, "a.parquet", ROWS)
    step = LoadDataFromFileSystem(data_files=str(tmp_path))
    assert graph_bytes(step) < 100_000
    step.load()
    again = pickle.loads(pickle.dumps(step))
    assert processed(again) == ROWS


def test_nan_in_parquet(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [math.nan, None]}), tmp_path / "a.parquet")
    first, second = processed(LoadDataFromFileSystem(data_files=str(tmp_path)))
    assert math.isnan(first["a"]) and second["a"] is None


def test_output_mappings(tmp_path: Path) -> None:
    _write(tmp_path, "a.jsonl", [{"prompt": "x", "b": 1}])
    step = LoadDataFromFileSystem(
        data_files=str(tmp_path), output_mappings={"prompt": "instruction"}
    )
    assert run_source(step)[0] == [{"instruction": "x", "b": 1, ROW_ID: "0-0"}]
