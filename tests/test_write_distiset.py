"""WriteDistiset: every row once, one schema per subset, in order, whatever fails on the way."""

from __future__ import annotations

import datetime
import hashlib
import json
import logging
import os
import random
import shutil
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import datasets
import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms.window import FixedWindows, TimestampedValue
from hypothesis import given, settings, strategies as st

from beam_distilabel.distiset import create_distiset
from beam_distilabel.errors import DistilabelError, DistilabelUserError
from beam_distilabel.layout import read_footer
from beam_distilabel.manifest import Manifest, read_schema_text
from beam_distilabel.row import DRAW, ROW_ID, Row, child_id, position_id, sort_key
from beam_distilabel.steps import LoadDataFromFileSystem
from beam_distilabel.transforms.sinks import merge, shard_sink, shard_writer, stages
from beam_distilabel.transforms.sinks.merge import FAN_IN, Block, Bounds, chain_blocks, plan
from beam_distilabel.transforms.sinks.result_folder import make_final, remove_staging
from beam_distilabel.transforms.sinks.shard_writer import ShardWriter
from beam_distilabel.transforms.sinks.shards import ShardRecord
from beam_distilabel.transforms.sinks.stages import Finish, MakeFinal, Plan, StageShards
from beam_distilabel.transforms.sinks.write_distiset import WriteDistiset


def write(subsets: Mapping[str, Sequence[Row]], path: Path | str, **options: Any) -> Manifest:
    """Write lists of rows on the in-memory runner; the manifest, which has to be one element."""
    place = Path(f"{path}.manifests") if "://" not in str(path) else Path(options.pop("place"))
    place.mkdir()
    with beam.Pipeline(runner=FnApiRunner()) as p:
        rows = {
            name: p | f"Rows {name}" >> beam.Create(subset, reshuffle=False)
            for name, subset in subsets.items()
        }
        manifest = rows | WriteDistiset(str(path), **options)
        manifest | beam.Map(lambda found: (place / uuid.uuid4().hex).write_text(json.dumps(found)))
    [file] = list(place.iterdir())
    result: Manifest = json.loads(file.read_text())
    shutil.rmtree(place)
    return result


def read(path: Path, subset: str = "default") -> list[Row]:
    """The rows of a subset, file by file."""
    files = sorted((path / subset).iterdir())
    rows: list[Row] = [row for file in files for row in pq.read_table(file).to_pylist()]
    return rows


def numbered(count: int) -> list[Row]:
    return [{ROW_ID: position_id(0, i), "n": i} for i in range(count)]


class ByHand:
    """The stages of WriteDistiset one by one, so that a test can fail and repeat any of them."""

    def __init__(self, path: Path, *, bounds: Bounds | None = None, ordered: bool = False) -> None:
        self.path = str(path)
        self.staging = str(path / ".staging-test")
        self.bounds = bounds or Bounds(10**9, 10**9)
        self.ordered = ordered

    def stage(self, subset: str = "default") -> StageShards:
        return StageShards(self.staging, subset, self.bounds, self.ordered, False, None)

    def finish(self, records: Iterable[ShardRecord], subset: str = "default") -> list[Any]:
        tasks = Plan(self.bounds, self.ordered, {}, None).process((subset, [None, *records]))
        finish = Finish(self.staging)
        return [done for task in tasks for done in finish.process(task)]

    def publish(self, finished: list[Any], subsets: Sequence[str] = ("default",)) -> Manifest:
        [manifest] = MakeFinal(self.path, self.staging, list(subsets), "train", False).process(
            (None, finished)
        )
        return manifest


def bundle(stage: StageShards, rows: Iterable[Row]) -> list[ShardRecord]:
    stage.start_bundle()
    for row in rows:
        stage.process(row)
    return [element.value[1] for element in stage.finish_bundle()]


# --- what is written ------------------------------------------------------------------------------


