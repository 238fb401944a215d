"""Tasks: Steps that ask a model; a row's whole conversation is its rollout."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, ClassVar, Protocol

import apache_beam as beam
import pyarrow as pa
from pydantic import Field, NonNegativeInt, PositiveInt, PrivateAttr

from beam_distilabel.attempts import of_generation
from beam_distilabel.errors import (
    CheckpointError,
    DistilabelNotImplementedError,
    DistilabelUserError,
    EngineError,
    ParseError,
)
from beam_distilabel.failures import Failure, attempts_of, kind_of, message_of
from beam_distilabel.metadata import METADATA, metadata_keys, metadata_of
from beam_distilabel.models.base import LLM, Model
from beam_distilabel.models.image_generation import ImageGenerationModel
from beam_distilabel.row import Row
from beam_distilabel.runtime_parameters import RuntimeParameter
from beam_distilabel.step import (
    GeneratorStep,
    GlobalStep,
    Step,
    StepResult,
    _Step,
    column_flags,
)
from beam_distilabel.typing import FormattedInput, GenerateOutput, StepInput, StepOutput

CODE_VERSION = 1
"""Part of every Task's identity; raised where a change of this module changes answers."""

_OUTPUT_KEYS = frozenset(("generations", "statistics", "finish_reasons", "failures", "reasoning"))


class Generate(Protocol):
    """What a rollout asks the model with; see `TaskRollout`."""

    def __call__(
        self, input: FormattedInput, num_generations: int = 1, **generation_kwargs: Any
    ) -> Awaitable[GenerateOutput]:
        """Answer `input`; keyword arguments go on top of the LLM's `generation_kwargs`."""


