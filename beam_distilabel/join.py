"""Joining the branches that meet at a Step: by the id of the Step where they parted."""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput
from apache_beam.transforms.window import GlobalWindows

from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.failures import Failure
from beam_distilabel.metadata import merge_rows
from beam_distilabel.row import (
    DRAW,
    ROW_ID,
    Row,
    child_id,
    chosen_branches,
    content_id,
    fork_key,
    path_below,
    sort_key,
    source_id,
)

_FAILURES = "failures"


@dataclasses.dataclass(frozen=True)
class JoinSpec:
    """What the graph knows of a join.

    Attributes:
        level: how many fork marks the id of the common ancestor's rows has; None where the branches
            have no common ancestor: then rows are joined by their position in the sources.
        names: the predecessors' names, for messages.
        routes: per predecessor, the bit mask of the ancestor's branches that surely lead to it,
            whatever routers choose on the way.
        needs: per predecessor, the columns that the Step needs and that its rows are declared to
            have; empty where that isn't known.
        partial: per predecessor, whether rows may be missing from it since they are not finished;
            empty where all rows are. Such a row is left out as a whole, and is no failure.
    """

    level: int | None = None
    names: tuple[str, ...] = ()
    routes: tuple[int, ...] = ()
    partial: tuple[bool, ...] = ()
    needs: tuple[tuple[str, ...], ...] = ()


class JoinResult(NamedTuple):
    """Tuples of one row (or None) per predecessor, and the rows that have no partner."""

    rows: Any
    failures: Any


def join_by_id(branches: Sequence[Any], step: Any) -> JoinResult:
    """Join PCollections of rows for `step`, whose `_join` says how.

    For each ancestor row the branches' rows are put side by side: a row joins all that another
    branch made of it, and where several branches made several, the first joins the first. A row
    that a branch lacks, although routing doesn't explain it, is a `Failure(kind="join")`.

    Raises:
        DistilabelUserError: the inputs are unbounded and not windowed alike.
    """
    spec = step._join
    windowing = branches[0].windowing
    for branch in branches:
        if branch.windowing != windowing:
            raise DistilabelUserError(
                f"{step._described()} joins inputs that are windowed differently "
                f"({branch.windowing.windowfn} and {windowing.windowfn}); window them alike first."
            )
        if not branch.is_bounded and isinstance(windowing.windowfn, GlobalWindows):
            raise DistilabelUserError(
                f"{step._described()} joins unbounded inputs in the global window, which would "
                "never end; apply `beam.WindowInto(...)` to the input first."
            )
    if not spec.names:
        spec = dataclasses.replace(spec, names=tuple(f"input {i}" for i in range(len(branches))))
    keyed = {
        str(i): branch | f"Key{i}" >> beam.Map(_keyed, spec.level)
        for i, branch in enumerate(branches)
    }
    outputs = (
        keyed
        | "Join" >> beam.CoGroupByKey()
        | "Align" >> beam.ParDo(_Align(step.name, spec)).with_outputs(_FAILURES, main="rows")
    )
    return JoinResult(outputs["rows"], outputs[_FAILURES])


def _keyed(row: Row, level: int | None) -> tuple[str, Row]:
    row_id = row[ROW_ID] if ROW_ID in row else content_id(row)
    return (source_id(row_id) if level is None else fork_key(row_id, level)), row


class _Align(beam.DoFn):
    def __init__(self, step: str, spec: JoinSpec) -> None:
        self._step = step
        self._spec = spec

    def process(self, grouped: tuple[str, dict[str, Iterable[Row]]]) -> Iterator[Any]:
        key, by_branch = grouped
        columns = [
            sorted(by_branch[str(i)], key=lambda row: sort_key(row.get(ROW_ID, "")))
            for i in range(len(by_branch))
        ]
        for result in align(key, columns, self._spec, self._step):
            yield TaggedOutput(_FAILURES, result) if isinstance(result, Failure) else result


def align(
    key: str, columns: Sequence[Sequence[Row]], spec: JoinSpec, step: str
) -> Iterator[tuple[Row | None, ...] | Failure]:
    """Put one ancestor's rows of every branch side by side.

    Args:
        key: the ancestor's id.
        columns: per branch, its rows in order.
        spec: what the graph knows of the join.
        step: the joining Step's name.

    Returns:
        Tuples with one row, or None where routing sent none, per branch; or Failures.
    """
    chosen = chosen_branches(key) if spec.level else None
    expected = [
        not spec.routes or bool(spec.routes[i] & (-1 if chosen is None else chosen))
        for i in range(len(columns))
    ]
    branches = [_by_path(rows, key) for rows in columns]
    for path in _longest({path for branch in branches for path in branch}):
        row_id = key
        for number in path:
            row_id = child_id(row_id, number)
        parts = [_nearest(branch, path) for branch in branches]
        identity: Row = {ROW_ID: row_id}
        for part in parts:
            if part is not None and part.get(DRAW):
                identity[DRAW] = part[DRAW]
        missing = [
            name
            for name, part, wanted in zip(spec.names, parts, expected, strict=True)
            if part is None and wanted
        ]
        if missing and _unfinished(missing, spec):
            continue
        if missing:
            row = merge_rows(part for part in parts if part is not None)
            counts = ", ".join(
                f"{name}: {len(rows)}" for name, rows in zip(spec.names, columns, strict=True)
            )
            yield Failure(
                step,
                "join",
                f"no row from {', '.join(missing)} for the row {row_id!r} (rows per branch: "
                f"{counts}); the branch filtered or lost it{_or_changed(spec)}.",
                {**row, **identity},
            )
            continue
        yield tuple(None if part is None else {**part, **identity} for part in parts)


def _or_changed(spec: JoinSpec) -> str:
    """What else may have become of a row on a way that no pipeline knows."""
    return "" if spec.level else ", or transforms of Beam's own made other rows of it"


def _unfinished(missing: Sequence[str], spec: JoinSpec) -> bool:
    return bool(spec.partial) and all(spec.partial[spec.names.index(name)] for name in missing)


Path = tuple[int, ...]
"""Which row a branch made of the ancestor's: () for the only one, (1, 0) for the first of its
second."""


def _by_path(rows: Sequence[Row], key: str) -> dict[Path, Row]:
    """One branch's rows by their paths below the ancestor `key`."""
    named = [(path_below(row.get(ROW_ID, key), key), row) for row in rows]
    counts = Counter(path for path, _ in named)
    paths: dict[Path, Row] = {}
    for path, row in named:
        if counts[path] > 1:
            # Rows that came without ids, are equal, and were in different bundles.
            path = next((*path, n) for n in itertools.count() if (*path, n) not in paths)
        paths[path] = row
    return paths


def _longest(paths: Iterable[Path]) -> list[Path]:
    """`paths` in order, without those that others go on from."""
    ordered = sorted(paths)
    following = [*ordered[1:], None]
    return [
        path
        for path, after in zip(ordered, following, strict=True)
        if after is None or after[: len(path)] != path
    ]


def _nearest(branch: dict[Path, Row], path: Path) -> Row | None:
    """The branch's row at `path`, or the one that rows at `path` stem from."""
    for length in range(len(path), -1, -1):
        if path[:length] in branch:
            return branch[path[:length]]
    return None
