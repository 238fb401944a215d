"""A run of several jobs on Flink: rows, joins and failures cross from one job to the next."""

from __future__ import annotations

from pathlib import Path

import pytest

from beam_distilabel.pipeline import Pipeline, sample_n_steps
from beam_distilabel.runners.flink_cluster.job_server import FlinkJobServer
from beam_distilabel.steps import LoadDataFromDicts
from tests.pipeline.fakes import Add, Fails, Merge, Times
from tests.pipeline.running import failures_of, rows_of

pytestmark = pytest.mark.flink


def test_two_jobs_give_what_one_gives(flink: FlinkJobServer, tmp_path: Path) -> None:
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(name="load", data=[{"x": x} for x in range(300)])
        a, two = Add(name="a"), Times(name="two", times=2)
        b, c = Add(name="b", column="b"), Add(name="c", column="c")
        fails, merge = Fails(name="fails", values=[3]), Merge(name="merge")
        load >> [a, two]
        a >> sample_n_steps(1) >> [b, c]
        [b, c, two] >> merge >> fails
    local = pipeline.run(output_dir=tmp_path / "local", logging_handlers=[])
    handle = pipeline.submit(
        output_dir=tmp_path / "flink",
        logging_handlers=[],
        options=flink.options(),
        load_groups=[["merge", "fails"]],
    )
    rows = rows_of(handle.distiset())
    assert handle.report["jobs"] == [["load", "a", "two", "b", "c"], ["merge", "fails"]]
    assert sorted(map(repr, rows)) == sorted(map(repr, rows_of(local)))
    assert len(rows) == 600
    found, expected = (failures_of(tmp_path / name) for name in ("flink", "local"))
    assert sorted(f["row"]["k"] for f in found) == sorted(f["row"]["k"] for f in expected) == [0, 1]