class _Task(_Step):
    """What Tasks have in common.

    Attributes:
        num_generations: how many answers per row, so how many rows come of one.
        group_generations: whether a row's answers become lists in one row instead.
        add_raw_output: whether `distilabel_metadata` keeps the model's answer.
        add_raw_input: whether it keeps the input as it was sent.
        use_default_structured_output: whether answers follow the Task's own schema, where it has
            one and the LLM has no `structured_output` of its own.
        max_in_flight: how many rows each worker thread has under way at once; what the engine
            says if None. A Task has no batch size.
        prefix_affinity: whether rows are ordered by their prompts, as far as they are at hand, so
            that those with a common beginning meet in the engine's prefix cache; the report has
            the hit rate.
        max_retries: how often an answer is asked for again. An answer that can't be parsed, or
            doesn't follow its schema, is asked for with another seed; a time limit, a busy endpoint
            or an engine that failed, after a pause that doubles; a prompt that is too long or was
            refused never. What an LLM has tried again by itself is not tried again. With several
            generations only those of no use are asked again; a Task with a rollout of its own
            repeats it as a whole. At a temperature of 0 another seed makes the same answer.
    """

    group_generations: bool = Field(default=False)
    add_raw_output: RuntimeParameter[bool] = Field(
        default=True, description="Whether to keep the model's answer in `distilabel_metadata`."
    )
    add_raw_input: RuntimeParameter[bool] = Field(
        default=True, description="Whether to keep the model's input in `distilabel_metadata`."
    )
    num_generations: RuntimeParameter[PositiveInt] = Field(
        default=1, description="The number of answers per row."
    )
    use_default_structured_output: bool = Field(default=False)
    max_in_flight: RuntimeParameter[PositiveInt] | None = Field(
        default=None, description="The rows that each worker thread has under way at once."
    )
    prefix_affinity: RuntimeParameter[bool] = Field(
        default=False, description="Whether to order rows by their prompts."
    )
    max_retries: RuntimeParameter[NonNegativeInt] = Field(
        default=0, description="How often an answer that is of no use is asked for again."
    )

    _engine_loads_llm: bool = PrivateAttr(False)
    _can_be_used_with_offline_batch_generation: bool = PrivateAttr(False)

    code_version: ClassVar[int] = 1
    """Raised where a change of a Task's prompt or parser makes finished answers stale."""

    not_in_key: ClassVar[frozenset[str]] = frozenset()
    """Fields of the Task's own that say how many rows there are, not what is asked about one."""

    draws_per_row: ClassVar[bool] = False
    """Whether every row is a draw of its own, although its prompt has nothing of it: rows that
    differ in any column get answers of their own."""

    @property
    def model(self) -> Model:
        """The model that the Task asks."""
        raise DistilabelNotImplementedError(f"{type(self).__name__} has no model.")

    def load(self) -> None:
        """Loads the model, unless the worker's engine stands for it."""
        super().load()
        if not self._engine_loads_llm:
            self.model.load()

    def unload(self) -> None:
        super().unload()
        if not self._engine_loads_llm:
            self.model.unload()

    # -- what a Task defines ---------------------------------------------------------------------

    def format_input(self, input: Row) -> FormattedInput:
        """What to ask the model about `input`; pure."""
        raise DistilabelNotImplementedError(
            f"{type(self).__name__} has to define `format_input(self, input)`."
        )

    def format_output(self, output: Any, input: Row | None = None) -> dict[str, Any]:
        """The columns that the model's answer (a text, or None) gives; pure.

        Raises:
            ParseError: the answer doesn't have the Task's form.
        """
        raise DistilabelNotImplementedError(
            f"{type(self).__name__} has to define `format_output(self, output, input)`."
        )

    def get_structured_output(self) -> dict[str, Any] | None:
        """The Task's own JSON schema, where it has one."""
        return None

    def get_outputs(self) -> dict[str, bool]:
        return {**super().get_outputs(), METADATA: True}

    def output_schema(self) -> pa.Schema | None:
        return self._schema_of({})

    def _schema_of(self, answer: Mapping[str, pa.DataType]) -> pa.Schema:
        """The types of the Task's outputs, given those of one answer's columns."""
        types = {k: pa.list_(v) if self.group_generations else v for k, v in answer.items()}
        types["model_name"] = pa.string()
        outputs = column_flags(self.outputs)
        return pa.schema([(name, kind) for name, kind in types.items() if name in outputs])

    # -- rendering and parsing -------------------------------------------------------------------

    def _format_input(self, row: Row) -> FormattedInput:
        """`format_input`, with the Task's own schema where that is asked for."""
        formatted = self.format_input(row)
        if (
            self.use_default_structured_output
            and not isinstance(formatted, tuple)
            and not getattr(self.model, "structured_output", None)
        ):
            schema = self.get_structured_output()
            if schema is not None:
                return formatted, {"format": "json", "schema": schema}  # type: ignore[return-value]
        return formatted

    def _format_inputs(self, inputs: Sequence[Row]) -> list[FormattedInput]:
        """What to ask the model about each row."""
        return [self._format_input(row) for row in inputs]

    def _format_outputs(
        self, outputs: GenerateOutput, input: Row | None = None, sent: Any = None
    ) -> list[dict[str, Any]]:
        """The columns of each generation, `distilabel_metadata` included.

        Args:
            outputs: the model's answers to one input.
            input: the row.
            sent: the input as it was sent; rendered again if not given.
        """
        if isinstance(outputs, list):
            outputs = {"generations": outputs}
        if sent is None and input is not None and self.add_raw_input:
            sent = self._format_input(input)
        generations = outputs["generations"]
        count = len(generations)
        statistics = outputs.get("statistics") or {}
        reasons = outputs.get("finish_reasons") or ()
        failures = outputs.get("failures") or ()
        reasoning = outputs.get("reasoning")
        keys = metadata_keys(self.unique_name)
        raw_input = sent[0] if isinstance(sent, tuple) else sent
        extras = {
            f"llm_{self.name}_{key}": value
            for key, value in outputs.items()
            if key not in _OUTPUT_KEYS
        }
        formatted = []
        for i, text in enumerate(generations):
            known = failures[i] if i < len(failures) else None
            if known is None:
                columns, failure = self._parse(text, input)
            else:  # the model's answer is of no use, and the LLM says why
                text = known.get("raw_output")
                failure = Failure(
                    self.unique_name, known["kind"], known["message"], {}, known.get("attempts", 1)
                ).reason()
                columns = dict.fromkeys(self._declared_outputs())
            if not isinstance(text, str):
                text = self._storable(text)
            metadata = metadata_of(columns)  # a Task's parser may add to it
            if self.add_raw_output:
                metadata[keys.raw_output] = text
            if self.add_raw_input:
                metadata[keys.raw_input] = raw_input
            metadata[keys.statistics] = {
                name: of_generation(counts, i, count) for name, counts in statistics.items()
            }
            metadata[keys.finish_reason] = reasons[i] if i < len(reasons) else None
            metadata[keys.failure] = failure
            if reasoning is not None:
                metadata[keys.reasoning] = reasoning[i] if i < len(reasoning) else None
            for key, value in extras.items():
                columns[key] = of_generation(value, i, count)
            columns[METADATA] = metadata
            formatted.append(columns)
        return formatted

    def _parse(self, text: Any, row: Row | None) -> tuple[dict[str, Any], dict[str, Any] | None]:
        """The columns of one answer, and why there are none where there are none."""
        try:
            if isinstance(self.model, LLM) and not isinstance(text, (str, type(None))):
                # It would change the type of the column, and so the value of every row.
                raise ParseError(f"the LLM gave {type(text).__name__}, expected text or None")
            columns = dict(self.format_output(text, row))
            declared = self._declared_outputs()
            if declared and all(columns.get(name) is None for name in declared):
                raise ParseError("`format_output` gave None for all outputs of this answer")
            return columns, None
        except Exception as error:
            # A Task's parser fails on what the model wrote, whatever it raises.
            failure = Failure(self.unique_name, "parse", message_of(error), {})
            return dict.fromkeys(self._declared_outputs()), failure.reason()

    def _storable(self, answer: Any) -> Any:
        """An answer that is no text, as `raw_output` keeps it."""
        return answer if answer is None or not isinstance(self.model, LLM) else repr(answer)

    def _declared_outputs(self) -> list[str]:
        return [name for name in self.outputs if name not in ("model_name", METADATA)]

    def _finished_rows(self, row: Row, outputs: GenerateOutput, sent: Any) -> list[Row]:
        """The rows that the model's answers to `row` make."""
        return self._rows_made(row, self._format_outputs(outputs, row, sent))

    def _rows_made(self, row: Row, formatted: Sequence[dict[str, Any]]) -> list[Row]:
        """The rows that `row` and the columns of each of its generations make."""
        known = metadata_of(row)
        model_name = self.model.model_name
        if self.group_generations:
            columns = _grouped(formatted)
            metadata = _grouped([columns_of[METADATA] for columns_of in formatted])
            return [{**row, **columns, "model_name": model_name, METADATA: {**known, **metadata}}]
        return [
            {
                **row,
                **{name: value for name, value in columns.items() if name != METADATA},
                "model_name": model_name,
                METADATA: {**known, **columns[METADATA]},
            }
            for columns in formatted
        ]

    def _failed_rows(self, row: Row, failure: Failure, sent: Any = None) -> list[Row]:
        """The rows that stand for `row` where the model could not be asked or didn't answer."""
        count = self.num_generations or 1
        reason = failure.reason()
        keys = metadata_keys(self.unique_name)
        metadata: dict[str, Any] = {}
        if self.add_raw_output:
            metadata[keys.raw_output] = None
        if self.add_raw_input:
            metadata[keys.raw_input] = sent[0] if isinstance(sent, tuple) else sent
        metadata[keys.statistics] = {"input_tokens": None, "output_tokens": None}
        metadata[keys.finish_reason] = None
        metadata[keys.failure] = reason
        columns = dict.fromkeys(self._declared_outputs())
        if self.group_generations:
            columns = _grouped([columns] * count)
            metadata = _grouped([metadata] * count)
            count = 1
        model_name = self.model.model_name
        whole = {**row, **columns, "model_name": model_name}
        known = metadata_of(row)
        return [{**whole, METADATA: {**known, **metadata}} for _ in range(count)]

    def _rows_of_failure(self, row: Row, failure: Failure) -> list[Row]:
        failed = self._failed_rows(self._map_inputs(row), failure)
        return [self._map_outputs(done, row) for done in failed]

    # -- the rollout -----------------------------------------------------------------------------

    def rolls_out(self) -> bool:
        """Whether a pipeline asks by `rollout`, and not by a `process` of the Task's own."""
        return False

    async def rollout(self, row: Row, generate: Generate) -> list[Row]:
        """Everything that is asked about one row; the default renders, asks once, and parses.

        Override it where a Task asks several times: the whole conversation stays on the worker.

        Args:
            row: the row, under the names that the Task expects.
            generate: asks the model; may be awaited many times, also concurrently.

        Returns:
            The rows that come of `row`.

        Raises:
            GenerationError: the model refused; costs this row only.
            ParseError: an answer can't be used; costs this row only.
        """
        try:
            sent = self._format_input(row)
        except Exception as error:
            failure = Failure(self.unique_name, "render", message_of(error), row)
            return self._failed_rows(row, failure)
        try:
            outputs = await generate(sent, self.num_generations or 1)
        except (EngineError, CheckpointError):
            raise
        except Exception as error:
            kind = "engine" if kind_of(error) == "user_code" else kind_of(error)
            failure = Failure(self.unique_name, kind, message_of(error), row, attempts_of(error))
            return self._failed_rows(row, failure, sent)
        return self._finished_rows(row, outputs, sent)

    # -- looking at it ---------------------------------------------------------------------------

    def sample_row(self) -> Row:
        """A row of placeholders, which `print` shows the prompt of."""
        from beam_distilabel.showing import sample_row

        return sample_row(column_flags(self.inputs))

    def first_prompt(self, row: Row) -> FormattedInput:
        """What is asked first about `row`; nothing is asked.

        Raises:
            DistilabelUserError: a rollout of the Task's own asks nothing.
        """
        from beam_distilabel.showing import first_prompt

        if type(self).format_input is not _Task.format_input:
            return self._format_input(row)
        prompt: FormattedInput = first_prompt(self, row)
        return prompt

    def _sample_input(self) -> Any:
        """What `print` shows; distilabel's name, which a user's Task may define."""
        return self.first_prompt(self.sample_row())

    def print(self, sample_input: Any = None) -> None:
        """Show the prompt of a row, of placeholders by default; of several the first.

        Args:
            sample_input: a row, or a chat as `format_input` returns it.

        Raises:
            DistilabelUserError: no prompt can be made of it.
        """
        from beam_distilabel.showing import show_prompt

        show_prompt(self, sample_input)


