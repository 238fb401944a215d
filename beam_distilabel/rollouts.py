"""How Beam runs a Task: one rollout per row on the shared engine."""

from __future__ import annotations

from typing import Any

from apache_beam.pvalue import TaggedOutput

from beam_distilabel.asking import Asker, Unfinished, load_engine
from beam_distilabel.errors import CheckpointError, EngineError, RowError
from beam_distilabel.failures import Failure, kind_of, message_of
from beam_distilabel.inference import ContinuousRunInference, text_of
from beam_distilabel.metadata import METADATA
from beam_distilabel.models.engine import Engine, GenerateRequest
from beam_distilabel.processing import FAILURES, ROWS, sendable
from beam_distilabel.row import (
    DRAW,
    ROW_ID,
    Row,
    Unnamed,
    content,
    copied,
    fingerprint,
    identify,
    seed_from,
)
from beam_distilabel.step import StepResult
from beam_distilabel.task import CODE_VERSION
from beam_distilabel.typing import FormattedInput, GenerateOutput


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
        name: getattr(task, name)
        for name in type(task).model_fields
        if name not in _NOT_IN_KEY and not isinstance(getattr(task, name), type(task.model))
    }
    return fingerprint(
        CODE_VERSION,
        task.code_version,
        task.name,
        fields,
        task.model.answer_identity(),
        task.model.get_generation_kwargs(),
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
        "max_in_flight",
        "prefix_affinity",
        "group_generations",
        "add_raw_input",
        "add_raw_output",
    )
)
"""Fields that change how rows are carried, not what the model answers."""


_NOTHING_FAILED: list[Any] = [None]


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

    def setup(self, engine: Engine) -> None:
        task = self._task
        task._engine_loads_llm = True
        task.load()
        self._kwargs = task.model.get_generation_kwargs()
        self._key = task_key(task)
        self._asker = Asker(task.name, task._context, engine, self._key)
        self.progress = self._asker.progress
        self._unnamed = Unnamed()
        # What every row needs is looked up once: pydantic's attributes are slow.
        self._name = task.name
        self._copies_input = task._shares_input

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
        progress.rows_in += 1
        # User code may change its row; other branches and the failure have it as it came.
        row = task._map_inputs(copied(element) if self._copies_input else dict(element))
        generate = _Generate(self, row.get(DRAW, 0))
        try:
            rows = await task.rollout(row, generate)
        except Unfinished:
            progress.unfinished += 1
            return []
        except (EngineError, CheckpointError):
            raise
        except Exception as error:
            failure = Failure(task.name, kind_of(error), message_of(error), element)
            rows = task._failed_rows(row, failure, generate.last_input)
        if len(rows) == 1 and rows[0].get(ROW_ID) == element[ROW_ID]:
            identified = [(rows[0], element)]
        else:
            identified = identify([element], [rows])
        outputs: list[Any] = []
        for done, _ in identified:
            failures = self._failures(done, element)
            for failure in failures:
                progress.failed(failure.kind)
                outputs.append(TaggedOutput(FAILURES, failure))
            if failures and task.on_failure != "null" and self._all_failed(done):
                if task.on_failure == "raise":
                    raise RowError(
                        f"{task._described()}: a row failed ({failures[0].kind}): "
                        f"{failures[0].message} Row: {str(content(element))[:500]}. With "
                        "on_failure='null' or 'drop' the run goes on."
                    )
                continue
            progress.rows_out += 1
            outputs.append(sendable(task._map_outputs(done, element), done))
        return outputs

    def _reasons(self, done: Row) -> list[Any]:
        """The failure of each generation in a finished row, None where there is none."""
        metadata = done.get(METADATA)
        if not isinstance(metadata, dict):
            return _NOTHING_FAILED
        reason = metadata.get(f"failure_{self._name}")
        if reason is None:
            return _NOTHING_FAILED
        return reason if isinstance(reason, list) else [reason]

    def _all_failed(self, done: Row) -> bool:
        return all(reason is not None for reason in self._reasons(done))

    def _failures(self, done: Row, element: Row) -> list[Failure]:
        reasons = self._reasons(done)
        if reasons == _NOTHING_FAILED:
            return []
        raw = done[METADATA].get(f"raw_output_{self._name}")
        raws = raw if isinstance(raw, list) else [raw]
        return [
            Failure(
                self._name,
                reason["kind"],
                reason["message"],
                element,
                reason["attempts"],
                raws[i] if i < len(raws) and isinstance(raws[i], str) else None,
            )
            for i, reason in enumerate(reasons)
            if reason is not None
        ]


class _Generate:
    """Asks the engine on behalf of one row: arguments, seeds, token counts."""

    __slots__ = ("_asked", "_draw", "_rollout", "last_input")

    def __init__(self, rollout: TaskRollout, draw: int) -> None:
        self._rollout = rollout
        self._draw = draw
        self._asked: dict[str, int] = {}
        self.last_input: Any = None

    async def __call__(
        self, input: FormattedInput, num_generations: int = 1, **overrides: Any
    ) -> GenerateOutput:
        rollout = self._rollout
        self.last_input = input
        key = fingerprint(rollout._key, input, self._draw, overrides)
        nth = self._asked.get(key, 0)
        self._asked[key] = nth + 1
        kwargs = {**rollout._kwargs, **overrides} if overrides else rollout._kwargs
        # The key is a hash: its own bits are a seed, as long as it is the first of its kind.
        seed = seed_from(key, nth) if nth else int(key[:8], 16) >> 1
        request = GenerateRequest(input, num_generations, kwargs, seed)
        if nth or num_generations != 1:
            key = fingerprint(key, nth, num_generations)
        return await rollout._asker.ask(request, key)
