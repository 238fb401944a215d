"""Streams in tests: what comes when, run in this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.test_stream import TestStream
from apache_beam.transforms.window import FixedWindows, TimestampedValue

from tests.fakes import journal, new_name

SIZE = 10
"""Seconds of a window."""

Event = tuple[float, Any] | float
"""A timestamp and an element; or how far the watermark goes."""


def stream_of(events: Sequence[Event]) -> TestStream:
    """Elements one by one, and the watermark in between."""
    stream = TestStream().advance_watermark_to(0)
    for event in events:
        if isinstance(event, tuple):
            stream = stream.add_elements([TimestampedValue(event[1], event[0])])
        else:
            stream = stream.advance_watermark_to(event)
    return stream.advance_watermark_to_infinity()


def windowed(lateness: float = 1_000, **options: Any) -> beam.WindowInto:
    return beam.WindowInto(FixedWindows(SIZE), allowed_lateness=lateness, **options)


def run_stream(events: Sequence[Event], apply: Callable[[Any], Any]) -> None:
    """Run what `apply` makes of the stream's elements."""
    with beam.Pipeline(runner="DirectRunner", options=PipelineOptions([], streaming=True)) as p:
        apply(p | stream_of(events))


class Seen(beam.PTransform):
    """Notes (window's start, timestamp, element) in `events`."""

    def __init__(self) -> None:
        super().__init__()
        self.name = new_name()

    @property
    def events(self) -> list[tuple[float, float, Any]]:
        return sorted(journal(self.name).events, key=repr)

    def default_label(self) -> str:
        return f"Seen {self.name}"

    def expand(self, pcoll: Any) -> Any:
        return pcoll | beam.ParDo(_Note(self.name))


class _Note(beam.DoFn):
    def __init__(self, name: str) -> None:
        self._name = name

    def process(
        self,
        element: Any,
        timestamp: Any = beam.DoFn.TimestampParam,
        window: Any = beam.DoFn.WindowParam,
    ) -> None:
        journal(self._name).add((float(window.start), float(timestamp), element))