class Task(_Task, Step):
    """A Step that asks an LLM about every row; subclasses define `format_input`, `format_output`.

    Attributes:
        llm: the language model.

    Example:
        >>> from beam_distilabel.models.base import AsyncLLM
        >>> class Shout(AsyncLLM):
        ...     @property
        ...     def model_name(self): return "shout"
        ...     async def agenerate(self, input, num_generations=1):
        ...         return {"generations": [input[0]["content"].upper()] * num_generations}
        >>> class Answer(Task):
        ...     @property
        ...     def inputs(self): return ["question"]
        ...     @property
        ...     def outputs(self): return ["answer", "model_name"]
        ...     def format_input(self, input):
        ...         return [{"role": "user", "content": input["question"]}]
        ...     def format_output(self, output, input=None): return {"answer": output}
        >>> task = Answer(llm=Shout())
        >>> task.load()
        >>> next(task.process([{"question": "why?"}]))[0]["answer"]
        'WHY?'
    """

    llm: LLM

    @property
    def model(self) -> Model:
        return self.llm

    def rolls_out(self) -> bool:
        return type(self).process is Task.process and not self.is_global

    def process(self, inputs: StepInput) -> StepOutput:  # type: ignore[override]
        """Ask about a batch of rows, outside of a pipeline; call `load()` first."""
        yield self._process_batch(inputs)

    def _process_batch(self, inputs: Sequence[Row]) -> list[Row]:
        from beam_distilabel.batched_rollouts import roll_out

        if type(self).rollout is not _Task.rollout:
            return [done for rows in roll_out(self, inputs) for done in rows]
        model: Any = self.model
        formatted = self._format_inputs(inputs)
        outputs = model.generate_outputs(
            inputs=formatted,
            num_generations=self.num_generations,
            **model.get_generation_kwargs(),
        )
        return [
            done
            for row, output, sent in zip(inputs, outputs, formatted, strict=True)
            for done in self._finished_rows(row, output, sent)
        ]

    def apply_to(self, rows: Any) -> StepResult:
        from beam_distilabel.rollouts import apply_task

        joins = isinstance(rows, (tuple, list))
        if not self.rolls_out() or joins:
            return super().apply_to(rows)
        if self.llm.use_offline_batch_generation:
            rows = rows | "One place" >> Gather()  # or every worker would send batches of its own
        return apply_task(self, rows)


