"""What the staged shards of a window's pane have to become, and making them so."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any, TypedDict

import apache_beam as beam
import pyarrow as pa
from apache_beam.coders import BooleanCoder, FastPrimitivesCoder, VarIntCoder
from apache_beam.transforms.userstate import BagStateSpec, ReadModifyWriteStateSpec

from beam_distilabel.errors import DistilabelError
from beam_distilabel.hub import Destination
from beam_distilabel.manifest import read_schema_text, schema_text
from beam_distilabel.row import sort_key
from beam_distilabel.schema import unify_types
from beam_distilabel.transforms.sinks.merge import Bounds, plan, unify_shards
from beam_distilabel.transforms.sinks.publishing import upload_finished
from beam_distilabel.transforms.sinks.shards import ShardRecord, keys_path, read_schema
from beam_distilabel.transforms.sinks.stages import Finish, Finished, Task
from beam_distilabel.transforms.sinks.windows.ledger import (
    Content,
    Ledgers,
    add_content,
    lost_rows,
    matching,
)
from beam_distilabel.transforms.sinks.windows.reports import Report
from beam_distilabel.transforms.sinks.windows.schemas import (
    extended,
    fit_record,
    read_schemas,
    write_schemas,
)
from beam_distilabel.transforms.sinks.windows.windowing import window_name

TOGETHER = "all"
"""The key of what is done for one window after the other."""


class Pane(TypedDict):
    """Some rows of a window that are published together.

    Keys:
        window: its name.
        pane: how many panes of the window came before in this attempt.
        planned: see `ledger.Part`.
        attempt: likewise.
        content: the sums of its rows.
        known: whether an earlier attempt has written just this.
        staged: the files that hold its rows.
    """

    window: str
    pane: int
    planned: int
    attempt: str
    content: Content
    known: bool
    staged: list[str]


class PaneTask(TypedDict):
    """One of the `of` tasks of a pane; of a known one there is nothing to do."""

    pane: Pane
    of: int
    task: Task | None


class PaneResult(TypedDict):
    """What became of a `PaneTask`."""

    pane: Pane
    of: int
    finished: Finished | None


class NameWindow(beam.DoFn):
    """Keys what a window's pane has by the window's name, which outlives windows."""

    def process(
        self, grouped: tuple[None, Iterable[Report]], window: Any = beam.DoFn.WindowParam
    ) -> Iterator[tuple[str, list[Report]]]:
        yield window_name(window), list(grouped[1])


class NumberPanes(beam.DoFn):
    """Counts the panes of each window, and recognises those that an earlier attempt has written.

    The count is the runner's state: a job that goes on from a checkpoint counts on, one that
    starts anew begins at 0, as its rows do.

    Args:
        path: the result's folder.
        attempt: what tells this start of the job from others.

    Raises:
        DistilabelError: (while running) the window would be replaced by fewer rows than an earlier
            attempt has published; nothing is changed.
    """

    PANES = beam.DoFn.StateParam(ReadModifyWriteStateSpec("panes", VarIntCoder()))
    REPLACED = beam.DoFn.StateParam(ReadModifyWriteStateSpec("replaced", BooleanCoder()))

    def __init__(self, path: str, attempt: str) -> None:
        self._path = path
        self._attempt = attempt

    def process(
        self,
        named: tuple[str, list[Report]],
        panes: Any = PANES,
        replaced: Any = REPLACED,
    ) -> Iterator[tuple[str, tuple[Pane, list[Report]]]]:
        window, reports = named
        number = panes.read() or 0
        panes.write(number + 1)
        content: Content = {}
        staged = []
        for report in reports:
            content = add_content(content, {report["subset"]: report["content"]})
            for record in report["records"]:
                staged.append(record["path"])
                if record["groups"]:
                    staged.append(keys_path(record["path"]))
        ledgers = Ledgers(self._path)
        ledger = ledgers.read(window)
        going = bool(replaced.read())
        known = not going and bool(matching(ledger, number, content))
        if not known and any(p["pane"] >= number for p in (ledger["parts"] if ledger else ())):
            # What is on its way out was allowed to go when the first of these panes came.
            lost = {} if going else lost_rows(ledger, number, content, self._attempt)
            if lost and not ledgers.may_lose(window):
                raise DistilabelError(_refusal(self._path, window, lost, ledgers))
            replaced.write(True)
        pane = Pane(
            window=window,
            pane=number,
            planned=time.time_ns(),
            attempt=self._attempt,
            content=content,
            known=known,
            staged=staged,
        )
        yield TOGETHER, (pane, reports)


def _refusal(path: str, window: str, lost: dict[str, tuple[int, int]], ledgers: Ledgers) -> str:
    counts = "; ".join(
        f"subset {name!r}: {there:,} rows are published, {rows:,} would take their place"
        for name, (there, rows) in sorted(lost.items())
    )
    return (
        f"WriteDistiset: the window {window} in {path} would be replaced by fewer rows ({counts}). "
        "Nothing of it was changed. A job that begins anew has to come with all rows of a window: "
        "leave the files of the source where they are until their windows are over, and let "
        "`since` of WatchFiles be no time inside of a window, then start the job again. If the "
        "source can't be read again, write to a new folder. If the window is to have fewer rows, "
        "or its rows are late now that were in time, create the empty file "
        f"{ledgers.replace_file(window)}: the next job replaces the window, once."
    )


class PlanPanes(beam.DoFn):
    """Says what a pane's shards have to become, one pane after the other.

    Args:
        path: the result's folder.
        bounds: of a shard, unless `most_files` asks for larger ones.
        ordered: whether rows are written in order.
        declared: known columns by subset.
        most_files: how many shards a subset may have in a pane, if that is limited.
    """

    # State makes the runner call with one element of a key after the other: the first window's
    # schema has to be there before the second one is planned.
    PLANNED = beam.DoFn.StateParam(ReadModifyWriteStateSpec("planned", VarIntCoder()))

    def __init__(
        self,
        path: str,
        bounds: Bounds,
        ordered: bool,
        declared: dict[str, bytes],
        most_files: int | None,
    ) -> None:
        self._path = path
        self._bounds = bounds
        self._ordered = ordered
        self._declared = declared
        self._most_files = most_files

    def process(
        self,
        together: tuple[str, tuple[Pane, list[Report]]],
        planned: Any = PLANNED,
    ) -> Iterator[PaneTask]:
        pane, reports = together[1]
        planned.write((planned.read() or 0) + 1)
        if pane["known"]:
            yield PaneTask(pane=pane, of=1, task=None)
            return
        shards: dict[str, list[ShardRecord]] = {}
        for report in reports:
            shards.setdefault(report["subset"], []).extend(report["records"])
        tasks = []
        schemas = self._schemas(shards)
        for subset, records in shards.items():
            message = schemas[subset].serialize().to_pybytes()
            records.sort(key=lambda record: record["path"])
            parts, bounds = plan(
                records, self._bounds, ordered=self._ordered, most=self._most_files
            )
            for index, part in enumerate(parts):
                tasks.append(
                    Task(subset=subset, index=index, records=part, schema=message, bounds=bounds)
                )
        for task in tasks:
            yield PaneTask(pane=pane, of=len(tasks), task=task)

    def _schemas(self, shards: dict[str, list[ShardRecord]]) -> dict[str, pa.Schema]:
        """The schemas that the subsets of a pane are written under; noted where they are new."""
        known = read_schemas(self._path)
        noted = dict(known)
        schemas = {}
        for subset, records in shards.items():
            if subset in known:
                ordered = sorted(records, key=lambda r: (sort_key(r["first_row"]), r["path"]))
                own = [read_schema(record["schema"]) for record in ordered]
                found, _ = extended(read_schema_text(known[subset]), own)
            else:
                message = self._declared.get(subset)
                declared = None if message is None else read_schema(message)
                found = unify_shards(subset, records, declared)
            schemas[subset] = found
            noted[subset] = schema_text(found)
        if noted != known:
            write_schemas(self._path, noted)
        return schemas


class FinishPane(beam.DoFn):
    """Makes shards final in all but their name, and sends them to the Hub if that is asked for."""

    def __init__(self, staging: str, destination: Destination | None) -> None:
        self._finish = _FinishFitting(staging)
        self._destination = destination

    def process(self, task: PaneTask) -> Iterator[tuple[str, PaneResult]]:
        pane, of = task["pane"], task["of"]
        key = f"{pane['window']} {pane['pane']} {pane['planned']}"
        if task["task"] is None:
            yield key, PaneResult(pane=pane, of=of, finished=None)
            return
        for finished in self._finish.process(task["task"]):
            if self._destination is not None:
                upload_finished(self._destination, finished)
            yield key, PaneResult(pane=pane, of=of, finished=finished)


class _FinishFitting(Finish):
    """Brings shards to the schema of all windows first, where that doesn't hold them."""

    def _files(self, task: Task, schema: pa.Schema) -> Any:
        folder = self._folder(task)
        records = [
            record
            if _holds(schema, read_schema(record["schema"]))
            else fit_record(record, schema, folder)
            for record in task["records"]
        ]
        return super()._files(Task(**{**task, "records": records}), schema)


def _holds(schema: pa.Schema, part: pa.Schema) -> bool:
    """Whether all values of `part` have a place in `schema` without being set aside."""
    return all(
        unify_types(schema.field(field.name).type, field.type).equals(schema.field(field.name).type)
        for field in part
        if field.name in schema.names
    )


class CollectPane(beam.DoFn):
    """Waits for all results of a pane."""

    RESULTS = beam.DoFn.StateParam(BagStateSpec("results", FastPrimitivesCoder()))
    COUNT = beam.DoFn.StateParam(ReadModifyWriteStateSpec("count", VarIntCoder()))

    def process(
        self,
        keyed: tuple[str, PaneResult],
        results: Any = RESULTS,
        count: Any = COUNT,
    ) -> Iterator[tuple[str, list[PaneResult]]]:
        result = keyed[1]
        number = (count.read() or 0) + 1
        if number < result["of"]:
            results.add(result)
            count.write(number)
            return
        complete = [*results.read(), result]
        results.clear()
        count.clear()
        yield TOGETHER, complete
