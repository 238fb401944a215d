"""How Beam runs a Step's `process`: batches in, rows and failures out, a bad row costs one row."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PBegin, TaggedOutput
from apache_beam.utils.windowed_value import WindowedValue

from beam_distilabel.errors import (
    CheckpointError,
    ColumnError,
    DistilabelError,
    DistilabelTypeError,
    DistilabelUserError,
    EngineError,
    RowError,
)
from beam_distilabel.failures import Failure, attempts_of, kind_of, message_of, reasons_of
from beam_distilabel.join import join_by_id
from beam_distilabel.metadata import METADATA, merge_rows
from beam_distilabel.models.engine import engines
from beam_distilabel.progress import step_progress
from beam_distilabel.row import (
    DRAW,
    ROW_ID,
    Row,
    Unnamed,
    canonical_json,
    carried,
    compared,
    content,
    copied,
    identify,
    inherit,
    position_id,
    sort_key,
)
from beam_distilabel.schema.json_text import to_json
from beam_distilabel.step import (
    GeneratorStep,
    GlobalStep,
    JoinStep,
    RowStep,
    Step,
    StepResult,
)

FAILURES = "failures"
ROWS = "rows"

logger = logging.getLogger(__name__)

MAX_NUMBERED_ROWS = 1_000_000
"""How many different rows of a user's generator are remembered to tell equal ones apart."""

Joined = tuple[Row | None, ...]
"""What a Step with several predecessors receives for one row id: one row, or None, of each."""


def apply_process(step: Step, rows: Any) -> StepResult:
    """Apply `step` to a PCollection of rows, or to several that are joined by row id."""
    joined = None
    if _must_not_ask(step):
        several = rows if isinstance(rows, (tuple, list)) else (rows,)
        return _left_out(step, tuple(several) | "All inputs" >> beam.Flatten())
    if isinstance(rows, (tuple, list)):
        joined = join_by_id(rows, step)
        rows = joined.rows
    lost = [] if joined is None else [joined.failures]
    if step.is_global:
        fn: beam.DoFn = _ProcessAll(step)
        if (
            isinstance(step, GlobalStep)
            and type(step)._check_usable is not GlobalStep._check_usable
        ):
            checked_rows = rows | "Check" >> beam.ParDo(_CheckRows(step)).with_outputs(
                FAILURES, main=ROWS
            )
            rows = checked_rows[ROWS]
            lost.append(checked_rows[FAILURES])
        rows = rows | "Key" >> beam.Map(_with_no_key) | "Gather" >> beam.GroupByKey()
    elif isinstance(step, JoinStep) and type(step).process is JoinStep.process:
        fn = _JoinRows(step)
    elif isinstance(step, RowStep) and type(step).process is RowStep.process:
        fn = _TransformRows(step)
        if joined is not None:
            rows = rows | "Merge" >> beam.Map(merged)
    else:
        fn = _ProcessBatches(step)
    outputs = rows | "Process" >> beam.ParDo(fn).with_outputs(FAILURES, main=ROWS)
    done = outputs[ROWS]
    if step.is_global and step._spreads:  # one worker has made them all
        done |= "Spread rows" >> beam.Reshuffle()
    if not lost:
        return StepResult(done, outputs[FAILURES])
    failed = lost[0] if len(lost) == 1 else tuple(lost) | "All lost" >> beam.Flatten()
    left = failed | "Lost" >> beam.ParDo(_RowsOfFailures(step)).with_outputs(FAILURES, main=ROWS)
    return StepResult(
        (done, left[ROWS]) | "Rows" >> beam.Flatten(),
        (outputs[FAILURES], left[FAILURES]) | "Failures" >> beam.Flatten(),
    )


def apply_generator(step: GeneratorStep, pcoll: Any) -> StepResult:
    """Apply a user-written generator: it runs on one worker, its rows are spread over all."""
    if not isinstance(pcoll, (PBegin, beam.Pipeline)):
        raise DistilabelUserError(
            f"{step._described()} makes rows of its own, so it can't be applied to rows; apply it "
            "to the pipeline: `p | step`."
        )
    if _must_not_ask(step):
        return _left_out(step, pcoll | "Start" >> beam.Impulse())
    outputs = (
        pcoll
        | "Start" >> beam.Impulse()
        | "Process" >> beam.ParDo(_Generate(step)).with_outputs(FAILURES, main=ROWS)
    )
    return StepResult(outputs[ROWS] | "Spread" >> beam.Reshuffle(), outputs[FAILURES])