class Gather(beam.PTransform):
    """Brings all rows (of a window) to one worker, in one bundle."""

    def expand(self, pcoll: Any) -> Any:
        return (
            pcoll
            | "Key" >> beam.WithKeys(None)
            | "Group" >> beam.GroupByKey()
            | "Rows" >> beam.Values()
            | "Each" >> beam.FlatMap(lambda rows: rows)
        )


class GlobalTask(Task, GlobalStep):
    """A Task that needs all rows at once; subclasses define `process`."""


class GeneratorTask(_Task, GeneratorStep):
    """A GeneratorStep that asks an LLM; subclasses define `process(offset)`.

    Attributes:
        llm: the language model.
    """

    llm: LLM

    @property
    def model(self) -> Model:
        return self.llm


class ImageTask(_Task, Step):
    """A Step that asks an image generation model about every row.

    Attributes:
        image_generation_model: the model; also readable as `llm`.
    """

    written_twice: ClassVar[frozenset[str]] = frozenset(("llm",))
    """What distilabel's files have once more under another name."""

    image_generation_model: ImageGenerationModel

    @property
    def model(self) -> Model:
        return self.image_generation_model

    @property
    def llm(self) -> Any:
        """The image generation model."""
        return self.image_generation_model

    def rolls_out(self) -> bool:
        return type(self).process is ImageTask.process

    def process(self, inputs: StepInput) -> StepOutput:  # type: ignore[override]
        """Ask about a batch of rows; how a Task works outside of a pipeline."""
        yield Task._process_batch(self, inputs)  # type: ignore[arg-type]

    def apply_to(self, rows: Any) -> StepResult:
        from beam_distilabel.rollouts import apply_task

        if not self.rolls_out() or isinstance(rows, (tuple, list)):
            return super().apply_to(rows)
        return apply_task(self, rows)