def test_rows_of_each_subset_are_written_once_and_described(tmp_path: Path) -> None:
    path = tmp_path / "out"
    manifest = write({"a": numbered(10), "b": [{"x": "y", DRAW: 3}]}, path)
    assert sorted(os.listdir(path)) == ["a", "b"]
    assert sorted(row["n"] for row in read(path, "a")) == list(range(10))
    assert read(path, "b") == [{"x": "y"}]
    assert manifest["a"]["rows"] == 10 and manifest["b"]["rows"] == 1
    assert manifest["b"]["schema"] == {"x": "string"}
    [file] = manifest["a"]["files"]
    content = (path / file["path"]).read_bytes()
    assert file == {
        "path": "a/train-00000-of-00001.parquet",
        "rows": 10,
        "bytes": len(content),
        "data_bytes": read_footer(str(path / file["path"]))[1],
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def test_the_manifest_is_json_whatever_the_rows_hold(tmp_path: Path) -> None:
    row = {"when": datetime.datetime(2026, 1, 2), "raw": b"abc", "x": float("nan"), "t": "y" * 9999}
    manifest = write({"default": [row]}, tmp_path / "out")
    sample = manifest["default"]["sample"]
    assert sample is not None and sample["when"] == "2026-01-02T00:00:00"
    assert sample["raw"] == "<3 bytes>" and sample["x"] == "NaN" and len(sample["t"]) < 1000
    schema = read_schema_text(manifest["default"]["arrow_schema"])
    assert {field.name: str(field.type) for field in schema} == manifest["default"]["schema"]


def test_row_ids_are_kept_when_asked_for(tmp_path: Path) -> None:
    write({"default": [{ROW_ID: "0-1", DRAW: 2, "n": 1}]}, tmp_path / "out", keep_row_ids=True)
    assert read(tmp_path / "out") == [{ROW_ID: "0-1", DRAW: 2, "n": 1}]


def test_a_single_collection_is_the_default_subset_and_windows_do_not_matter(
    tmp_path: Path,
) -> None:
    with beam.Pipeline(runner=FnApiRunner()) as p:
        rows = (
            p
            | beam.Create(numbered(6))
            | beam.Map(lambda row: TimestampedValue(row, row["n"]))
            | beam.WindowInto(FixedWindows(2))
        )
        rows | WriteDistiset(str(tmp_path / "out"))
    assert sorted(row["n"] for row in read(tmp_path / "out")) == list(range(6))


def test_shards_are_bounded_in_rows_and_none_is_empty(tmp_path: Path) -> None:
    manifest = write({"default": numbered(100)}, tmp_path / "out", max_shard_rows=30)
    assert [file["rows"] for file in manifest["default"]["files"]] == [30, 30, 30, 10]


def test_shards_are_bounded_in_bytes(tmp_path: Path) -> None:
    source = random.Random(0)
    rows = [{"text": source.randbytes(5_000).hex()} for _ in range(100)]
    manifest = write({"default": rows}, tmp_path / "out", max_shard_bytes=100_000)
    sizes = [file["bytes"] for file in manifest["default"]["files"]]
    assert 5 <= len(sizes) <= 12
    assert max(sizes) <= 200_000  # the bound and one row group of at most as much memory
    assert sum(file["rows"] for file in manifest["default"]["files"]) == 100


def test_large_rows_are_not_buffered_beyond_the_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_writer, "ROW_GROUP_BYTES", 10_000)
    writer = ShardWriter(str(tmp_path), "default")
    for _ in range(20):
        writer.add({"text": "x" * 3_000, "vector": [0.5] * 10})
        assert len(writer._rows) < 4
    [record] = writer.close()
    assert pq.ParquetFile(record["path"]).num_row_groups == 7


def test_any_filesystem_that_fsspec_knows(tmp_path: Path) -> None:
    url = f"memory://{uuid.uuid4().hex}/out"
    source = numbered(50)
    random.Random(1).shuffle(source)
    manifest = write(
        {"default": source}, url, place=tmp_path / "m", ordered=True, max_shard_rows=20
    )
    files = [f"{url}/{file['path']}" for file in manifest["default"]["files"]]
    assert len(files) == 3
    found = []
    for file in files:
        with fsspec.open(file, "rb") as stream:
            found.extend(pq.read_table(stream)["n"].to_pylist())
    assert found == list(range(50))
    filesystem, folder = fsspec.core.url_to_fs(url)
    assert [entry.rsplit("/", 1)[-1] for entry in filesystem.ls(folder, detail=False)] == [
        "default"
    ]