def _must_not_ask(step: Any) -> bool:
    """Whether the run asks nothing, and the Step would: its `process` has a model, and what that
    answered before isn't kept."""
    return bool(step._context.finished_only and step._holds_model)


def _left_out(step: Any, rows: Any) -> StepResult:
    """The Step sends nothing on; the rows that it would receive are counted."""
    logger.warning(
        "%s asks its model in `process`, and what it was answered is not kept: its rows are left "
        "out of what is finished.",
        step._described(),
    )
    outputs = rows | "Leave out" >> beam.ParDo(_LeaveOut(step)).with_outputs(FAILURES, main=ROWS)
    return StepResult(outputs[ROWS], outputs[FAILURES])


def _with_no_key(row: Row) -> tuple[None, Row]:
    return None, row


def merged(element: Row | Joined) -> Row:
    """One row of what a Step receives for one row id."""
    if isinstance(element, tuple):
        return merge_rows(part for part in element if part is not None)
    return element


def goes_on(step: Any, row: Row, failure: Failure) -> bool:
    """Whether something of a row that failed goes on, by the Step's `on_failure`.

    Raises:
        RowError: `on_failure` is "raise".
    """
    if step.on_failure == "raise":
        raise RowError(
            f"{step._described()}: a row failed ({failure.kind}): {failure.message} Row: "
            f"{str(content(row))[:500]}. With on_failure='null' or 'drop' the run goes on."
        )
    return bool(step.on_failure != "drop")


def failed_row(step: Any, row: Row, failure: Failure) -> list[Row]:
    """What goes on of a row that failed, by the Step's `on_failure`.

    Raises:
        RowError: `on_failure` is "raise".
    """
    if not goes_on(step, row, failure):
        return []
    rows = identify([row], [step._rows_of_failure(row, failure)])
    try:
        return [sendable(done, done) for done, _ in rows]
    except TypeError:  # the row came with what made it fail; it can go nowhere
        return []


def told_failures(step: Any, done: Row, row: Row) -> list[Failure]:
    """The failures that a row of a Task with a `process` of its own tells in its metadata."""
    reasons = reasons_of(done, step.name)
    if not any(reasons) or not hasattr(step, "model"):
        return []
    raw = done[METADATA].get(f"raw_output_{step.name}")
    raws = raw if isinstance(raw, list) else [raw] * len(reasons)
    return [
        Failure(
            step.name,
            reason["kind"],
            reason["message"],
            row,
            reason["attempts"],
            text if isinstance(text, str) else None,
        )
        for reason, text in zip(reasons, raws, strict=False)
        if reason
    ]


class _StepFn(beam.DoFn):
    """A worker's copy of a Step: loaded once, unloaded at the end, counted."""

    def __init__(self, step: Any) -> None:
        self._step = step

    def setup(self) -> None:
        run_dir = self._step._context.run_dir
        with engines.used_by(run_dir):
            self._step.load()
        self._progress = step_progress(run_dir, self._step.name)
        self._declared = frozenset[str]()
        if not type(self._step).__module__.startswith("beam_distilabel."):
            made = self._step.get_outputs().items()
            self._declared = frozenset(name for name, always in made if always)

    def _look(self, row: Row) -> None:
        """Say in the log, once, where a row that goes on lacks a column that the Step declares."""
        if self._declared and not self._declared <= row.keys():
            lacking = sorted(self._declared.difference(row))
            self._declared = frozenset()
            _tell_lacking(self._step, lacking)

    def teardown(self) -> None:
        with engines.used_by(self._step._context.run_dir):
            self._step.unload()

    def start_bundle(self) -> None:
        self._unnamed = Unnamed()
        self._progress.flush()

    def _lost(self, failure: Failure) -> Iterator[Any]:
        """A failure, and what goes on of its row."""
        self._progress.failed(failure.kind, failure.message)
        self._progress.rows_failed += 1
        yield TaggedOutput(FAILURES, failure)
        for row in failed_row(self._step, failure.row, failure):
            self._progress.rows_out += 1
            yield row


_told_lacking: set[tuple[str | None, str]] = set()


