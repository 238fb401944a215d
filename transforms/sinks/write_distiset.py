"""Write subsets of rows as a Distiset: a folder of Parquet shards per subset, one schema each."""

from __future__ import annotations

import logging
import posixpath
import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypedDict

import apache_beam as beam
import fsspec
import pyarrow as pa
from apache_beam.pvalue import PCollection
from apache_beam.transforms.window import GlobalWindow, GlobalWindows
from apache_beam.utils.windowed_value import WindowedValue
from fsspec.implementations.local import LocalFileSystem

from beam_distilabel.errors import DistilabelError, DistilabelUserError
from beam_distilabel.layout import count_rows, shard_name, subset_names
from beam_distilabel.row import Row
from beam_distilabel.schema import json_paths, storage_schema, unify_schemas
from beam_distilabel.transforms.sinks.merge import (
    Bounds,
    follow_one_another,
    join,
    merge,
    plan,
)
from beam_distilabel.transforms.sinks.shards import (
    ShardFile,
    ShardRecord,
    ShardWriter,
    read_schema,
)

logger = logging.getLogger(__name__)

SPLIT = "train"
"""The split that rows are written to."""

MAX_SHARD_BYTES = 256_000_000
MAX_SHARD_ROWS = 1_000_000

_STAGING = ".staging-"
_COPIES_AT_ONCE = 16

Subsets = Mapping[str, PCollection[Row]] | PCollection[Row]


class WrittenFile(TypedDict):
    """A final shard; `path` is relative to the result's folder."""

    path: str
    rows: int
    bytes: int
    sha256: str


class WrittenSubset(TypedDict):
    """What was written of one subset; `schema` maps columns to Arrow types, as text."""

    rows: int
    files: list[WrittenFile]
    schema: dict[str, str]


Manifest = dict[str, WrittenSubset]
"""Subset name to what was written of it; a subset without rows and known columns has no files."""


class WriteDistiset(beam.PTransform[Subsets, PCollection[Manifest]]):
    """Write `{"subset": rows}` to `<path>/<subset>/train-00000-of-0000N.parquet`.

    Workers write rows once, to staged Parquet shards (zstd) of bounded size, without holding a
    shard in memory. The schemas of a subset's shards are unified (see `beam_distilabel.schema` for
    the rules): only shards that differ from the result, and very small ones, are written again.
    Rows are counted in the files' footers before anything is made final. A bundle that is retried
    leaves neither duplicates nor debris.

    The result appears at the end: on a local filesystem by renaming one folder per subset, on an
    object store by copying files that are complete; there, while an older result is replaced,
    a reader may see files of both.

    Args:
        path: the result's folder, local or on any filesystem that fsspec knows.
        keep_row_ids: also write the reserved columns `_row_id` and `_draw`.
        ordered: write the rows of a subset in source order, by row id; rows without an id come
            last. One worker merges a subset whose shards overlap, so this is for local runs.
        overwrite: replace a result that the folder holds; other files in it stay.
        max_shard_bytes: a shard is closed when it has reached this size.
        max_shard_rows: a shard never has more rows.
        schemas: known columns by subset. They come first, keep their types wherever these hold all
            values, and give a subset without rows a valid file. The schema's metadata (such as the
            features of `datasets`) is kept.

    Returns:
        A PCollection of one element, a `Manifest`.

    Raises:
        DistilabelUserError: the folder holds a result and `overwrite` is not set; a subset's name
            can't be a folder's; the rows are unbounded.
        DistilabelError: (while running) the files hold another number of rows than were written.

    Example:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> with beam.Pipeline() as p:
        ...     rows = p | beam.Create([{"a": 1}, {"a": 2}])
        ...     manifest = {"default": rows} | WriteDistiset(folder)
    """

    def __init__(
        self,
        path: str,
        *,
        keep_row_ids: bool = False,
        ordered: bool = False,
        overwrite: bool = False,
        max_shard_bytes: int = MAX_SHARD_BYTES,
        max_shard_rows: int = MAX_SHARD_ROWS,
        schemas: Mapping[str, pa.Schema] | None = None,
    ) -> None:
        super().__init__()
        for name, value in (
            ("max_shard_bytes", max_shard_bytes),
            ("max_shard_rows", max_shard_rows),
        ):
            if value < 1:
                raise DistilabelUserError(f"WriteDistiset: {name} must be at least 1, got {value}.")
        self.path = str(path).rstrip("/") or "/"
        self.keep_row_ids = keep_row_ids
        self.ordered = ordered
        self.overwrite = overwrite
        self.bounds = Bounds(max_shard_bytes, max_shard_rows)
        self.schemas = dict(schemas or {})

    def expand(self, subsets: Subsets) -> PCollection[Manifest]:
        if isinstance(subsets, PCollection):
            subsets = {"default": subsets}
        _check_subsets(subsets)
        refuse_other_results(self.path, subsets, overwrite=self.overwrite)
        staging = posixpath.join(self.path, f"{_STAGING}{uuid.uuid4().hex}")
        # Schemas travel as Arrow messages: they are values, so nothing has to be pickled.
        declared = {name: schema.serialize().to_pybytes() for name, schema in self.schemas.items()}
        records = []
        for name, rows in subsets.items():
            if not rows.windowing.is_default():
                rows |= f"InOneWindow[{name}]" >> beam.WindowInto(GlobalWindows())
            write = _StageShards(
                staging, name, self.bounds, self.ordered, self.keep_row_ids, declared.get(name)
            )
            records.append(rows | f"StageShards[{name}]" >> beam.ParDo(write))
        pipeline = next(iter(subsets.values())).pipeline
        # Every subset is planned, even one whose rows never came.
        seeds = pipeline | "Subsets" >> beam.Create([(name, None) for name in subsets])
        manifest: PCollection[Manifest] = (
            [seeds, *records]
            | beam.Flatten()
            | "BySubset" >> beam.GroupByKey()
            | "Plan" >> beam.ParDo(_Plan(self.bounds, self.ordered, declared))
            | beam.Reshuffle()
            | "Finish" >> beam.ParDo(_Finish(staging, self.bounds))
            | "Together" >> beam.GroupByKey()
            | "Publish" >> beam.ParDo(_Publish(self.path, staging, list(subsets), self.overwrite))
        )
        return manifest


