"""What the evolving Tasks share: rewriting a text again and again, a random way each time."""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from pydantic import Field, PositiveInt, model_validator
from typing_extensions import Self

from beam_distilabel.attempts import of_generation
from beam_distilabel.errors import (
    CheckpointError,
    DistilabelUserError,
    EngineError,
    GenerationError,
    ParseError,
)
from beam_distilabel.failures import Failure, attempts_of, kind_of, message_of
from beam_distilabel.metadata import METADATA, metadata_keys
from beam_distilabel.models.engine import gather_or_cancel
from beam_distilabel.row import DRAW, Row, seed_from
from beam_distilabel.runtime_parameters import RuntimeParameter
from beam_distilabel.task import Generate, Task
from beam_distilabel.typing import ChatType


@dataclasses.dataclass
class Lineage:
    """What became of a row's text, for one of its generations.

    Attributes:
        number: which generation of the row it is.
        texts: the text as it came, and what it evolved into.
        mutations: the name of the template of each evolution.
        answers: to what `Evolving.asked_for` named.
        counts: the tokens that evolving took, and answer_counts those of the answers.
        sent: what was asked last, answered with `last`, which ended for `finish_reason`.
        failure: why it goes no further.
    """

    number: int
    texts: list[str]
    mutations: list[str] = dataclasses.field(default_factory=list)
    answers: list[str | None] = dataclasses.field(default_factory=list)
    counts: dict[str, int] = dataclasses.field(default_factory=dict)
    answer_counts: dict[str, int] = dataclasses.field(default_factory=dict)
    sent: ChatType | None = None
    last: str | None = None
    finish_reason: str | None = None
    failure: Failure | None = None


