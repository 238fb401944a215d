"""Joining the branches that meet at a Step: by the id of the Step where they parted."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput
from apache_beam.transforms.window import GlobalWindows

from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.failures import Failure
from beam_distilabel.row import (
    DRAW,
    ROW_ID,
    Row,
    chosen_branches,
    child_id,
    content_id,
    fork_key,
    plain_id,
    sort_key,
)

_FAILURES = "failures"


@dataclasses.dataclass(frozen=True)
class JoinSpec:
    """What the graph knows of a join.

    Attributes:
        level: how many fork marks the id of the common ancestor's rows has; None where the branches
            have no common ancestor: then rows are joined by their whole id, so by position.
        names: the predecessors' names, for messages.
        routes: per predecessor, the bit mask of the ancestor's branches that lead to it.
    """

    level: int | None = None
    names: tuple[str, ...] = ()
    routes: tuple[int, ...] = ()


class JoinResult(NamedTuple):
    """Tuples of one row (or None) per predecessor, and the rows that have no partner."""

    rows: Any
    failures: Any


def join_by_id(branches: Sequence[Any], step: Any) -> JoinResult:
    """Join PCollections of rows for `step`, whose `_join` says how.

    For each ancestor row the branches' rows are put side by side: a branch with one row joins every
    row of a branch that made several. A row that a branch lacks, although routing doesn't explain
    it, is a `Failure(kind="join")`.

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
    row_id = row[ROW_ID] if ROW_ID in row else content_id(row, 0)
    return (plain_id(row_id) if level is None else fork_key(row_id, level)), row


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
        chosen is None or not spec.routes or bool(spec.routes[i] & chosen)
        for i in range(len(columns))
    ]
    count = max(len(rows) for rows in columns)
    for index in range(count):
        row_id = key if count == 1 else child_id(key, index)
        parts: list[Row | None] = []
        missing = []
        for i, rows in enumerate(columns):
            if len(rows) == 1:
                parts.append(rows[0])
            elif index < len(rows):
                parts.append(rows[index])
            else:
                parts.append(None)
                if expected[i]:
                    missing.append(spec.names[i])
        identity: Row = {ROW_ID: row_id}
        for part in parts:
            if part is not None and part.get(DRAW):
                identity[DRAW] = part[DRAW]
        if missing:
            row: Row = {}
            for part in parts:
                row.update(part or {})
            counts = ", ".join(
                f"{name}: {len(rows)}" for name, rows in zip(spec.names, columns, strict=True)
            )
            yield Failure(
                step,
                "join",
                f"no row from {', '.join(missing)} for the row {row_id!r} (rows per branch: "
                f"{counts}); the branch filtered or lost it.",
                {**row, **identity},
            )
            continue
        yield tuple(None if part is None else {**part, **identity} for part in parts)