def _grouped(dicts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Dicts of one generation each as one dict of lists; metadata is left to the caller."""
    names = dict.fromkeys(name for one in dicts for name in one if name != METADATA)
    return {name: [one.get(name) for one in dicts] for name in names}


def check_llm(task: Any) -> None:
    """Raise where the Task's model was given arguments that it doesn't take."""
    offline = getattr(task.model, "use_offline_batch_generation", False)
    if offline and not task._can_be_used_with_offline_batch_generation:
        raise DistilabelUserError(
            f"{task._described()} can't be used with use_offline_batch_generation=True: it asks "
            "more than once per row, or has a `process` of its own. Leave it False."
        )
    if offline and not getattr(task.model, "has_batch_service", False):
        raise DistilabelUserError(
            f"{task._described()}: {type(task.model).__name__} has no batch service; leave "
            "use_offline_batch_generation False."
        )
    if task.max_retries and (offline or not task.rolls_out()):
        raise DistilabelUserError(
            f"{task._described()}: max_retries={task.max_retries} has no effect with "
            "use_offline_batch_generation=True or where `process` is the Task's own; leave it 0."
        )
    try:
        task.model.check_generation_kwargs()
    except DistilabelUserError as error:
        raise DistilabelUserError(f"{task._described()}: {error}") from None


__all__ = [
    "GeneratorTask",
    "GlobalTask",
    "Generate",
    "ImageTask",
    "Task",
    "check_llm",
]
