"""Rows that one job of a run leaves for the next: written, listed, and read in parallel.

A stream is what goes along an edge of the graph, or what a Step sends to all of its successors. Its
files are Parquet with one column of encoded rows, in small row groups, which are what is read
apart. A file counts only if the job's list names it: what a bundle that failed left is never read.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypedDict

import apache_beam as beam
import pyarrow as pa
from apache_beam.transforms.combiners import ToListCombineFn
from apache_beam.transforms.window import GlobalWindow, GlobalWindows
from apache_beam.utils.windowed_value import WindowedValue

from beam_distilabel.errors import DistilabelTypeError, DistilabelUserError
from beam_distilabel.failures import Failure
from beam_distilabel.filesystems import open_file, write_file
from beam_distilabel.layout import open_parquet
from beam_distilabel.pipeline.stage_rows import decode, encode
from beam_distilabel.row import ROW_ID
from beam_distilabel.transforms.sinks.shards import ShardFile, new_path

LIST_FILE = "files.json"

GROUP_ROWS = 128
"""Rows of a row group: what one worker takes at a time, at least."""

GROUP_BYTES = 8 * 2**20
"""Bytes of encoded rows that are held in memory before they are written."""

FILE_BYTES = 256 * 2**20
MAX_UNITS = 4_000

_SCHEMA = pa.schema([pa.field("row", pa.large_binary())])


class StageFile(TypedDict):
    """One file of a stream."""

    stream: str
    path: str
    rows: int
    groups: int


def write_streams(streams: Mapping[str, Any], folder: str) -> None:
    """Write PCollections of rows, or of Failures, and at the end the list of their files.

    Args:
        streams: by name.
        folder: for the files and the list; a retried bundle leaves files that aren't listed.
    """
    listed = []
    for name, rows in streams.items():
        if not rows.is_bounded or not isinstance(rows.windowing.windowfn, GlobalWindows):
            raise DistilabelUserError(
                f"{name}: rows that are unbounded or windowed can't go from one job of a run to "
                "the next; run without `load_groups`, and with models that fit together."
            )
        listed.append(rows | f"Write {name}" >> beam.ParDo(_Write(name, folder)))
    _ = (
        tuple(listed)
        | "All files" >> beam.Flatten()
        | "List files" >> beam.CombineGlobally(ToListCombineFn())
        | "Write list" >> beam.Map(_write_list, f"{folder}/{LIST_FILE}")
    )


def listed_files(folder: str) -> dict[str, list[StageFile]]:
    """Stream to its files, once the job that wrote `folder` has ended."""
    streams: dict[str, list[StageFile]] = {}
    with open_file(f"{folder}/{LIST_FILE}", "r") as file:
        for entry in json.load(file):
            streams.setdefault(entry["stream"], []).append(entry)
    return streams


def read_stream(pipeline: Any, name: str, files: Sequence[StageFile]) -> Any:
    """The rows of a stream, or its Failures.

    Args:
        pipeline: the Beam pipeline.
        name: for the label.
        files: of `listed_files`.
    """
    return (
        pipeline
        | f"Parts of {name}" >> beam.Create(units(files), reshuffle=False)
        | f"Spread {name}" >> beam.Reshuffle()
        | f"Read {name}" >> beam.ParDo(_Read())
    )


Unit = tuple[str, int, int]
"""A file, the first of the row groups to read, and the one after the last."""


def units(files: Iterable[StageFile]) -> list[Unit]:
    """What is read apart: row groups, several where there are very many.

    Example:
        >>> units([StageFile(stream="s", path="f", rows=300, groups=3)])
        [('f', 0, 1), ('f', 1, 2), ('f', 2, 3)]
    """
    files = list(files)
    together = -(-sum(file["groups"] for file in files) // MAX_UNITS) or 1
    return [
        (file["path"], start, min(start + together, file["groups"]))
        for file in sorted(files, key=lambda file: file["path"])
        for start in range(0, file["groups"], together)
    ]


def _write_list(files: list[StageFile], path: str) -> None:
    write_file(path, json.dumps(files))


class _Write(beam.DoFn):
    """Rows to files; gives one `StageFile` per file at the end of the bundle."""

    def __init__(self, stream: str, folder: str) -> None:
        self._stream = stream
        self._folder = folder

    def start_bundle(self) -> None:
        self._values: list[bytes] = []
        self._bytes = 0
        self._groups = 0
        self._file: ShardFile | None = None
        self._done: list[StageFile] = []

    def process(self, row: Any) -> None:
        value = encode_element(row, self._stream)
        self._values.append(value)
        self._bytes += len(value)
        if len(self._values) >= GROUP_ROWS or self._bytes >= GROUP_BYTES:
            self._flush()

    def finish_bundle(self) -> Iterator[WindowedValue]:
        self._flush()
        self._close()
        window = GlobalWindow()
        for file in self._done:
            yield WindowedValue(file, window.max_timestamp(), (window,))

    def _flush(self) -> None:
        if not self._values:
            return
        if self._file is None:
            self._file = ShardFile(new_path(f"{self._folder}/{self._stream}"), _SCHEMA)
        self._file.write(pa.table({"row": self._values}, schema=_SCHEMA))
        self._groups += 1
        self._values, self._bytes = [], 0
        if self._file.bytes >= FILE_BYTES:
            self._close()

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()
            self._done.append(
                StageFile(stream=self._stream, path=file.path, rows=file.rows, groups=self._groups)
            )
            self._groups = 0


class _Read(beam.DoFn):
    """Row groups to rows, one group in memory at a time."""

    def process(self, unit: Unit) -> Iterator[Any]:
        path, start, stop = unit
        with open_parquet(path) as file:
            for group in range(start, stop):
                for value in file.read_row_group(group).column(0):
                    yield decode_element(value.as_py())


_FAILURE_FIELDS = tuple(field.name for field in dataclasses.fields(Failure))


def encode_element(element: Any, stream: str) -> bytes:
    """A row or a Failure as bytes.

    Raises:
        DistilabelTypeError: a value can't be written; names the column.
    """
    if isinstance(element, Failure):
        return encode(tuple(getattr(element, name) for name in _FAILURE_FIELDS))
    try:
        return encode(element)
    except DistilabelTypeError as error:
        for name, value in element.items():
            try:
                encode(value)
            except DistilabelTypeError:
                raise DistilabelTypeError(
                    f"{stream}: column {name!r} of the row {element.get(ROW_ID)!r}: {error}."
                ) from None
        raise


def decode_element(data: bytes) -> Any:
    """The row or Failure that `encode_element` made `data` of."""
    element = decode(data)
    return Failure(*element) if isinstance(element, tuple) else element
