"""The stages of `WriteDistiset`: stage shards, plan, finish, make final.

Each can be repeated, by a runner that retries, without leaving duplicates.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypedDict

import apache_beam as beam
import pyarrow as pa
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from beam_distilabel.card import cut
from beam_distilabel.errors import DistilabelError
from beam_distilabel.layout import first_row, read_footer, shard_name
from beam_distilabel.manifest import Manifest, WrittenFile, WrittenSubset, schema_text
from beam_distilabel.row import Row
from beam_distilabel.schema import storage_schema, to_json
from beam_distilabel.transforms.sinks.merge import (
    Bounds,
    follow_one_another,
    join,
    merge,
    plan,
    unify_shards,
)
from beam_distilabel.transforms.sinks.result_folder import make_final
from beam_distilabel.transforms.sinks.shard_writer import ShardWriter
from beam_distilabel.transforms.sinks.shards import ShardRecord, read_schema

SPLIT = "train"
"""The split that rows are written to, unless another is asked for."""


class StagesRows(beam.DoFn):
    """What writes rows to staged shards.

    Args:
        staging: the folder for staged shards.
        subset: the rows' subset.
        bounds: of a shard.
        ordered: whether rows are sorted, and their sort keys kept.
        keep_row_ids: whether the reserved columns are written.
        declared: the subset's known columns, as an Arrow message.
    """

    def __init__(
        self,
        staging: str,
        subset: str,
        bounds: Bounds,
        ordered: bool,
        keep_row_ids: bool,
        declared: bytes | None,
    ) -> None:
        self._subset = subset
        self._folder = posixpath.join(staging, subset)
        self._bounds = bounds
        self._ordered = ordered
        self._keep_row_ids = keep_row_ids
        self._declared = declared

    def _new_writer(self) -> ShardWriter:
        return ShardWriter(
            self._folder,
            self._subset,
            max_shard_bytes=self._bounds.bytes,
            max_shard_rows=self._bounds.rows,
            ordered=self._ordered,
            keep_row_ids=self._keep_row_ids,
            declared=_schema(self._declared),
        )


class StageShards(StagesRows):
    """Rows to staged shards; gives one (subset, record) per shard at the end of the bundle."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._writer: ShardWriter | None = None
        self._add: Callable[[Row], None] = _no_bundle

    def start_bundle(self) -> None:
        # A new writer also forgets what an attempt that failed has left in this instance.
        self._writer = self._new_writer()
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


class Task(TypedDict):
    """Staged shards that become final ones together: kept, joined, or merged."""

    subset: str
    index: int
    records: list[ShardRecord]
    schema: bytes
    bounds: Bounds


class Finished(TypedDict):
    """What became of a `Task`; a subset without any file has none."""

    subset: str
    index: int
    files: list[WrittenFile]
    rows: int
    schema: bytes
    sample: dict[str, Any] | None


class Plan(beam.DoFn):
    """Unify the schemas of a subset's shards and say what each has to become.

    Args:
        bounds: of a shard, unless `most_files` asks for larger ones.
        ordered: whether rows are written in order.
        declared: known columns by subset.
        most_files: how many final shards a subset may have, if that is limited.
    """

    def __init__(
        self, bounds: Bounds, ordered: bool, declared: dict[str, bytes], most_files: int | None
    ) -> None:
        self._bounds = bounds
        self._ordered = ordered
        self._declared = declared
        self._most_files = most_files

    def process(self, shards: tuple[str, Iterable[ShardRecord | None]]) -> Iterator[Task]:
        subset, reported = shards
        records = sorted(
            (record for record in reported if record is not None), key=lambda r: r["path"]
        )
        schema = unify_shards(subset, records, _schema(self._declared.get(subset)))
        message = schema.serialize().to_pybytes()
        parts, bounds = plan(records, self._bounds, ordered=self._ordered, most=self._most_files)
        # Without rows there is still a valid file to write, if there are columns.
        for index, part in enumerate(parts or [[]]):
            yield Task(subset=subset, index=index, records=part, schema=message, bounds=bounds)


class Finish(beam.DoFn):
    """Make shards final in all but their name, and count their rows in the footers."""

    def __init__(self, staging: str) -> None:
        self._staging = staging

    def process(self, task: Task) -> Iterator[Finished]:
        schema = read_schema(task["schema"])
        records = task["records"]
        rows = sum(record["rows"] for record in records)
        files: list[WrittenFile] = []
        if records or schema.names:
            files = self._files(task, schema)
        footers = 0
        for file in files:
            found, file["data_bytes"] = read_footer(file["path"])
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
        first = first_row([file["path"] for file in files]) if task["index"] == 0 else None
        yield Finished(
            subset=task["subset"],
            index=task["index"],
            files=files,
            rows=rows,
            schema=storage_schema(schema).serialize().to_pybytes() if files else b"",
            sample=None if first is None else json.loads(to_json(cut(first)) or "null"),
        )

    def _folder(self, task: Task) -> str:
        return posixpath.join(self._staging, task["subset"])

    def _files(self, task: Task, schema: pa.Schema) -> list[WrittenFile]:
        records = task["records"]
        folder = self._folder(task)
        in_order = follow_one_another(records)
        if len(records) == 1 and in_order:
            if read_schema(records[0]["schema"]).equals(schema, check_metadata=True):
                return [_written(records[0])]
        write = join if in_order else merge
        shards = write(records, schema, folder, task["bounds"])
        return [_written(shard.record(task["subset"])) for shard in shards]


def _written(record: ShardRecord) -> WrittenFile:
    return WrittenFile(
        path=record["path"],
        rows=record["rows"],
        bytes=record["bytes"],
        data_bytes=0,  # the footer tells
        sha256=record["sha256"],
    )


class MakeFinal(beam.DoFn):
    """Give all files their names, at once as far as the filesystem can, and clear the staging."""

    def __init__(
        self, path: str, staging: str, subsets: list[str], split: str, overwrite: bool
    ) -> None:
        self._path = path
        self._staging = staging
        self._subsets = subsets
        self._split = split
        self._overwrite = overwrite

    def process(self, finished: tuple[None, Iterable[Finished]]) -> Iterator[Manifest]:
        tasks = sorted(finished[1], key=lambda task: (task["subset"], task["index"]))
        manifest: Manifest = {}
        moves: dict[str, dict[str, str]] = {}
        for name in self._subsets:
            mine = [task for task in tasks if task["subset"] == name]
            moves[name] = {}
            manifest[name] = manifest_of(mine)
            files = [file for task in mine for file in task["files"]]
            for index, file in enumerate(files):
                final = posixpath.join(name, shard_name(self._split, index, len(files)))
                moves[name][file["path"]] = final
                manifest[name]["files"].append(WrittenFile(**{**file, "path": final}))
        make_final(self._path, self._staging, moves, overwrite=self._overwrite)
        yield manifest


def manifest_of(tasks: Sequence[Finished]) -> WrittenSubset:
    """A subset's entry in the manifest, without its files."""
    known = next((task["schema"] for task in tasks if task["schema"]), b"")
    schema = read_schema(known) if known else pa.schema([])
    return WrittenSubset(
        rows=sum(task["rows"] for task in tasks),
        files=[],
        schema={field.name: str(field.type) for field in schema},
        arrow_schema=schema_text(schema) if known else "",
        sample=next((task["sample"] for task in tasks if task["sample"] is not None), None),
    )


def _schema(message: bytes | None) -> pa.Schema | None:
    return None if message is None else read_schema(message)
