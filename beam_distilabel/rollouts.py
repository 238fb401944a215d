"""How Beam runs a Task: one rollout per row on the shared engine."""

from __future__ import annotations

import asyncio
from typing import Any

from apache_beam.pvalue import TaggedOutput

from beam_distilabel.asking import Asker, Unfinished, load_engine
from beam_distilabel.attempts import (
    RetryRule,
    Tries,
    is_transient,
)
from beam_distilabel.errors import CheckpointError, EngineError
from beam_distilabel.failures import Failure, reasons_of
from beam_distilabel.generate import Asked, GenerateEach, NotStored, RowGenerate
from beam_distilabel.inference import ContinuousRunInference, text_of, to_engine
from beam_distilabel.metadata import METADATA
from beam_distilabel.models.base import answer_identity_of
from beam_distilabel.models.engine import Engine
from beam_distilabel.models.remote.retries import pause_seconds
from beam_distilabel.processing import FAILURES, ROWS, as_told, failure_of, goes_on, sendable
from beam_distilabel.row import (
    DRAW,
    ROW_ID,
    Row,
    Unnamed,
    content,
    copied,
    fingerprint,
    identify,
)
from beam_distilabel.step import StepResult
from beam_distilabel.task import CODE_VERSION, _Task


def apply_task(task: Any, rows: Any) -> StepResult:
    """Apply a Task to a PCollection of rows."""
    outputs = rows | "Generate" >> ContinuousRunInference(
        task.model,
        rollout=TaskRollout(task),
        max_in_flight=task.max_in_flight,
        prefix_affinity=bool(task.prefix_affinity),
        tags=(FAILURES,),
    )
    return StepResult(outputs[ROWS], outputs[FAILURES])


def task_key(task: Any) -> str:
    """The part of every answer's key that is the same for all rows of a Task."""
    fields = {
        name: answer_identity_of(getattr(task, name))
        for name in type(task).model_fields
        if name not in _NOT_IN_KEY | task.not_in_key
    }
    return fingerprint(
        CODE_VERSION,
        task.code_version,
        task.name,
        fields,
        task.model.answer_identity(),
        answer_identity_of(task.model.get_generation_kwargs()),
        task._context.seed,
    )


_NOT_IN_KEY = frozenset(
    (
        "name",
        "llm",
        "image_generation_model",
        "resources",
        "input_mappings",
        "output_mappings",
        "use_cache",
        "on_failure",
        "input_batch_size",
        "batch_size",
        "max_in_flight",
        "prefix_affinity",
        "group_generations",
        "add_raw_input",
        "add_raw_output",
        "max_retries",
    )
)
"""Fields that change how rows are carried, not what the model answers."""