class Evolving(Task, abc.ABC):
    """A Task that evolves a column's text `num_evolutions` times, each time what the last made.

    All evolutions of a row happen on the worker. Which template an evolution uses depends on the
    run's seed, `seed`, the Step's name and the row's own texts, so a retried or resumed run repeats
    itself and equal rows are evolved in ways of their own.

    Attributes:
        num_evolutions: how often the text is evolved.
        store_evolutions: whether all evolutions are kept, in a list, or the last one only.
        mutation_templates: the prompts by name; "<PROMPT>" in one stands for the instruction.
        seed: for the choice among the templates, on top of the run's own.
    """

    num_evolutions: PositiveInt
    store_evolutions: bool = False
    mutation_templates: dict[str, str]
    seed: RuntimeParameter[int] = Field(
        default=42, description="The seed of the choice among the mutation templates."
    )

    # A prompt says all that its answer depends on: more evolutions cost the new ones only.
    not_in_key: ClassVar[frozenset[str]] = frozenset(
        (
            "num_evolutions",
            "store_evolutions",
            "generate_answers",
            "include_original_instruction",
            "include_original_response",
        )
    )

    @property
    @abc.abstractmethod
    def placeholder(self) -> str:
        """What stands in every template for the text that evolves."""

    @abc.abstractmethod
    def _texts(self, row: Row) -> dict[str, str]:
        """Placeholder to the row's text, that of `placeholder` among them.

        Raises:
            ValueError: a column has no text.
        """

    @abc.abstractmethod
    def _evolved(self, output: str) -> str:
        """The evolved text in an answer; empty if there is none."""

    @abc.abstractmethod
    def _made(self, lineage: Lineage) -> dict[str, Any]:
        """The columns of a lineage that has come to its end."""

    def _to_answer(self, lineage: Lineage) -> list[str]:
        """The texts of a lineage that are to be answered."""
        return []

    @model_validator(mode="after")
    def _templates_have_placeholders(self) -> Self:
        described = f"{type(self).__name__} {self.name or ''}: mutation_templates"
        if not self.mutation_templates:
            raise DistilabelUserError(f"{described} is empty; give one template at least.")
        for name, template in self.mutation_templates.items():
            if self.placeholder not in template:
                raise DistilabelUserError(
                    f"{described}[{name!r}] lacks {self.placeholder}, which stands for the text "
                    "that evolves; put it where the text is to be."
                )
        return self

    @property
    def mutation_templates_names(self) -> list[str]:
        """The names of the templates."""
        return list(self.mutation_templates)

    # -- what is asked ---------------------------------------------------------------------------

    def format_input(self, input: Row) -> ChatType:
        """The prompt of the first evolution of a row."""
        texts = self._texts(input)
        return self._prompt(self._mutation(input, texts, 0, 0), texts)

    def format_output(self, output: str | None, input: Row | None = None) -> dict[str, Any]:
        """The columns of a single evolution's answer."""
        first = "" if input is None else self._texts(input)[self.placeholder]
        made = self._made(Lineage(0, [first, self._read(output)]))
        return {**dict.fromkeys(self._declared_outputs()), **made}

    def _prompt(self, mutation: str, texts: Mapping[str, str]) -> ChatType:
        # All at once: a text may have another's placeholder in it.
        pattern = "|".join(map(re.escape, texts))
        template = self.mutation_templates[mutation]
        content = re.sub(pattern, lambda match: texts[match[0]], template)
        return [{"role": "user", "content": content}]

    def _mutation(self, row: Row, texts: Mapping[str, str], number: int, turn: int) -> str:
        """The name of the template of an evolution."""
        names = self.mutation_templates_names
        draw = row.get(DRAW, 0)
        told = [*texts.values()]
        seeds = (self._context.seed, self.seed, self.unique_name, told, draw, number, turn)
        return names[seed_from(*seeds) % len(names)]

    def _read(self, output: str | None) -> str:
        """The evolved text in an answer.

        Raises:
            ParseError: there is none.
        """
        if output is None:
            raise ParseError("the model gave no answer")
        text = self._evolved(output).strip()
        if not text:
            raise ParseError("the answer has no evolved text")
        return text

    # -- the rollout -----------------------------------------------------------------------------

    async def rollout(self, row: Row, generate: Generate) -> list[Row]:
        """Evolve a row's text, for each of `num_generations` on its own."""
        try:
            texts = self._texts(row)
        except ValueError as error:
            failure = Failure(self.unique_name, "render", message_of(error), row)
            return self._failed_rows(row, failure)
        first = texts[self.placeholder]
        lineages = [Lineage(number, [first]) for number in range(self.num_generations or 1)]
        for turn in range(self.num_evolutions):
            # All of one turn before the next, so that equal prompts are asked in a known order.
            await gather_or_cancel(
                self._evolve(lineage, turn, row, texts, generate)
                for lineage in lineages
                if lineage.failure is None
            )
        await gather_or_cancel(
            self._answer(lineage, number, text, generate)
            for lineage in lineages
            if lineage.failure is None
            for number, text in enumerate(self._to_answer(lineage))
        )
        return self._rows_made(row, [self._columns(lineage) for lineage in lineages])

    async def _evolve(
        self, lineage: Lineage, turn: int, row: Row, texts: Mapping[str, str], generate: Generate
    ) -> None:
        mutation = self._mutation(row, texts, lineage.number, turn)
        lineage.mutations.append(mutation)
        sent = self._prompt(mutation, {**texts, self.placeholder: lineage.texts[-1]})
        with self._told(lineage, f"evolution {turn + 1} of {self.num_evolutions} ({mutation})"):
            output = await self._ask(lineage, sent, generate, lineage.counts)
            lineage.texts.append(self._read(output))

    async def _answer(self, lineage: Lineage, number: int, text: str, generate: Generate) -> None:
        lineage.answers.append(None)
        sent: ChatType = [{"role": "user", "content": text}]
        with self._told(lineage, f"answer {number + 1}"):
            output = await self._ask(lineage, sent, generate, lineage.answer_counts)
            if output is None:
                raise ParseError("the model gave no answer")
            lineage.answers[number] = output

    async def _ask(
        self, lineage: Lineage, sent: ChatType, generate: Generate, counts: dict[str, int]
    ) -> str | None:
        """The answer to `sent`.

        Raises:
            GenerationError: there is none, and the LLM says why.
        """
        lineage.sent, lineage.last, lineage.finish_reason = sent, None, None
        output = await generate(sent)
        for name, value in (output.get("statistics") or {}).items():
            spent = of_generation(value, 0, 1)
            if isinstance(spent, int):
                counts[name] = counts.get(name, 0) + spent
        known = next(iter(output.get("failures") or ()), None)
        if known is not None:
            lineage.last = known.get("raw_output")
            error = GenerationError(known["message"], known["kind"])
            error.attempts = known.get("attempts", 1)
            raise error
        lineage.finish_reason = next(iter(output.get("finish_reasons") or ()), None)
        [text] = output["generations"]
        if not isinstance(text, (str, type(None))):
            raise ParseError(f"the LLM gave {type(text).__name__}, expected text or None")
        lineage.last = text
        return text

    @contextlib.contextmanager
    def _told(self, lineage: Lineage, doing: str) -> Iterator[None]:
        """Ends the lineage where what it does fails."""
        try:
            yield
        except (EngineError, CheckpointError):
            raise
        except Exception as error:
            kind = "engine" if kind_of(error) == "user_code" else kind_of(error)
            message = f"{doing}: {message_of(error)}"
            lineage.failure = Failure(self.unique_name, kind, message, {}, attempts_of(error))

    def _columns(self, lineage: Lineage) -> dict[str, Any]:
        """The columns of a lineage, the metadata included."""
        keys = metadata_keys(self.unique_name)
        counts = [lineage.counts, lineage.answer_counts]
        names = dict.fromkeys(name for one in counts for name in one)
        metadata: dict[str, Any] = {}
        if self.add_raw_output:
            metadata[keys.raw_output] = lineage.last
        if self.add_raw_input:
            metadata[keys.raw_input] = lineage.sent
        metadata[keys.statistics] = {
            name: sum(one.get(name, 0) for one in counts) for name in names
        } or {"input_tokens": None, "output_tokens": None}
        metadata[keys.finish_reason] = lineage.finish_reason
        metadata[keys.failure] = None if lineage.failure is None else lineage.failure.reason()
        metadata[f"mutations_{self.unique_name}"] = lineage.mutations
        columns = dict.fromkeys(self._declared_outputs())
        if len(lineage.texts) == 1 + self.num_evolutions:
            columns.update(self._made(lineage))
        return {**columns, METADATA: metadata}


__all__ = ["Evolving", "Lineage"]