def _tell_lacking(step: Any, lacking: list[str]) -> None:
    key = (step._context.run_dir, step.unique_name)
    if key in _told_lacking:  # another copy in this process has said it
        return
    if key[0] is not None:
        _told_lacking.add(key)
    logger.warning(
        "%s declares the outputs %s, but a row that it made has no such column. The row goes on "
        "without. Make the column, or declare it as optional: `outputs` as {%r: False}.",
        step._described(),
        ", ".join(map(repr, lacking)),
        lacking[0],
    )


class _TransformRows(_StepFn):
    """Runs a RowStep: row by row, no batches."""

    def setup(self) -> None:
        super().setup()
        self._has_mappings = bool(self._step.input_mappings or self._step.output_mappings)

    # No generator: one that yields a single row costs as much as the rest of a simple Step.
    def process(self, row: Row) -> Iterable[Any]:
        step = self._step
        if ROW_ID not in row:
            row = self._unnamed.named(row)
        self._progress.rows_in += 1
        try:
            if self._has_mappings:
                changed = step._map_outputs(step.transform_row(step._map_inputs(row)), row)
            else:
                changed = step.transform_row(row)
            if not isinstance(changed, dict):
                raise DistilabelTypeError(
                    f"`transform_row` has to return a row (dict); it gave {str(changed)[:80]!r}."
                )
            changed = carried(inherit(changed, row))
        except (EngineError, CheckpointError):
            raise
        except Exception as error:
            return self._failed(row, error)
        self._progress.rows_out += 1
        self._progress.rows_passed += 1
        self._look(changed)
        return (changed,)

    def _failed(self, row: Row, error: Exception) -> list[Any]:
        failure = failure_of(self._step, row, error)
        self._progress.failed(failure.kind, failure.message)
        self._progress.rows_failed += 1
        return [TaggedOutput(FAILURES, failure), *failed_row(self._step, row, failure)]

    def finish_bundle(self) -> None:
        self._progress.end_bundle()


class _JoinRows(_TransformRows):
    """Runs a JoinStep: row by row, no batches."""

    def process(self, element: Row | Joined) -> Iterable[Any]:
        step = self._step
        if isinstance(element, tuple):
            parts = [part for part in element if part is not None]  # all have the same identity
        else:
            element = element if ROW_ID in element else self._unnamed.named(element)
            parts = [element]
        self._progress.rows_in += 1
        try:
            if isinstance(element, tuple):
                self._check_parts(element)
            if self._has_mappings:
                changed = step.join_rows([*map(step._map_inputs, parts)])
                changed = step._map_outputs(changed, merged(element))
            else:
                changed = step.join_rows(parts)
            changed = carried(inherit(changed, parts[0]))
        except (EngineError, CheckpointError):
            raise
        except Exception as error:
            return self._failed(merged(element), error)
        self._progress.rows_out += 1
        self._progress.rows_passed += 1
        self._look(changed)
        return (changed,)

    def _check_parts(self, parts: Joined) -> None:
        spec = self._step._join
        for name, part, needed in zip(spec.names, parts, spec.needs, strict=False):
            lacking = [column for column in needed if column not in part] if part else []
            if lacking:
                raise ColumnError(f"the row of {name!r} has no column {lacking[0]!r}")


class _ProcessBatches(_StepFn):
    """Runs `process` on batches of rows, or of joined rows, of one window."""

    def start_bundle(self) -> None:
        super().start_bundle()
        self._batch: list[Any] = []
        self._timestamps: list[Any] = []
        self._window: Any = None
        self._present: tuple[bool, ...] | None = None

    def process(
        self,
        element: Row | Joined,
        timestamp: Any = beam.DoFn.TimestampParam,
        window: Any = beam.DoFn.WindowParam,
    ) -> Iterator[Any]:
        present = None
        if isinstance(element, tuple):
            # Rows that took different routes have different predecessors: they need own calls.
            present = tuple(row is not None for row in element)
        if self._batch and (window != self._window or present != self._present):
            yield from self._flush()
        self._window, self._present = window, present
        self._batch.append(element if isinstance(element, tuple) else self._unnamed.named(element))
        self._timestamps.append(timestamp)
        if len(self._batch) >= self._step.input_batch_size:
            yield from self._flush()

    def finish_bundle(self) -> Iterator[Any]:
        yield from self._flush()
        self._progress.end_bundle()

    def _flush(self) -> Iterator[Any]:
        if not self._batch:
            return
        batch, self._batch = self._batch, []
        timestamps, self._timestamps = self._timestamps, []
        times = {merged(e)[ROW_ID]: t for e, t in zip(batch, timestamps, strict=True)}
        self._progress.rows_in += len(batch)
        made: Counter[str] = Counter()
        lost: Counter[str] = Counter()
        for tag, value, row_id in run_batch(self._step, batch):
            windowed = WindowedValue(value, times[row_id], (self._window,))
            if tag == ROWS:
                made[row_id] += 1
                self._progress.rows_out += 1
                self._look(value)
                yield windowed
            else:
                lost[row_id] += 1
                self._progress.failed(value.kind, value.message)
                yield TaggedOutput(tag, windowed)
        failed = sum(count >= made[row_id] for row_id, count in lost.items())
        self._progress.rows_failed += failed
        self._progress.rows_passed += len(batch) - failed
        self._progress.flush()