# --- schemas --------------------------------------------------------------------------------------


def drifting(count: int) -> list[Row]:
    rows: list[Row] = []
    for i in range(count):
        row: Row = {"late": None if i < count * 2 // 3 else f"v{i}", "n": i}
        if i % 2:
            row = dict(reversed(row.items()))
        if i == count - 1:
            row["n"] = i + 0.5
            row["extra"] = True
        failed = i % 5 == 0
        row["distilabel_metadata"] = {
            "raw_input_judge": [{"role": "user", "content": "q"}],
            "raw_output_judge": None if i < count // 2 else "a",
            "failure_judge": {"kind": "parse", "message": "m", "attempts": 1} if failed else None,
        }
        rows.append({ROW_ID: position_id(0, i), **row})
    return rows


def test_rows_whose_schema_drifts_share_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (shard_writer, shard_sink):
        monkeypatch.setattr(module, "ROW_GROUP_ROWS", 7)
    source = drifting(60)
    manifest = write({"default": source}, tmp_path / "out", ordered=True, max_shard_rows=20)
    schemas = {str(pq.read_schema(file)) for file in (tmp_path / "out" / "default").iterdir()}
    assert len(schemas) == 1
    assert manifest["default"]["schema"]["n"] == "double"
    expected = [{"extra": None, **{k: v for k, v in row.items() if k != ROW_ID}} for row in source]
    assert read(tmp_path / "out") == expected


def test_a_column_that_is_null_for_the_first_100_000_rows_loads(tmp_path: Path) -> None:
    """As rows really come: from files, at the writer's own bounds, into `datasets`."""
    nulls, total = 100_000, 120_000
    with (tmp_path / "rows.jsonl").open("w") as file:
        for i in range(total):
            row: Row = {"n": i, "late": None, "nested": {"a": i}, "score": i % 7}
            if i >= nulls:
                nested = {"b": [{"c": None if i % 2 else "c"}], "a": i}
                row = {"score": i / 2, "nested": nested, "late": f"v{i}", "n": i, "extra": [i]}
            file.write(json.dumps(row) + "\n")
    path = tmp_path / "out"
    with beam.Pipeline(runner="FnApiRunner") as p:
        rows = p | LoadDataFromFileSystem(data_files=str(tmp_path / "rows.jsonl"))
        _ = {"default": rows} | WriteDistiset(str(path), ordered=True)
    found = datasets.load_dataset(
        str(path), "default", split="train", cache_dir=str(tmp_path / "cache")
    )
    assert found.column_names == ["n", "late", "nested", "score", "extra"]
    assert found["n"][:] == list(range(total))
    assert found[nulls - 1] == {
        "n": nulls - 1,
        "late": None,
        "nested": {"a": nulls - 1, "b": None},
        "score": float((nulls - 1) % 7),
        "extra": None,
    }
    assert found[nulls] == {
        "n": nulls,
        "late": f"v{nulls}",
        "nested": {"a": nulls, "b": [{"c": "c"}]},
        "score": nulls / 2,
        "extra": [nulls],
    }


def test_only_shards_that_differ_are_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rewritten: list[int] = []
    original = merge.join

    def join(records: Sequence[ShardRecord], *args: Any) -> Any:
        rewritten.extend(record["rows"] for record in records)
        return original(records, *args)

    monkeypatch.setattr(stages, "join", join)
    by_hand = ByHand(tmp_path, bounds=Bounds(10**9, 10))
    records = bundle(by_hand.stage(), [{"x": None}] * 10 + [{"x": "a"}] * 20)
    assert [record["rows"] for record in records] == [10, 10, 10]
    manifest = by_hand.publish(by_hand.finish(records))
    assert rewritten == [10]
    assert manifest["default"]["rows"] == 30
    assert sorted(str(row["x"]) for row in read(tmp_path)) == ["None"] * 10 + ["a"] * 20


def test_many_small_shards_are_joined(tmp_path: Path) -> None:
    by_hand = ByHand(tmp_path, bounds=Bounds(10**6, 1_000))
    stage = by_hand.stage()
    records = [r for i in range(50) for r in bundle(stage, [{ROW_ID: f"0-{i}", "n": i}] * 30)]
    manifest = by_hand.publish(by_hand.finish(records))
    assert [file["rows"] for file in manifest["default"]["files"]] == [990, 510]
    assert [row["n"] for row in read(tmp_path)] == [i for i in range(50) for _ in range(30)]


def test_values_that_share_no_type_become_json_and_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [{ROW_ID: f"0-{i}", "ok": i, "mixed": i if i else "text"} for i in range(3)]
    with caplog.at_level(logging.WARNING):
        write({"default": rows}, tmp_path / "out", ordered=True)
    assert [row["mixed"] for row in read(tmp_path / "out")] == ['"text"', "1", "2"]
    [message] = [m for m in caplog.messages if "JSON text" in m]
    assert "'mixed'" in message and "row 0-1" in message and "'default'" in message


def test_shards_whose_types_differ_become_json_and_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    by_hand = ByHand(tmp_path, ordered=True)
    stage = by_hand.stage()
    records = bundle(stage, [{ROW_ID: "0-0", "x": "a"}]) + bundle(stage, [{ROW_ID: "0-1", "x": 1}])
    with caplog.at_level(logging.WARNING):
        by_hand.publish(by_hand.finish(records))
    assert read(tmp_path) == [{"x": '"a"'}, {"x": "1"}]
    [message] = caplog.messages
    assert "'x'" in message and "string (shard that starts at row 0-0)" in message
    assert "int64 (shard that starts at row 0-1)" in message


CELLS = st.one_of(
    st.none(), st.integers(), st.floats(), st.text(st.characters()), st.just({}), st.just([{}])
)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from("abc"), CELLS), min_size=1, max_size=30), st.data())
def test_no_row_is_lost_whatever_it_holds(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Row], data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("any")
    by_hand = ByHand(path, bounds=Bounds(10**9, data.draw(st.integers(1, 10))), ordered=True)
    cut = data.draw(st.integers(0, len(rows)))
    source = [{**row, ROW_ID: position_id(0, i)} for i, row in enumerate(rows)]
    records = bundle(by_hand.stage(), source[:cut]) + bundle(by_hand.stage(), source[cut:])
    by_hand.publish(by_hand.finish(records))
    found = read(path)
    assert len(found) == len(rows)
    for row, stored in zip(rows, found, strict=True):
        for name, value in row.items():
            if value not in (None, {}):
                assert stored[name] is not None


