"""WatchFiles: the rows of files that appear in a folder, as they appear."""

from __future__ import annotations

import datetime
import posixpath
import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import apache_beam as beam
from apache_beam.coders import FastPrimitivesCoder, StrUtf8Coder
from apache_beam.io.watch import PollFn, PollResult, Watch
from apache_beam.pvalue import PBegin, TaggedOutput
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import Timestamp
from fsspec.implementations.local import LocalFileSystem

from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.failures import Failure
from beam_distilabel.filesystems import url_to_fs
from beam_distilabel.row import ROW_ID, fingerprint, position_id
from beam_distilabel.secrets.fields import covered, uncovered
from beam_distilabel.step import StepResult
from beam_distilabel.transforms.sources.files import (
    FILETYPES,
    Source,
    SourceFile,
    type_of_name,
)
from beam_distilabel.transforms.sources.readers import infer_text_columns, read_work
from beam_distilabel.transforms.sources.units import Unit, Work, list_units
from beam_distilabel.transforms.sources.with_failures import FAILURES, ROWS, RowsAndFailures

_GLOB = re.compile(r"[*?\[]")
_CHANGED = ("mtime", "LastModified", "last_modified", "updated", "created", "modified")
"""What filesystems of fsspec call the time of a file's last change."""


class WatchFiles(RowsAndFailures):
    """Rows of the files that a folder holds, and of those that appear in it while this runs.

    The event time of a row is its file's time of last change (mtime), so that a pipeline that runs
    again puts the same rows into the same windows. Row ids are made of the file's path and the
    row's index in it. Files are read in parallel, as by `LoadDataFromFileSystem`; a record or file
    that can't be read is a failure, see `with_failures`.

    Files whose names, or whose folders' below the pattern, begin with "." or "_", and files of
    unknown types aren't looked at. A file is read once, when it hasn't changed for `settle`
    seconds, and never again: append to no file that was read. Whoever writes there writes to
    another name or folder first and then renames, or writes within `settle` seconds. The watermark
    stays `settle` seconds behind the
    clock; a file that appears later than that after its last change is late, which matters where
    its window has ended (see `allowed_lateness` of `beam.WindowInto`). Files have to stay until
    their window's lateness is over: a pipeline that runs again reads them again.

    Args:
        pattern: a folder, or a glob such as `inbox/*.jsonl`; on any filesystem.
        filetype: parquet, jsonl, json, csv, tsv or arrow; by the names' extensions if None.
        every: seconds between two looks.
        settle: seconds without a change until a file counts as complete.
        since: files that changed before that time aren't read. For a job that runs again, a
            window's boundary: a window whose files are read in part has fewer rows than before.
        until: when the watch ends: files that changed before that time are the last.
        stop_file: the path of a file at whose appearance the watch ends: what the folder holds then
            is complete, and the last.
        storage_options: for the filesystem (see fsspec). Secrets in it may be named, such as
            `{"secret": "env:S3_SECRET_KEY"}`; workers read them again, and they aren't sent.
        clock: what says the time now, in seconds since the epoch, on the worker that looks; for
            replays of old files, and for tests.

    Returns:
        An unbounded PCollection of rows. `with_failures()` is the same with two outputs:
        `{"rows": ..., "failures": ...}`.

    Raises:
        DistilabelUserError: an argument can't be used.

    Example:
        >>> watch = WatchFiles("inbox/*.jsonl", every=10, until="2026-01-01T00:00:00+00:00")
        >>> watch.until
        datetime.datetime(2026, 1, 1, 0, 0, tzinfo=datetime.timezone.utc)
    """

    def __init__(
        self,
        pattern: str,
        *,
        filetype: str | None = None,
        every: float = 10.0,
        settle: float = 5.0,
        since: datetime.datetime | str | None = None,
        until: datetime.datetime | str | None = None,
        stop_file: str | None = None,
        storage_options: Mapping[str, Any] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__()
        if filetype is not None and filetype not in FILETYPES:
            raise DistilabelUserError(
                f"WatchFiles: filetype={filetype!r} isn't known; use one of {', '.join(FILETYPES)}."
            )
        for name, value, least in (("every", every, 0.0), ("settle", settle, -1.0)):
            if not isinstance(value, (int, float)) or not least < value < float("inf"):
                raise DistilabelUserError(
                    f"WatchFiles: {name}={value!r} has to be a number of seconds"
                    f"{' above 0' if name == 'every' else ', at least 0'}."
                )
        self.pattern = pattern
        self.filetype = filetype
        self.every = float(every)
        self.settle = max(0.0, float(settle))
        self.since = _time("since", since)
        self.until = _time("until", until)
        self.stop_file = stop_file
        self.storage_options = covered(storage_options or {})
        self.clock = clock

    def apply_to(self, pbegin: Any) -> StepResult:
        """Rows and failures."""
        if not isinstance(pbegin, (PBegin, beam.Pipeline)):
            raise DistilabelUserError(
                "WatchFiles makes rows of its own, so it can't be applied to rows; apply it to the "
                "pipeline: `p | WatchFiles(...)`."
            )
        poll = PollFiles(
            self.filetype,
            self.settle,
            None if self.since is None else self.since.timestamp(),
            None if self.until is None else self.until.timestamp(),
            self.stop_file,
            self.storage_options,
            self.clock,
        )
        outputs = (
            pbegin
            | "Pattern" >> beam.Create([self.pattern])
            | "Watch"
            >> Watch(poll, self.every, output_key_fn=_path, output_key_coder=StrUtf8Coder())
            | "Units"
            >> beam.ParDo(_ListUnits(self.storage_options)).with_outputs(FAILURES, main=ROWS)
        )
        read = (
            outputs[ROWS]
            | "Spread" >> beam.Reshuffle()
            | "Read"
            >> beam.ParDo(_ReadUnit(self.storage_options)).with_outputs(FAILURES, main=ROWS)
        )
        failures = (outputs[FAILURES], read[FAILURES]) | "Failures" >> beam.Flatten()
        return StepResult(read[ROWS], failures)


class PollFiles(PollFn):
    """One look at a folder: the files that are complete, and how far the watermark may go.

    Args:
        filetype: see `WatchFiles`, as all others; times are in seconds since the epoch.
        settle: likewise.
        since: likewise.
        until: likewise.
        stop_file: likewise.
        storage_options: likewise.
        clock: likewise.
    """

    def __init__(
        self,
        filetype: str | None = None,
        settle: float = 0.0,
        since: float | None = None,
        until: float | None = None,
        stop_file: str | None = None,
        storage_options: Mapping[str, Any] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._filetype = filetype
        self._settle = settle
        self._since = since
        self._until = until
        self._stop_file = stop_file
        self._storage_options = covered(storage_options or {})
        self._clock = clock

    def default_output_coder(self) -> Any:
        return FastPrimitivesCoder()

    def __call__(self, pattern: str) -> PollResult[Any]:
        # The order matters: who sees the stop file sees all that was there before it.
        stopped = self._stop_file is not None and self._exists(self._stop_file)
        now = self._clock()
        settled = now - self._settle
        if self._until is not None and settled >= self._until:
            stopped, settled = True, min(settled, self._until)
        elif stopped:
            settled = float("inf")
        files = [
            TimestampedValue((path, filetype), Timestamp.of(changed))
            for path, filetype, changed in self._files(pattern)
            if (self._since is None or changed >= self._since)
            and (self._until is None or changed < self._until)
            and changed <= settled
        ]
        if stopped:
            return PollResult.complete(files)
        return PollResult.incomplete(files).with_watermark(Timestamp.of(settled))

    def _exists(self, path: str) -> bool:
        filesystem, name = url_to_fs(path, **uncovered(self._storage_options))
        filesystem.invalidate_cache()
        return bool(filesystem.exists(name))

    def _files(self, pattern: str) -> Iterator[tuple[str, str, float]]:
        """(path, type, time of last change) of each data file; others aren't looked at."""
        filesystem, path = url_to_fs(pattern, **uncovered(self._storage_options))
        filesystem.invalidate_cache()
        root = path.rstrip("/")
        if _GLOB.search(path) and not filesystem.exists(path):
            root = _GLOB.split(path)[0].rpartition("/")[0]
            found = filesystem.glob(path, detail=True)
        else:
            found = filesystem.find(path, detail=True)
        local = isinstance(filesystem, LocalFileSystem)
        for name, info in sorted(found.items()):
            # What is being written, or isn't data, has such a name.
            hidden = any(part[:1] in "._" for part in name[len(root) :].split("/") if part)
            filetype = self._filetype or type_of_name(name)
            if hidden or filetype is None or info["type"] == "directory":
                continue
            if self._stop_file is None or not _same(self._stop_file, name):
                full = name if local else str(filesystem.unstrip_protocol(name))
                yield full, filetype, changed_at(info)


def changed_at(info: Mapping[str, Any]) -> float:
    """When a file was changed, in seconds since the epoch, by what its filesystem says of it.

    Raises:
        DistilabelUserError: it doesn't say.
    """
    for name in _CHANGED:
        value = info.get(name)
        if isinstance(value, str):
            value = datetime.datetime.fromisoformat(value.replace("Z", "+00:00"))
        if isinstance(value, datetime.datetime):
            aware = value if value.tzinfo else value.replace(tzinfo=datetime.timezone.utc)
            return aware.timestamp()
        if isinstance(value, (int, float)):
            return float(value)
    raise DistilabelUserError(
        f"WatchFiles: the filesystem doesn't say when {info.get('name')!r} was changed, so its "
        "rows can have no event time; watch a folder on another filesystem."
    )


def _path(output: tuple[str, str]) -> str:
    return output[0]


def _same(one: str, other: str) -> bool:
    return posixpath.normpath(url_to_fs(one)[1]) == posixpath.normpath(url_to_fs(other)[1])


def _time(name: str, value: datetime.datetime | str | None) -> datetime.datetime | None:
    if value is None:
        return None
    try:
        known = datetime.datetime.fromisoformat(value) if isinstance(value, str) else value
        if known.tzinfo is None:
            raise ValueError("it has no time zone")
    except (ValueError, AttributeError) as error:
        raise DistilabelUserError(
            f"WatchFiles: {name}={value!r}: {error}. Give a datetime with a time zone, or one in "
            "ISO form, such as '2026-01-31T12:00:00+00:00'."
        ) from None
    return known


def _failure(path: str, row_id: str, message: str, text: str | None = None) -> TaggedOutput:
    row = {ROW_ID: row_id, "file": path}
    return TaggedOutput(FAILURES, Failure("WatchFiles", "read", message, row, raw_output=text))


def _number(path: str) -> int:
    """What stands for a file in its rows' ids."""
    return int(fingerprint(path)[:16], 16)


class _ListUnits(beam.DoFn):
    """Files to the parts that are read apart."""

    def __init__(self, storage_options: Mapping[str, Any]) -> None:
        self._storage_options = covered(storage_options)

    def process(self, watched: tuple[str, tuple[str, str]]) -> Iterator[Any]:
        path, filetype = watched[1]
        source = Source((SourceFile(path, filetype),), storage_options=self._storage_options)
        try:
            types = dict(infer_text_columns(source))
            units = list_units(source)
        except DistilabelUserError as error:
            yield _failure(path, position_id(_number(path), 0), str(error))
            return
        for unit in units:
            yield path, filetype, types, tuple(unit)


class _ReadUnit(beam.DoFn):
    """Parts of files to rows."""

    def __init__(self, storage_options: Mapping[str, Any]) -> None:
        self._storage_options = covered(storage_options)

    def process(self, part: tuple[str, str, dict[str, str], tuple[Any, ...]]) -> Iterator[Any]:
        path, filetype, types, unit = part
        source = Source(
            (SourceFile(path, filetype),),
            storage_options=self._storage_options,
            text_columns=types,
        )
        number = _number(path)
        index = -1
        try:
            for rows, bad in read_work(source, Work((Unit(*unit),))):
                for record in bad:
                    row_id = position_id(number, record.position)
                    yield _failure(path, row_id, record.message, record.text)
                for row in rows:
                    index = int(row[ROW_ID].rpartition("-")[2])
                    row[ROW_ID] = position_id(number, index)
                    yield row
        except DistilabelUserError as error:
            yield _failure(path, position_id(number, index + 1), str(error))


__all__ = ["PollFiles", "WatchFiles", "changed_at"]
