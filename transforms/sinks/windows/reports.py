"""Rows to staged shards, apart for every window, with the sums of their contents."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any, TypedDict

import apache_beam as beam
from apache_beam.utils.windowed_value import WindowedValue

from beam_distilabel.row import RESERVED, Row, canonical_json
from beam_distilabel.transforms.sinks.shard_writer import ShardWriter
from beam_distilabel.transforms.sinks.shards import ShardRecord
from beam_distilabel.transforms.sinks.stages import StagesRows
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


class StageWindows(StagesRows):
    """Rows to staged shards per window; gives one report per window at the end of the bundle."""

    def start_bundle(self) -> None:
        # What an attempt that failed has left in this instance is forgotten.
        self._open: dict[Any, _Open] = {}

    def process(self, row: Row, window: Any = beam.DoFn.WindowParam) -> None:
        opened = self._open.get(window)
        if opened is None:
            opened = self._open[window] = _Open(self._new_writer())
        opened.writer.add(row)
        opened.rows += 1
        opened.digest += row_digest(row, () if self._keep_row_ids else RESERVED)

    def finish_bundle(self) -> Iterator[WindowedValue]:
        done, self._open = self._open, {}
        for window, opened in done.items():
            report = Report(
                subset=self._subset,
                records=opened.writer.close(),
                content=Sums(rows=opened.rows, digest=f"{opened.digest % (1 << 128):x}"),
            )
            yield WindowedValue((None, report), window.max_timestamp(), (window,))


def row_digest(row: Row, drop: Iterable[str] = ()) -> int:
    """A number that rows of equal content have in common, and others don't."""
    if any(name in row for name in drop):
        row = {name: value for name, value in row.items() if name not in drop}
    return int.from_bytes(hashlib.blake2b(canonical_json(row), digest_size=16).digest(), "big")