# --- nothing to write -----------------------------------------------------------------------------


def test_a_subset_without_rows_is_in_the_manifest_alone(tmp_path: Path) -> None:
    manifest = write({"full": numbered(1), "none": []}, tmp_path / "out")
    empty = {"rows": 0, "files": [], "schema": {}, "arrow_schema": "", "sample": None}
    assert manifest["none"] == empty
    assert os.listdir(tmp_path / "out") == ["full"]


def test_a_subset_without_rows_but_known_columns_loads(tmp_path: Path) -> None:
    features = datasets.Features(
        {"label": datasets.ClassLabel(names=["no", "yes"]), "text": datasets.Value("string")}
    )
    manifest = write({"default": []}, tmp_path / "out", schemas={"default": features.arrow_schema})
    assert [file["rows"] for file in manifest["default"]["files"]] == [0]
    # Without streaming, `datasets` loads no split of 0 rows, whoever wrote it.
    found = datasets.load_dataset(str(tmp_path / "out"), split="train", streaming=True)
    assert found.features == features and list(found) == []
    assert create_distiset(tmp_path / "out")["default"]["train"].features == features


def test_declared_features_survive(tmp_path: Path) -> None:
    features = datasets.Features({"label": datasets.ClassLabel(names=["no", "yes"])})
    rows: list[Row] = [{"label": 1, "more": "x"}, {"label": 0}]
    write({"default": rows}, tmp_path / "out", schemas={"default": features.arrow_schema})
    found = datasets.Features.from_arrow_schema(
        pq.read_schema(tmp_path / "out" / "default" / "train-00000-of-00001.parquet")
    )
    assert found == {**features, "more": datasets.Value("string")}


def test_rows_without_columns_are_counted(tmp_path: Path) -> None:
    manifest = write({"default": [{ROW_ID: "0-0"}, {ROW_ID: "0-1"}]}, tmp_path / "out")
    assert manifest["default"]["rows"] == 2
    assert len(create_distiset(tmp_path / "out")["default"]["train"]) == 2