def _check_subsets(subsets: Mapping[str, PCollection[Row]]) -> None:
    if not subsets:
        raise DistilabelUserError("WriteDistiset: there is no subset to write; pass {name: rows}.")
    for name, rows in subsets.items():
        if not name or name.startswith(".") or re.search(r"[/\\:*?\"<>|\x00-\x1f]", name):
            raise DistilabelUserError(
                f"WriteDistiset: the subset name {name!r} can't be a folder's name; "
                'use a name without a leading dot and without / \\ : * ? " < > |.'
            )
        if not rows.is_bounded:
            raise DistilabelUserError(
                f"WriteDistiset: the rows of subset {name!r} are unbounded, and a result that is "
                "counted and made final needs an end; bound the source."
            )


def refuse_other_results(path: str, subsets: Iterable[str], *, overwrite: bool) -> None:
    """Raise if `path` holds what writing there would mix with, or destroy.

    Args:
        path: the folder to write to; it need not exist.
        subsets: the subsets to be written.
        overwrite: whether another result may be replaced.

    Raises:
        DistilabelUserError: it names what is in the way and the remedy.
    """
    filesystem, folder = fsspec.core.url_to_fs(path)
    if filesystem.isfile(folder):
        raise DistilabelUserError(f"WriteDistiset: {path} is a file; name a folder.")
    results = subset_names(path)
    if results and not overwrite:
        raise DistilabelUserError(
            f"WriteDistiset: {path} already holds a result (subsets {', '.join(results)}). "
            "Write to another folder, or pass overwrite=True to replace it."
        )
    for name in subsets:
        if name not in results and filesystem.exists(posixpath.join(folder, name)):
            if filesystem.ls(posixpath.join(folder, name), detail=False):
                raise DistilabelUserError(
                    f"WriteDistiset: {posixpath.join(path, name)} holds files that aren't a "
                    "result's; move them away, or write to another folder."
                )


class _StageShards(beam.DoFn):
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


class _Plan(beam.DoFn):
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


def unify_shards(
    subset: str, records: list[ShardRecord], declared: pa.Schema | None = None
) -> pa.Schema:
    """One schema for all shards of a subset; warns of columns that become JSON text by it.

    Args:
        subset: its name, for the warning.
        records: its shards.
        declared: known columns: they come first.
    """
    schemas = [read_schema(record) for record in records]
    schema = unify_schemas([*([declared] if declared is not None else []), *schemas])
    known = set().union(*(json_paths(s) for s in schemas)) if schemas else set()
    for path in sorted(json_paths(schema) - known):
        column = next(name for name in schema.names if path.startswith(name))
        seen = {
            str(s.field(column).type): record["first_row"]
            for s, record in zip(schemas, records, strict=True)
            if column in s.names
        }
        logger.warning(
            "subset %r: column %r has types that can't be unified, so it becomes JSON text: %s",
            subset,
            path,
            "; ".join(f"{kind} (shard that starts at row {row})" for kind, row in seen.items()),
        )
    return schema


