"""A million rows from Parquet through KeepColumns to Parquet on embedded Flink."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from beam_distilabel.runners.flink_cluster.job_server import FlinkJobServer
from beam_distilabel.steps import KeepColumns, LoadDataFromFileSystem
from beam_distilabel.transforms.sinks.write_distiset import WriteDistiset
from tests.flink.data import COLUMNS, checked, make_input
from tests.flink.usage import watch_workers

ROWS = 1_000_000
SECONDS = 300.0

# Seen: 300 MiB, or 350 where Flink gives both parts of the rows to one worker; 180 are Python's and
# those of imports. Workers that kept their rows had 1,100. How the memory grows within the run is
# printed only: on a busy machine imports take until its middle.
PEAK_BYTES = 450 * 2**20


def test_a_million_rows_with_flat_memory(flink: FlinkJobServer, tmp_path: Path) -> None:
    expected = make_input(tmp_path / "input", ROWS)
    pipeline = flink.pipeline()
    rows = (
        pipeline
        | LoadDataFromFileSystem(data_files=str(tmp_path / "input"))
        | KeepColumns(columns=COLUMNS)
    )
    _ = {"default": rows} | WriteDistiset(str(tmp_path / "result"))
    with watch_workers(flink) as watch:
        flink.run(pipeline, SECONDS)
    print(f"workers' peaks: {[size >> 20 for size in watch.peaks()]} MiB")
    print(f"workers' growth: {[round(ratio, 3) for ratio in watch.growths()]}")

    assert expected.rows == ROWS
    assert checked(tmp_path / "result") == expected

    shards = sorted((tmp_path / "result" / "default").iterdir())
    names = [f"train-{i:05d}-of-{len(shards):05d}.parquet" for i in range(len(shards))]
    assert [shard.name for shard in shards] == names
    assert all(pq.read_metadata(shard).num_rows for shard in shards)
    # No staging folder is left, neither in the result nor beside it.
    assert {path.name for path in tmp_path.iterdir()} == {"input", "result"}
    hidden = [path for path in (tmp_path / "result").rglob("*") if path.name.startswith((".", "_"))]
    assert not hidden

    assert max(watch.peaks()) < PEAK_BYTES