# --- order ----------------------------------------------------------------------------------------


def test_rows_come_in_source_order_with_children_after_parents(tmp_path: Path) -> None:
    ids = [position_id(u, i) for u in range(2) for i in range(120)]
    ids += [child_id(row_id, k) for row_id in ids[::7] for k in range(12)]
    random.Random(0).shuffle(ids)
    rows = [{ROW_ID: row_id, "id": row_id} for row_id in ids]
    manifest = write({"default": rows}, tmp_path / "out", ordered=True, max_shard_rows=13)
    assert [row["id"] for row in read(tmp_path / "out")] == sorted(ids, key=sort_key)
    assert {file["rows"] for file in manifest["default"]["files"][:-1]} == {13}


def test_rows_without_an_id_come_last(tmp_path: Path) -> None:
    rows = [{"n": "none"}, {ROW_ID: "0-10", "n": "10"}, {ROW_ID: "0-9", "n": "9"}]
    write({"default": rows}, tmp_path / "out", ordered=True)
    assert [row["n"] for row in read(tmp_path / "out")] == ["9", "10", "none"]


def test_shards_that_follow_one_another_are_only_renamed(tmp_path: Path) -> None:
    by_hand = ByHand(tmp_path, bounds=Bounds(10**9, 10), ordered=True)
    rows = numbered(40)
    records = bundle(by_hand.stage(), rows[20:]) + bundle(by_hand.stage(), rows[:20])
    manifest = by_hand.publish(by_hand.finish(records))
    assert {f["sha256"] for f in manifest["default"]["files"]} == {r["sha256"] for r in records}
    assert [row["n"] for row in read(tmp_path)] == list(range(40))


def test_a_merge_of_many_runs_holds_few_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (shard_writer, shard_sink):
        monkeypatch.setattr(module, "ROW_GROUP_ROWS", 10)
    held: list[int] = []
    take = merge._Cursor.take
    reading: set[int] = set()

    def counting(cursor: Any, threshold: str) -> Any:
        found = list(take(cursor, threshold))
        (reading.add if cursor._rest is not None else reading.discard)(id(cursor))
        held.append(len(reading))
        return iter(found)

    monkeypatch.setattr(merge._Cursor, "take", counting)
    rows = numbered(10 * FAN_IN * 3)
    random.Random(3).shuffle(rows)
    by_hand = ByHand(tmp_path, bounds=Bounds(10**9, 100), ordered=True)
    records = bundle(by_hand.stage(), rows)
    assert len(chain_blocks(_blocks(records))) > FAN_IN
    by_hand.publish(by_hand.finish(records))
    assert [row["n"] for row in read(tmp_path)] == list(range(len(rows)))
    assert 1 < max(held) <= FAN_IN


def _blocks(records: Iterable[ShardRecord]) -> list[Block]:
    return [
        Block(group["first"], group["last"], record["path"], number, b"")
        for record in records
        for number, group in enumerate(record["groups"])
    ]


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 10)), max_size=40))
def test_chains_hold_every_block_and_as_few_as_overlap(spans: list[tuple[int, int]]) -> None:
    blocks = [
        Block(f"{low:03d}", f"{low + size:03d}", "file", n, b"")
        for n, (low, size) in enumerate(spans)
    ]
    chains = chain_blocks(blocks)
    assert sorted(block for chain in chains for block in chain) == sorted(blocks)
    for chain in chains:
        assert all(a.last <= b.first for a, b in zip(chain, chain[1:], strict=False))
    overlaps = [sum(b.first <= key < b.last for b in blocks) for key in (b.first for b in blocks)]
    points = sum(block.first == block.last for block in blocks)
    assert len(chains) <= max(overlaps, default=0) + points


def test_planning_keeps_order_and_bounds() -> None:
    def record(n: int, size: int) -> ShardRecord:
        return ShardRecord(
            subset="s", path=f"p{n}", schema=b"", rows=size, bytes=size, sha256="",
            groups=[], first_row=position_id(0, n),
        )  # fmt: skip

    sizes = [5, 5, 90, 5, 5, 5, 10, 4]
    records = [record(n, s) for n, s in enumerate(sizes)]
    parts, _ = plan(records, Bounds(100, 100), ordered=False)
    assert [[r["rows"] for r in part] for part in parts] == [[5, 5], [90], [5, 5, 5, 10, 4]]