class _Finish(beam.DoFn):
    """Make shards final in all but their name, and count their rows in the footers."""

    def __init__(self, staging: str, bounds: Bounds) -> None:
        self._staging = staging
        self._bounds = bounds

    def process(self, task: _Task) -> Iterator[tuple[None, _Finished]]:
        schema = _schema(task["schema"])
        assert schema is not None
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
            if read_schema(records[0]).equals(schema, check_metadata=True):
                return [_written(records[0])]
        write = join if in_order else merge
        shards: list[ShardFile] = write(records, schema, folder, self._bounds)
        return [_written(shard.record(task["subset"])) for shard in shards]


def _written(record: ShardRecord) -> WrittenFile:
    return WrittenFile(
        path=record["path"], rows=record["rows"], bytes=record["bytes"], sha256=record["sha256"]
    )


class _Publish(beam.DoFn):
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


def publish(
    path: str, staging: str, moves: Mapping[str, Mapping[str, str]], *, overwrite: bool = False
) -> None:
    """Move staged files to their final names, replace what was there, remove the staging folder.

    Running it again after it was cut off, or had ended, does what is left to do.

    Args:
        path: the result's folder.
        staging: the staging folder in it.
        moves: per subset, staged path to final path, the latter relative to `path`.
        overwrite: whether an older result gives way, and with it what its writers left behind.

    Raises:
        DistilabelUserError: someone else has written a result there in the meantime.
        DistilabelError: staged files are gone.
    """
    filesystem, folder = fsspec.core.url_to_fs(path)
    _, staged = fsspec.core.url_to_fs(staging)
    wanted = {name: files for name, files in moves.items() if files}
    if isinstance(filesystem, LocalFileSystem):
        for name, files in wanted.items():
            _swap_folder(filesystem, folder, staged, name, files, overwrite)
    else:
        _copy_files(
            filesystem, folder, [pair for files in wanted.values() for pair in files.items()]
        )
    if overwrite:
        _remove_older(path, filesystem, folder, wanted)
    if filesystem.exists(staged):
        filesystem.rm(staged, recursive=True)


def _remove_older(
    path: str, filesystem: Any, folder: str, wanted: Mapping[str, Mapping[str, str]]
) -> None:
    for name in subset_names(path):
        older = posixpath.join(folder, name)
        if name not in wanted:
            filesystem.rm(older, recursive=True)
            continue
        kept = {posixpath.basename(final) for final in wanted[name].values()}
        for file in filesystem.ls(older, detail=False):
            if posixpath.basename(file) not in kept:
                filesystem.rm_file(file)
    for entry in filesystem.ls(folder, detail=False):
        if posixpath.basename(entry.rstrip("/")).startswith(_STAGING):
            filesystem.rm(entry, recursive=True)


def _swap_folder(
    filesystem: Any,
    folder: str,
    staged: str,
    subset: str,
    files: Mapping[str, str],
    overwrite: bool,
) -> None:
    """Gather a subset's files in a new folder, then rename it to where the old one was."""
    new = posixpath.join(staged, "new", subset)
    final_folder = posixpath.join(folder, subset)
    filesystem.makedirs(new, exist_ok=True)
    gathered = 0
    for source, final in files.items():
        _, name = fsspec.core.url_to_fs(source)
        target = posixpath.join(new, posixpath.basename(final))
        if filesystem.exists(name):
            filesystem.mv(name, target)
        gathered += filesystem.exists(target)
    if not gathered and all(filesystem.exists(posixpath.join(folder, f)) for f in files.values()):
        return  # an earlier attempt got this far
    if gathered != len(files):
        raise DistilabelError(
            f"WriteDistiset: {len(files) - gathered} staged files of subset {subset!r} are gone; "
            "was the staging folder removed while the pipeline ran?"
        )
    if filesystem.exists(final_folder):
        if not overwrite and filesystem.ls(final_folder, detail=False):
            raise DistilabelUserError(
                f"WriteDistiset: {final_folder} was written by someone else in the meantime. "
                "Run again with another folder, or pass overwrite=True to replace it."
            )
        older = posixpath.join(staged, f"old-{uuid.uuid4().hex}")
        filesystem.mv(final_folder, older, recursive=True)
    filesystem.mv(new, final_folder, recursive=True)


def _copy_files(filesystem: Any, folder: str, files: list[tuple[str, str]]) -> None:
    def move(pair: tuple[str, str]) -> None:
        _, source = fsspec.core.url_to_fs(pair[0])
        target = posixpath.join(folder, pair[1])
        if filesystem.exists(source):
            filesystem.makedirs(posixpath.dirname(target), exist_ok=True)
            filesystem.mv(source, target)
        elif not filesystem.exists(target):
            raise DistilabelError(
                f"WriteDistiset: the staged file {pair[0]} is gone; was the staging folder removed "
                "while the pipeline ran?"
            )

    with ThreadPoolExecutor(_COPIES_AT_ONCE) as pool:
        list(pool.map(move, files))


def _schema(message: bytes | None) -> pa.Schema | None:
    return None if message is None else pa.ipc.read_schema(pa.py_buffer(message))