class TaskRollout:
    """Runs a Task's rollout for each row and sorts its rows from its failures."""

    def __init__(self, task: Any) -> None:
        self._task = task

    @property
    def owner(self) -> str | None:
        """The run that the engine is used for."""
        return self._task._context.run_dir

    def load(self, handler: Any) -> Engine:
        return load_engine(self._task._context, handler)

    @property
    def begins_apart(self) -> bool:
        return self._asks_once  # a Task's own rollout may do what needs an event loop

    @property
    def has_answers(self) -> bool:
        return self._asker.has_answers

    def setup(self) -> None:
        task = self._task
        task._engine_loads_llm = True
        task.load()
        key = task_key(task)
        self._asker = Asker(task.name, task._context, key)
        self._asked = Asked(key, task.model.get_generation_kwargs(), self._asker)
        self.progress = self._asker.progress
        self._unnamed = Unnamed()
        # What every row needs is looked up once: pydantic's attributes are slow.
        self._name = task.name
        self._copies_input = task._shares_input
        self._rule = RetryRule(task.max_retries or 0, task._context.retries_failures)
        # Nothing can be asked again of a batch service whose batch is done.
        offline = getattr(task.model, "use_offline_batch_generation", False)
        self._asks_again = not offline and (self._rule != RetryRule() or self._asker.keeps)
        self._asks_once = type(task).rollout is _Task.rollout

    def use(self, engine: Engine) -> None:
        self._asker.use(engine)

    def teardown(self) -> None:
        try:
            self._asker.close()
        finally:
            self._task.unload()

    def settle(self) -> None:
        self._asker.settle()

    def flush(self, end: bool = False) -> None:
        self._asker.flush(end)

    def prefix(self, element: Row) -> str:
        try:
            # User code may change its row, which is still to be asked.
            return text_of(self._task.format_input(self._task._map_inputs(copied(element))))
        except Exception:
            return ""  # the rollout meets it again, and says so

    async def run(self, element: Row) -> list[Any]:
        task, progress = self._task, self.progress
        element = self._unnamed.named(element)
        progress.add("rows_in")
        generate = RowGenerate(self._asked, self._draw_of(element))
        try:
            rows = await self._rows(element, generate)
            if self._asks_again and generate.last_input is not None and self._has_failed(rows):
                again = self._each_again if self._asks_once else self._all_again
                rows, generate = await again(element, generate, rows)
        except Unfinished:
            progress.add("unfinished")
            return []
        sent = self._sent(element, rows)
        if isinstance(sent, Failure):
            rows = task._failed_rows(task._map_inputs(element), sent, generate.last_input)
            told, sent = sent, self._sent(element, rows)
            if isinstance(sent, Failure):  # it is the row itself that can go nowhere
                goes_on(task, element, told)
                progress.failed(told.kind, told.message)
                progress.add("rows_failed")
                return [TaggedOutput(FAILURES, told)]
        outputs: list[Any] = []
        has_passed = False
        for number, (done, row) in enumerate(sent):
            failures = self._failures(done, element, number, generate)
            for failure in failures:
                progress.failed(failure.kind, failure.message)
                outputs.append(TaggedOutput(FAILURES, failure))
            if failures and self._all_failed(done):
                if not goes_on(task, element, failures[0]):
                    continue
            else:
                has_passed = True
            progress.add("rows_out")
            outputs.append(row)
        if has_passed or not sent:
            progress.add("rows_passed")
        else:
            progress.add("rows_failed")
        return outputs

    def _sent(self, element: Row, rows: list[Row]) -> list[tuple[Row, Row]] | Failure:
        """(row as the Task made it, row as it goes on); or why they can't go on."""
        task = self._task
        try:
            if len(rows) == 1 and rows[0].get(ROW_ID) == element[ROW_ID]:
                identified = [(rows[0], element)]
            else:
                identified = identify([element], [rows], task._draws_by())
            return [
                (done, sendable(task._map_outputs(done, element), done)) for done, _ in identified
            ]
        except Exception as error:
            return failure_of(task, element, error)

    async def _rows(self, element: Row, generate: RowGenerate) -> list[Row]:
        """The rows of one attempt."""
        task = self._task
        # User code may change its row; other branches, further attempts and the failure have it as
        # it came.
        shared = self._copies_input or generate.is_repeated
        row = task._map_inputs(copied(element) if shared else dict(element))
        try:
            rows: list[Row] = await task.rollout(row, generate)
        except (EngineError, CheckpointError):
            raise
        except Exception as error:
            failure = failure_of(task, element, error)
            rows = task._failed_rows(row, failure, generate.last_input)
        return rows

    # -- further attempts ------------------------------------------------------------------------

    def _has_failed(self, rows: list[Row]) -> bool:
        return any(reason for done in rows for reason in reasons_of(done, self._name))

    def _draw_of(self, element: Row) -> Any:
        """What tells the row's answers from those to an equal prompt."""
        draw = element.get(DRAW, 0)
        if not self._task.draws_per_row:
            return draw
        told = {name: value for name, value in content(element).items() if name != METADATA}
        return [told, draw]

    async def _each_again(
        self, element: Row, generate: RowGenerate, rows: list[Row]
    ) -> tuple[list[Row], RowGenerate]:
        """Ask again for the generations that are of no use; the others stay as they are."""
        reasons = self._by_generation(rows)
        fresh = int(generate.is_fresh)
        tries = [Tries(reason["attempts"] if reason else 0, fresh=fresh) for reason in reasons]
        draw = self._draw_of(element)
        while len(reasons) == len(tries):
            before = generate.output
            if all(reason and is_transient(reason) for reason in reasons):
                before = None  # there is no answer: the same is asked again, not another
            again = {
                i: self._rule.may_ask(reason, own)
                for i, (reason, own) in enumerate(zip(reasons, tries, strict=True))
                if reason and not own.ended
            }
            if not again or (before is None and not all(again.values())):
                break
            await self._pause([(reasons[i], tries[i]) for i, may_ask in again.items() if may_ask])
            if before is None:
                generate = RowGenerate(self._asked, draw, is_repeated=True)
                rows = await self._rows(element, generate)
                asked, missing = (set(again) if generate.is_fresh else set()), set()
            else:
                for i in again:
                    tries[i].number += 1
                numbers = {i: tries[i].number for i in again}
                generate = each = GenerateEach(self._asked, draw, before, numbers, again)
                rows = await self._rows(element, generate)
                asked, missing = each.asked, each.missing
            reasons = self._by_generation(rows)
            for i, reason in enumerate(reasons):
                if i in missing:
                    tries[i].ended = True
                elif i in again:
                    tries[i].count(reason, i in asked)
        return self._counted(rows, [own.attempts for own in tries]), generate

    async def _all_again(
        self, element: Row, generate: RowGenerate, rows: list[Row]
    ) -> tuple[list[Row], RowGenerate]:
        """Repeat a rollout of a Task's own as a whole, as long as something in it fails."""
        reasons = self._by_generation(rows)
        tries = Tries(_most(reasons), fresh=int(generate.is_fresh))
        while any(reasons):
            failed = [reason for reason in reasons if reason]
            may_ask = any(self._rule.may_ask(reason, tries) for reason in failed)
            if any(not is_transient(reason) for reason in failed):
                tries.number += 1
            elif not may_ask:
                break
            if may_ask:
                await self._pause([(reason, tries) for reason in failed])
            repeated = RowGenerate(
                self._asked, self._draw_of(element), tries.number, asks=may_ask, is_repeated=True
            )
            try:
                found = await self._rows(element, repeated)
            except NotStored:
                break
            now = self._by_generation(found)
            tries.count({"attempts": _most(now)}, repeated.is_fresh)
            if sum(map(bool, now)) <= len(failed):
                rows, reasons, generate = found, now, repeated
        return self._counted(rows, [tries.attempts] * len(reasons)), generate

    async def _pause(self, asked: list[tuple[Any, Tries]]) -> None:
        """Wait where an engine may need the time to recover."""
        rounds = [tries.rounds for reason, tries in asked if is_transient(reason)]
        if rounds:
            await to_engine()  # its loop can wait
            await asyncio.sleep(pause_seconds(max(rounds)))

    def _by_generation(self, rows: list[Row]) -> list[Any]:
        """Why each generation is of no use, None where it is."""
        return [reason for done in rows for reason in reasons_of(done, self._name)]

    def _counted(self, rows: list[Row], attempts: list[int]) -> list[Row]:
        """`rows` with how often each generation that failed was asked."""
        name = f"failure_{self._name}"
        counts = iter(attempts)
        counted = []
        for done in rows:
            reasons = [
                reason and {**reason, "attempts": count}
                for reason, count in zip(reasons_of(done, self._name), counts, strict=False)
            ]
            if any(reasons):
                grouped = isinstance(done[METADATA][name], list)
                told = {**done[METADATA], name: reasons if grouped else reasons[0]}
                done = {**done, METADATA: told}
            counted.append(done)
        return counted

    # -- failures --------------------------------------------------------------------------------

    def _all_failed(self, done: Row) -> bool:
        return all(reason is not None for reason in reasons_of(done, self._name))

    def _failures(
        self, done: Row, element: Row, number: int, generate: RowGenerate
    ) -> list[Failure]:
        reasons = reasons_of(done, self._name)
        if not any(reasons):
            return []
        raw = done[METADATA].get(f"raw_output_{self._name}")
        raws = raw if isinstance(raw, list) else [raw]
        if not self._task.add_raw_output and self._asks_once:
            first = 0 if self._task.group_generations else number
            raws = generate.texts()[first:]
        return [
            Failure(
                self._name,
                reason["kind"],
                reason["message"],
                as_told(element),
                reason["attempts"],
                raws[i] if i < len(raws) and isinstance(raws[i], str) else None,
            )
            for i, reason in enumerate(reasons)
            if reason is not None
        ]


def _most(reasons: list[Any]) -> int:
    """How often the model was asked in a rollout of a Task's own, at the most."""
    return max((reason["attempts"] for reason in reasons if reason), default=1)