def run_batch(step: Step, batch: Sequence[Row | Joined]) -> list[tuple[str, Any, str]]:
    """`process` on one batch; where it raises, on each row alone.

    Returns:
        (tag, row or Failure, id of the input that it stems from).
    """
    rows = [merged(element) for element in batch]
    try:
        yields = checked(step, step.process(*_arguments(step, batch)))
        results: list[tuple[str, Any, str]] = []
        for row, parent in identify(rows, yields, step._draws_by()):
            sent = sendable(step._map_outputs(row, parent), row)
            told = told_failures(step, row, parent)
            results.extend((FAILURES, failure, parent[ROW_ID]) for failure in told)
            if (
                not told
                or None in reasons_of(row, step.unique_name)
                or goes_on(step, parent, told[0])
            ):
                results.append((ROWS, sent, parent[ROW_ID]))
        return results
    except (EngineError, CheckpointError, RowError):
        raise
    except Exception as error:
        if len(batch) > 1:
            return [result for element in batch for result in run_batch(step, [element])]
        failure = failure_of(step, rows[0], error)
        row_id = rows[0][ROW_ID]
        return [
            (FAILURES, failure, row_id),
            *((ROWS, row, row_id) for row in failed_row(step, rows[0], failure)),
        ]


def failure_of(step: Any, row: Row, error: BaseException) -> Failure:
    """The record of `row`, which the Step could not finish because of `error`."""
    return Failure(step.name, kind_of(error), message_of(error), as_told(row), attempts_of(error))


def as_told(row: Row) -> Row:
    """`row` for a Failure; as JSON text where no runner can carry it."""
    try:
        return carried(row)
    except TypeError:
        return {ROW_ID: row.get(ROW_ID), "json": to_json(content(row))}


def checked(step: Any, yields: Any) -> list[list[Row]]:
    """What `process` yielded, if it is batches of rows.

    Raises:
        DistilabelTypeError: it isn't; says what came.
    """
    batches = []
    for rows in yields:
        if not isinstance(rows, (list, tuple)) or not all(isinstance(row, dict) for row in rows):
            raise DistilabelTypeError(
                f"{step._described()}: `process` has to yield lists of rows (dicts), "
                f"`yield [row, ...]`; it gave {str(rows)[:80]!r}."
            )
        batches.append(list(rows))
    return batches


def sendable(mapped: Row, row: Row) -> Row:
    """`mapped` with the reserved keys of `row`, which mappings don't touch, fit for any runner."""
    for name in (ROW_ID, DRAW):
        if name in row:
            mapped[name] = row[name]
    return carried(mapped)


def _arguments(step: Step, batch: Sequence[Row | Joined]) -> list[list[Row]]:
    """The lists of rows that `process` receives: copies, since user code may change them.

    Where it then raises, its rows are tried again one by one, as they came.
    """
    if isinstance(batch[0], tuple):
        return [
            [step._map_inputs(copied(row)) for row in column]
            for column in zip(*batch, strict=True)
            if column[0] is not None
        ]
    return [[step._map_inputs(copied(row)) for row in batch]]


class _RowsOfFailures(_StepFn):
    """Sends the rows that could not be joined where the Step's `on_failure` says."""

    def setup(self) -> None:
        self._progress = step_progress(self._step._context.run_dir, self._step.name)

    def teardown(self) -> None:
        """Nothing was loaded."""

    def process(self, failure: Failure) -> Iterator[Any]:
        self._progress.rows_in += 1
        yield from self._lost(failure)

    def finish_bundle(self) -> None:
        self._progress.end_bundle()


