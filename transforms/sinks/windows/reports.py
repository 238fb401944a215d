"""Rows to staged shards, apart for every window, with the sums of their contents."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Iterator
from typing import Any, TypedDict

import apache_beam as beam
import pyarrow as pa
from apache_beam.utils.windowed_value import WindowedValue

from beam_distilabel.row import RESERVED, Row, canonical_json
from beam_distilabel.transforms.sinks.merge import Bounds
from beam_distilabel.transforms.sinks.shard_writer import ShardWriter
from beam_distilabel.transforms.sinks.shards import ShardRecord, read_schema
from beam_distilabel.transforms.sinks.windows.ledger import Sums


class Report(TypedDict):
    """What a bundle has staged of one window of a subset."""

    subset: str
    records: list[ShardRecord]
    content: Sums


class _Open:
    """The shards of one window that a bundle writes."""

    def __init__(self, writer: ShardWriter) -> None:
        self.writer = writer
        self.rows = 0
        self.digest = 0


class StageWindows(beam.DoFn):
    """Rows to staged shards per window; gives one report per window at the end of the bundle."""

    def __init__(
        self,
        staging: str,
        subset: str,
        bounds: Bounds,
        ordered: bool,
        keep_row_ids: bool,
        declared: bytes | None,
    ) -> None:
        self._staging = staging
        self._subset = subset
        self._bounds = bounds
        self._ordered = ordered
        self._keep_row_ids = keep_row_ids
        self._declared = declared
        self._drop = () if keep_row_ids else tuple(RESERVED)

    def start_bundle(self) -> None:
        # What an attempt that failed has left in this instance is forgotten.
        self._open: dict[Any, _Open] = {}

    def process(self, row: Row, window: Any = beam.DoFn.WindowParam) -> None:
        opened = self._open.get(window)
        if opened is None:
            opened = self._open[window] = _Open(self._writer())
        opened.writer.add(row)
        opened.rows += 1
        opened.digest += row_digest(row, self._drop)

    def finish_bundle(self) -> Iterator[WindowedValue]:
        done, self._open = self._open, {}
        for window, opened in done.items():
            report = Report(
                subset=self._subset,
                records=opened.writer.close(),
                content=Sums(rows=opened.rows, digest=f"{opened.digest % (1 << 128):x}"),
            )
            yield WindowedValue((None, report), window.max_timestamp(), (window,))

    def _writer(self) -> ShardWriter:
        declared: pa.Schema | None = None
        if self._declared is not None:
            declared = read_schema(self._declared)
        return ShardWriter(
            posixpath.join(self._staging, self._subset),
            self._subset,
            max_shard_bytes=self._bounds.bytes,
            max_shard_rows=self._bounds.rows,
            ordered=self._ordered,
            keep_row_ids=self._keep_row_ids,
            declared=declared,
        )


def row_digest(row: Row, drop: tuple[str, ...] = ()) -> int:
    """A number that rows of equal content have in common, and others don't."""
    if any(name in row for name in drop):
        row = {name: value for name, value in row.items() if name not in drop}
    return int.from_bytes(hashlib.blake2b(canonical_json(row), digest_size=16).digest(), "big")
