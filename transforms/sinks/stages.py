"""The stages of `WriteDistiset`: stage shards, plan, finish, publish.

Each can be repeated, by a runner that retries, without leaving duplicates.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Iterator
from typing import TypedDict

import apache_beam as beam
import pyarrow as pa
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from beam_distilabel.errors import DistilabelError
from beam_distilabel.layout import count_rows, shard_name
from beam_distilabel.row import Row
from beam_distilabel.schema import storage_schema
from beam_distilabel.transforms.sinks.manifest import Manifest, WrittenFile, WrittenSubset
from beam_distilabel.transforms.sinks.merge import (
    Bounds,
    follow_one_another,
    join,
    merge,
    plan,
    unify_shards,
)
from beam_distilabel.transforms.sinks.publish import publish
from beam_distilabel.transforms.sinks.shard_writer import ShardWriter
from beam_distilabel.transforms.sinks.shards import ShardRecord, read_schema

SPLIT = "train"
"""The split that rows are written to."""


class StageShards(beam.DoFn):
    """Rows to staged shards; gives one (subset, record) per shard at the end of the bundle."""

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
        self._writer: ShardWriter | None = None
        self._add: Callable[[Row], None] = _no_bundle

    def start_bundle(self) -> None:
        # A new writer also forgets what an attempt that failed has left in this instance.
        self._writer = ShardWriter(
            posixpath.join(self._staging, self._subset),
            self._subset,
            max_shard_bytes=self._bounds.bytes,
            max_shard_rows=self._bounds.rows,
            ordered=self._ordered,
            keep_row_ids=self._keep_row_ids,
            declared=_schema(self._declared),
        )
        self._add = self._writer.add

    def process(self, row: Row) -> None:
        self._add(row)

    def finish_bundle(self) -> Iterator[WindowedValue]:
        assert self._writer is not None
        records, self._writer, self._add = self._writer.close(), None, _no_bundle
        window = GlobalWindow()
        for record in records:
            yield WindowedValue((self._subset, record), window.max_timestamp(), (window,))


def _no_bundle(row: Row) -> None:
    raise RuntimeError("a row came outside of a bundle")


class _Task(TypedDict):
    """Staged shards that become final ones together: kept, joined, or merged."""

    subset: str
    index: int
    records: list[ShardRecord]
    schema: bytes


class _Finished(TypedDict):
    """What became of a `_Task`; a subset without any file has none."""

    subset: str
    index: int
    files: list[WrittenFile]
    rows: int
    schema: dict[str, str]


class Plan(beam.DoFn):
    """Unify the schemas of a subset's shards and say what each has to become."""

    def __init__(self, bounds: Bounds, ordered: bool, declared: dict[str, bytes]) -> None:
        self._bounds = bounds
        self._ordered = ordered
        self._declared = declared

    def process(self, shards: tuple[str, Iterable[ShardRecord | None]]) -> Iterator[_Task]:
        subset, reported = shards
        records = sorted(
            (record for record in reported if record is not None), key=lambda r: r["path"]
        )
        declared = _schema(self._declared.get(subset))
        schema = unify_shards(subset, records, declared)
        # Without rows there is still a valid file to write, if there are columns.
        parts = plan(records, self._bounds, ordered=self._ordered) if records else [[]]
        for index, part in enumerate(parts):
            message = schema.serialize().to_pybytes()
            yield _Task(subset=subset, index=index, records=part, schema=message)


class Finish(beam.DoFn):
    """Make shards final in all but their name, and count their rows in the footers."""

    def __init__(self, staging: str, bounds: Bounds) -> None:
        self._staging = staging
        self._bounds = bounds

    def process(self, task: _Task) -> Iterator[tuple[None, _Finished]]:
        schema = read_schema(task["schema"])
        records = task["records"]
        rows = sum(record["rows"] for record in records)
        files: list[WrittenFile] = []
        if records or schema.names:
            files = self._files(task, schema)
        footers = 0
        for file in files:
            found = count_rows(file["path"])
            if found != file["rows"]:
                raise DistilabelError(
                    f"WriteDistiset: {file['path']} has {found} rows by its footer, but "
                    f"{file['rows']} were written; the filesystem lost or changed data."
                )
            footers += found
        if footers != rows:
            raise DistilabelError(
                f"WriteDistiset: subset {task['subset']!r} got {rows} rows, but its files hold "
                f"{footers}. Nothing was published; please report this."
            )
        types = {field.name: str(field.type) for field in storage_schema(schema)}
        finished = _Finished(
            subset=task["subset"], index=task["index"], files=files, rows=rows, schema=types
        )
        yield None, finished

    def _files(self, task: _Task, schema: pa.Schema) -> list[WrittenFile]:
        records = task["records"]
        folder = posixpath.join(self._staging, task["subset"])
        in_order = follow_one_another(records)
        if len(records) == 1 and in_order:
            if read_schema(records[0]["schema"]).equals(schema, check_metadata=True):
                return [_written(records[0])]
        write = join if in_order else merge
        shards = write(records, schema, folder, self._bounds)
        return [_written(shard.record(task["subset"])) for shard in shards]


def _written(record: ShardRecord) -> WrittenFile:
    return WrittenFile(
        path=record["path"], rows=record["rows"], bytes=record["bytes"], sha256=record["sha256"]
    )


class Publish(beam.DoFn):
    """Give all files their names, at once as far as the filesystem can, and clear the staging."""

    def __init__(self, path: str, staging: str, subsets: list[str], overwrite: bool) -> None:
        self._path = path
        self._staging = staging
        self._subsets = subsets
        self._overwrite = overwrite

    def process(self, finished: tuple[None, Iterable[_Finished]]) -> Iterator[Manifest]:
        tasks = sorted(finished[1], key=lambda task: (task["subset"], task["index"]))
        manifest: Manifest = {
            name: WrittenSubset(rows=0, files=[], schema={}) for name in self._subsets
        }
        moves: dict[str, dict[str, str]] = {name: {} for name in self._subsets}
        for name in self._subsets:
            mine = [task for task in tasks if task["subset"] == name]
            files = [file for task in mine for file in task["files"]]
            for index, file in enumerate(files):
                final = posixpath.join(name, shard_name(SPLIT, index, len(files)))
                moves[name][file["path"]] = final
                manifest[name]["files"].append(WrittenFile(**{**file, "path": final}))
            manifest[name]["rows"] = sum(task["rows"] for task in mine)
            manifest[name]["schema"] = mine[0]["schema"] if mine else {}
        publish(self._path, self._staging, moves, overwrite=self._overwrite)
        yield manifest


def _schema(message: bytes | None) -> pa.Schema | None:
    return None if message is None else read_schema(message)