class _CheckRows(beam.DoFn):
    """Turns the rows that a GlobalStep can't use into failures."""

    def __init__(self, step: Any) -> None:
        self._step = step

    def start_bundle(self) -> None:
        self._unnamed = Unnamed()

    def process(self, element: Row | Joined) -> Iterator[Any]:
        row = merged(element) if isinstance(element, tuple) else self._unnamed.named(element)
        try:
            self._step._check_usable(self._step._map_inputs(row))
        except Exception as error:
            yield TaggedOutput(FAILURES, failure_of(self._step, row, error))
        else:
            yield element if isinstance(element, tuple) else row


class _LeaveOut(_StepFn):
    """Counts the rows that can't be finished without asking; of a generator, that it has some."""

    def setup(self) -> None:
        self._progress = step_progress(self._step._context.run_dir, self._step.name)

    def teardown(self) -> None:
        """Nothing was loaded."""

    def process(self, row: Row | bytes) -> Iterator[Any]:
        self._progress.rows_in += 0 if self._step.is_generator else 1
        self._progress.unfinished += 1
        yield from ()

    def finish_bundle(self) -> None:
        self._progress.flush()


class _ProcessAll(_StepFn):
    """Runs a GlobalStep on all rows of a window."""

    def process(self, keyed: tuple[None, Any]) -> Iterator[Any]:
        step = self._step
        rows = [row if isinstance(row, tuple) else self._unnamed.named(row) for row in keyed[1]]
        # The order in which rows arrive depends on the runner; the result must not.
        rows.sort(key=lambda row: sort_key(merged(row)[ROW_ID]))
        self._progress.rows_in += len(rows)
        try:
            yields = checked(step, step.process(*_arguments(step, rows)))
        except DistilabelError:
            raise
        except Exception as error:
            raise DistilabelError(
                f"{step._described()} failed on all of its {len(rows)} rows: {message_of(error)}"
            ) from error
        lost = set()
        for row, parent in identify([merged(row) for row in rows], yields, step._draws_by()):
            failures = told_failures(step, row, parent)
            try:
                sent = [sendable(step._map_outputs(row, parent), row)]
            except Exception as error:
                failures = [failure_of(step, parent, error)]
                sent = [sendable(done, row) for done in failed_row(step, parent, failures[0])[:1]]
            for failure in failures:
                lost.add(parent[ROW_ID])
                self._progress.failed(failure.kind, failure.message)
                yield TaggedOutput(FAILURES, failure)
            self._progress.rows_out += len(sent)
            for made in sent:
                self._look(made)
            yield from sent
        self._progress.rows_failed += len(lost)
        self._progress.rows_passed += len(rows) - len(lost)
        self._progress.end_bundle()


class _Generate(_StepFn):
    """Runs a generator from its start to the batch that it says is the last."""

    def process(self, impulse: bytes) -> Iterator[Any]:
        del impulse
        step = self._step
        index = 0
        seen: dict[int, int] = {}
        for rows, last in step.process_applying_mappings():
            for row in rows:
                try:
                    named = {**row, ROW_ID: position_id(0, index)}
                    digest = hash(canonical_json(compared(row, step._draw_columns)))
                    draw = seen.get(digest, 0)
                    if draw:
                        named[DRAW] = draw
                    made = carried(named)
                except Exception as error:
                    yield from self._failed(row, index, error)
                else:
                    if draw or len(seen) < MAX_NUMBERED_ROWS:
                        seen[digest] = draw + 1
                    yield from self._made(made)
                index += 1
            self._progress.flush()
            if last:
                break
        self._progress.end_bundle()

    def _made(self, row: Row) -> Iterator[Any]:
        step = self._step
        told = told_failures(step, row, row)
        for failure in told:
            self._progress.failed(failure.kind, failure.message)
            yield TaggedOutput(FAILURES, failure)
        if told and None not in reasons_of(row, step.unique_name):
            self._progress.rows_failed += 1
            if not goes_on(step, row, told[0]):
                return
        else:
            self._progress.rows_passed += 1
        self._progress.rows_out += 1
        self._look(row)
        yield row

    def _failed(self, row: Any, index: int, error: Exception) -> Iterator[Any]:
        # The row itself can't go anywhere, also not into the failure; its text can.
        failure = failure_of(self._step, {ROW_ID: position_id(0, index)}, error)
        failure.raw_output = to_json(row)
        yield from self._lost(failure)