# --- attempts that fail ---------------------------------------------------------------------------


def test_a_bundle_that_failed_and_was_retried_leaves_no_duplicate(tmp_path: Path) -> None:
    by_hand = ByHand(tmp_path, bounds=Bounds(10**9, 4))
    stage = by_hand.stage()
    rows = numbered(10)
    stage.start_bundle()
    for row in rows[:9]:  # two shards are written and one row is buffered, then the attempt fails
        stage.process(row)
    assert len(os.listdir(tmp_path / ".staging-test" / "default")) == 2
    retried = bundle(stage, rows)
    elsewhere = by_hand.stage()  # a zombie on another worker that never reports
    elsewhere.start_bundle()
    for row in rows:
        elsewhere.process(row)
    manifest = by_hand.publish(by_hand.finish(retried))
    assert manifest["default"]["rows"] == 10
    assert sorted(row["n"] for row in read(tmp_path)) == list(range(10))
    assert os.listdir(tmp_path) == ["default"]


def test_every_later_stage_can_be_repeated(tmp_path: Path) -> None:
    by_hand = ByHand(tmp_path, bounds=Bounds(10**9, 4), ordered=True)
    rows = numbered(10)[::-1]
    records = bundle(by_hand.stage(), rows)
    by_hand.finish(records)  # an attempt whose result was lost
    finished = by_hand.finish(records)
    first = by_hand.publish(finished)
    assert by_hand.publish(finished) == first  # the acknowledgement was lost
    assert [row["n"] for row in read(tmp_path)] == list(range(10))
    assert os.listdir(tmp_path) == ["default"]


