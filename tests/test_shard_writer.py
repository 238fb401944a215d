"""What bounds a writer: the memory of its rows, as it is estimated, and the disk."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_distilabel.transforms.sinks import shard_writer
from beam_distilabel.transforms.sinks.shard_writer import ShardWriter, memory_of
from beam_distilabel.transforms.sinks.shards import ShardFile


def _size(value: Any) -> int:
    """What Python says, each object counted."""
    size = sys.getsizeof(value)
    if isinstance(value, dict):
        return size + sum(_size(item) for item in value.values())
    if isinstance(value, (list, tuple)):
        return size + sum(_size(item) for item in value)
    return size


@pytest.mark.parametrize(
    "row",
    [
        {"a": "x" * 1000, "b": 1, "c": 0.5, "d": None, "e": True},
        {"vector": [0.5] * 1024},
        {"tokens": list(range(5000))},
        {"image": {"bytes": b"x" * 100_000, "path": None}},
        {"messages": [{"role": "user", "content": "x" * 300}] * 20},
        {"parts": ("a", "b", ("c", 1))},
    ],
)
def test_the_estimate_is_near(row: dict[str, Any]) -> None:
    assert 0.5 * _size(row) < memory_of(row) < 2 * _size(row)


def test_objects_that_know_their_size() -> None:
    array = pa.array(range(10_000))
    assert memory_of({"a": array}) >= array.nbytes


def test_large_rows_make_small_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard_writer, "ROW_GROUP_BYTES", 100_000)
    writer = ShardWriter(str(tmp_path), "default")
    sizes = [1, 1, 300_000, 1, 60_000, 60_000, 1]
    for size in sizes:
        writer.add({"text": "x" * size, "number": size})
    [record] = writer.close()
    metadata = pq.read_metadata(record["path"])
    groups = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
    assert groups == [3, 3, 1]
    assert pq.read_table(record["path"])["number"].to_pylist() == sizes


def test_an_error_of_the_disk_names_the_file() -> None:
    schema = pa.schema([("a", pa.string())])
    with pytest.raises(OSError, match="No space left on device: '/dev/full'"):
        shard = ShardFile("/dev/full", schema)
        shard.write(pa.table({"a": ["x" * 1_000_000]}, schema))
        shard.close()
