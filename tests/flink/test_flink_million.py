"""A whole run on Flink, with its checkpoint: the rows arrive, and the workers keep none of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from beam_distilabel.runners.flink_cluster.job_server import FlinkJobServer
from tests.flink.data import make_input
from tests.flink.million import answered, check
from tests.flink.usage import watch_workers

pytestmark = pytest.mark.flink

ROWS = 20_000


def test_a_run_of_many_rows(flink: FlinkJobServer, tmp_path: Path) -> None:
    expected = make_input(tmp_path / "input", ROWS)
    with watch_workers(flink) as watch:
        answered(tmp_path / "input").run(
            output_dir=tmp_path / "run", logging_handlers=[], options=flink.options()
        )
    print(f"workers' peaks: {[size >> 20 for size in watch.peaks()]} MiB")
    check(tmp_path / "run", expected)