@pytest.mark.parametrize("moves_done", [0, 1, 2, 3, 4])
def test_publishing_that_was_cut_off_is_completed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moves_done: int
) -> None:
    from fsspec.implementations.local import LocalFileSystem

    by_hand = ByHand(tmp_path, bounds=Bounds(10**9, 4))
    finished = by_hand.finish(bundle(by_hand.stage(), numbered(10)))
    move = LocalFileSystem.mv
    done: list[Any] = []

    def cut_off(self: Any, *args: Any, **options: Any) -> None:
        if len(done) == moves_done:
            raise OSError("killed")
        done.append(args)
        move(self, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(LocalFileSystem, "mv", cut_off)
        if moves_done < 4:
            with pytest.raises(OSError, match="killed"):
                by_hand.publish(finished)
            assert "default" not in os.listdir(tmp_path)  # nothing half done is visible
        else:
            by_hand.publish(finished)
    by_hand.publish(finished)
    assert sorted(row["n"] for row in read(tmp_path)) == list(range(10))


def test_files_that_hold_another_number_of_rows_are_an_error(tmp_path: Path) -> None:
    by_hand = ByHand(tmp_path)
    [record] = bundle(by_hand.stage(), numbered(10))
    pq.write_table(pa.table({"n": [1, 2, 3]}), record["path"])
    with pytest.raises(DistilabelError, match="has 3 rows by its footer, but 10 were written"):
        by_hand.finish([record])


def test_rows_that_a_rewrite_loses_are_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_hand = ByHand(tmp_path)
    records = bundle(by_hand.stage(), numbered(5)) + bundle(by_hand.stage(), numbered(5))
    lossy = "beam_distilabel.transforms.sinks.merge.read_tables"
    monkeypatch.setattr(lossy, lambda path: [pq.read_table(path).slice(1)])
    with pytest.raises(DistilabelError, match="got 10 rows, but its files hold 8"):
        by_hand.finish(records)


def test_staged_files_that_vanished_are_an_error(tmp_path: Path) -> None:
    by_hand = ByHand(tmp_path)
    finished = by_hand.finish(bundle(by_hand.stage(), numbered(3)))
    shutil.rmtree(by_hand.staging)
    with pytest.raises(DistilabelError, match="1 staged files of subset 'default' are gone"):
        by_hand.publish(finished)


@pytest.mark.parametrize("scheme", ["", "memory://"])
def test_what_a_failed_write_has_staged_can_be_removed(tmp_path: Path, scheme: str) -> None:
    path = f"{scheme}{tmp_path}/out"
    remove_staging(path)  # nothing was written yet
    writer = ShardWriter(f"{path}/.staging-killed/default", "default")
    writer.add({"n": 1})
    writer.close()
    filesystem, folder = fsspec.core.url_to_fs(path)
    filesystem.makedirs(f"{folder}/default", exist_ok=True)
    filesystem.pipe_file(f"{folder}/default/train-00000-of-00001.parquet", b"a result")
    remove_staging(path)
    assert [file.removeprefix(folder) for file in filesystem.find(folder)] == [
        "/default/train-00000-of-00001.parquet"
    ]


# --- folders that are in use ----------------------------------------------------------------------


def test_another_result_is_refused_unless_told_to_overwrite(tmp_path: Path) -> None:
    path = tmp_path / "out"
    write({"old": numbered(5), "default": numbered(5)}, path, max_shard_rows=2)
    (path / "notes.txt").write_text("mine")
    with pytest.raises(DistilabelUserError, match=r"already holds a result \(subsets default, old"):
        write({"default": numbered(1)}, path)
    shutil.rmtree(f"{path}.manifests")
    (path / ".staging-crashed").mkdir()
    write({"default": numbered(1)}, path, overwrite=True)
    assert sorted(os.listdir(path)) == ["default", "notes.txt"]
    assert read(path) == [{"n": 0}]


def test_a_result_on_an_object_store_is_replaced_as_a_whole(tmp_path: Path) -> None:
    url = f"memory://{uuid.uuid4().hex}/out"
    write({"default": numbered(5), "old": numbered(1)}, url, place=tmp_path / "a", max_shard_rows=2)
    write({"default": numbered(1)}, url, place=tmp_path / "b", overwrite=True)
    filesystem, folder = fsspec.core.url_to_fs(url)
    found = [file.removeprefix(folder) for file in filesystem.find(folder)]
    assert found == ["/default/train-00000-of-00001.parquet"]


def test_files_that_are_no_result_are_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "default").mkdir()
    (tmp_path / "default" / "thesis.tex").write_text("mine")
    with pytest.raises(DistilabelUserError, match="holds files that aren't a result's"):
        write({"default": numbered(1)}, tmp_path, overwrite=True)
    assert (tmp_path / "default" / "thesis.tex").read_text() == "mine"


def test_a_result_that_appeared_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    by_hand = ByHand(tmp_path)
    finished = by_hand.finish(bundle(by_hand.stage(), numbered(3)))
    (tmp_path / "default").mkdir()
    pq.write_table(pa.table({"theirs": [1]}), tmp_path / "default" / "train-00000-of-00009.parquet")
    with pytest.raises(DistilabelUserError, match="written by someone else in the meantime"):
        by_hand.publish(finished)
    assert read(tmp_path) == [{"theirs": 1}]


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(DistilabelUserError, match="is a file; name a folder"):
        write({"default": numbered(1)}, tmp_path / "out")


@pytest.mark.parametrize("name", ["", "a/b", "..", ".staging-x", 'a"b'])
def test_names_that_no_folder_can_have_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DistilabelUserError, match="can't be a subset's name"):
        write({name: numbered(1)}, tmp_path / "out")


def test_arguments_are_checked(tmp_path: Path) -> None:
    with pytest.raises(DistilabelUserError, match="max_shard_rows must be at least 1, got 0"):
        WriteDistiset(str(tmp_path), max_shard_rows=0)
    with pytest.raises(DistilabelUserError, match="there is no subset to write"):
        WriteDistiset(str(tmp_path)).expand({})
    with pytest.raises(DistilabelUserError, match="'default' are unbounded"):
        p = beam.Pipeline(runner=FnApiRunner())
        rows = p | beam.Create([{}])
        rows.is_bounded = False
        rows | WriteDistiset(str(tmp_path))


def test_publishing_nothing_is_fine(tmp_path: Path) -> None:
    make_final(str(tmp_path), str(tmp_path / ".staging-x"), {"default": {}})
    assert os.listdir(tmp_path) == []
