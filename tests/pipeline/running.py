"""Running pipelines in tests, and reading what they leave."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from beam_distilabel.row import Row

METADATA = "distilabel_metadata"


def rows_of(distiset: Any, subset: str = "default") -> list[Row]:
    """The rows of a subset, without metadata."""
    return [
        {name: value for name, value in row.items() if name != METADATA}
        for row in distiset[subset]["train"].to_list()
    ]


def columns(rows: Iterable[Row], *names: str) -> list[tuple[Any, ...]]:
    """The values of some columns, row by row."""
    return [tuple(row.get(name) for name in names) for row in rows]


def failures_of(run_dir: Path) -> list[Row]:
    """The failure records of a run."""
    return [
        row
        for file in sorted((run_dir / "failures").glob("*.parquet"))
        for row in pq.read_table(file).to_pylist()
    ]
