"""Magpie: instructions and conversations that a chat model makes up itself, both sides of them."""

from __future__ import annotations

import math
import random
from typing import Any, ClassVar, Final, Literal, NamedTuple

import pyarrow as pa
from pydantic import Field, PositiveInt, field_validator, model_validator
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
from beam_distilabel.generator_task import RolloutGeneratorTask
from beam_distilabel.metadata import METADATA, metadata_keys
from beam_distilabel.models.base import LLM
from beam_distilabel.models.engine import gather_or_cancel
from beam_distilabel.models.magpie import MAGPIE_PRE_QUERY_TEMPLATES
from beam_distilabel.row import DRAW, Row, content, seed_from
from beam_distilabel.runtime_parameters import RuntimeParameter
from beam_distilabel.task import Generate, Task, _Task
from beam_distilabel.typing import ChatType, StepColumns

MAGPIE_MULTI_TURN_SYSTEM_PROMPT: Final = (
    "This is a conversation of several rounds. The user opens with a question or a request and "
    "keeps to the subject afterwards, asking for details, examples or changes. Answer every "
    "message helpfully, correctly and in depth."
)
"""The system prompt of conversations of several turns that have no other."""

Role = Literal["user", "assistant"]

SystemPrompt = list[str] | dict[str, str] | dict[str, tuple[str, float]] | str

_MESSAGE: Final = pa.struct([("role", pa.string()), ("content", pa.string())])


class _Choice(NamedTuple):
    """A system prompt that may be chosen; `key` is its name where it has one."""

    key: str | None
    text: str
    weight: float


class _Talk:
    """One conversation under way.

    Attributes:
        key: the name of its system prompt.
        opening: how it begins: the system message, or nothing.
        chat: what was said so far, with the opening.
        counts: its tokens so far.
        last: the model's last text, also where that is of no use.
        finish_reason: of the last turn.
        failure: why it ended before its time.
    """

    def __init__(self, key: str | None, opening: ChatType) -> None:
        self.key = key
        self.opening = opening
        self.chat: ChatType = list(opening)
        self.counts: dict[str, int] = {}
        self.last: Any = None
        self.finish_reason: str | None = None
        self.failure: Failure | None = None


class MagpieBase(_Task):
    """What `Magpie` and `MagpieGenerator` have in common.

    A chat model has learnt what users write, too: given its chat template's beginning of a user's
    turn and no message, it goes on with one. Asked again with that message it answers it.

    Attributes:
        llm: an LLM that can write the user's turn: one with the fields `use_magpie_template`, which
            is switched on here, and `magpie_pre_query_template`, which has to be set.
        n_turns: how many times the user and the assistant speak.
        end_with_user: whether the last answer is left out.
        include_system_prompt: whether the conversation begins with the system message, if it has
            one.
        only_instruction: whether to make the first message only; `n_turns` has no effect then.
        system_prompt: a text, a list of texts, or a dict of names to texts or to (text, weight);
            of several one is drawn for each conversation, with equal chances or those of the
            weights, whose sum is 1.
        num_generations: how many conversations are made of a row.

    Source: Xu et al. 2024, https://arxiv.org/abs/2406.08464

    Citations:
        @misc{xu2024magpiealignmentdatasynthesis,
            title={Magpie: Alignment Data Synthesis from Scratch by Prompting Aligned LLMs with
                Nothing},
            author={Zhangchen Xu and Fengqing Jiang and Luyao Niu and Yuntian Deng and
                Radha Poovendran and Yejin Choi and Bill Yuchen Lin},
            year={2024},
            eprint={2406.08464},
            archivePrefix={arXiv},
            primaryClass={cs.CL},
            url={https://arxiv.org/abs/2406.08464},
        }
    """

    llm: LLM
    n_turns: RuntimeParameter[PositiveInt] = Field(
        default=1, description="How many times the user and the assistant speak."
    )
    end_with_user: RuntimeParameter[bool] = Field(
        default=False, description="Whether the last answer is left out."
    )
    include_system_prompt: RuntimeParameter[bool] = Field(
        default=False, description="Whether the conversation begins with the system message."
    )
    only_instruction: RuntimeParameter[bool] = Field(
        default=False, description="Whether to make the first message of the user only."
    )
    system_prompt: RuntimeParameter[SystemPrompt] | None = Field(
        default=None,
        description="The system prompt, or several (a list, a dict by name, a dict of name to "
        "prompt and weight) of which one is drawn for each conversation.",
    )

    draws_per_row: ClassVar[bool] = True

    @field_validator("system_prompt")
    @classmethod
    def _can_be_drawn(cls, system_prompt: SystemPrompt | None) -> SystemPrompt | None:
        if system_prompt is None or isinstance(system_prompt, str):
            return system_prompt
        choices = _choices(system_prompt)
        if not choices:
            raise DistilabelUserError(
                f"{cls.__name__}: system_prompt={system_prompt!r} is empty; give at least one "
                "prompt, or None."
            )
        weights = [choice.weight for choice in choices]
        if any(not weight >= 0 for weight in weights) or not math.isclose(
            math.fsum(weights), 1, abs_tol=1e-6
        ):
            raise DistilabelUserError(
                f"{cls.__name__}: the weights of system_prompt are {weights}; they have to be 0 or "
                f"more and their sum 1, it is {math.fsum(weights):g}."
            )
        return system_prompt

    @model_validator(mode="after")
    def _llm_writes_for_users(self) -> Self:
        llm: Any = self.llm
        if not hasattr(llm, "use_magpie_template"):
            raise DistilabelUserError(
                f"{type(self).__name__} {self.name or ''}: {type(llm).__name__} can't write the "
                "user's turn; take an LLM that applies the model's chat template itself: vLLM, "
                "ClientvLLM, TransformersLLM, LlamaCppLLM, MlxLLM, InferenceEndpointsLLM or "
                "OllamaLLM, or a class of your own with MagpieChatTemplateMixin."
            )
        if not llm.magpie_pre_query_template:
            known = ", ".join(map(repr, MAGPIE_PRE_QUERY_TEMPLATES))
            raise DistilabelUserError(
                f"{type(self).__name__} {self.name or ''}: {type(llm).__name__} needs "
                f"`magpie_pre_query_template`: {known}, or what the model's chat template puts "
                "before a user's message."
            )
        missing = [name for name in getattr(llm, "magpie_needs", ()) if not getattr(llm, name)]
        if missing:
            raise DistilabelUserError(
                f"{type(self).__name__} {self.name or ''}: {type(llm).__name__} needs "
                f"`{missing[0]}`, the tokenizer whose chat template renders the prompts, to write "
                "the user's turn."
            )
        if not llm.use_magpie_template:
            # The user's own object, so that Steps that share it go on sharing an engine.
            llm.use_magpie_template = True
        return self

    # -- columns ---------------------------------------------------------------------------------

    @property
    def outputs(self) -> StepColumns:
        """`instruction`, `instruction` and `response`, or `conversation`; see the class."""
        columns = self._made()
        if isinstance(self.system_prompt, dict):
            columns.append("system_prompt_key")
        return [*columns, "model_name"]

    def _made(self) -> list[str]:
        if self.only_instruction:
            return ["instruction"]
        if self._turns() == 1 and not self.end_with_user:
            pair = ["instruction", "response"]
            return [*pair, "conversation"] if self.include_system_prompt else pair
        return ["conversation"]

    def output_schema(self) -> pa.Schema | None:
        return self._schema_of(
            {
                "instruction": pa.string(),
                "response": pa.string(),
                "conversation": pa.list_(_MESSAGE),
                "system_prompt_key": pa.string(),
            }
        )

    # -- what is asked ---------------------------------------------------------------------------

    def format_input(self, input: Row) -> ChatType:
        """How the conversation about a row begins: its system message, or nothing."""
        return self._opened(input, 0).opening

    def _sample_input(self) -> Any:
        begun = str(getattr(self.llm, "magpie_pre_query_template", ""))
        begun = MAGPIE_PRE_QUERY_TEMPLATES.get(begun, begun)
        return [*self.format_input({}), {"role": "user (begun for the model)", "content": begun}]

    def _opened(self, row: Row, number: int) -> _Talk:
        """The `number`-th conversation of a row, before anything is said.

        Raises:
            ValueError: the row's `system_prompt` is no text.
        """
        given = row.get("system_prompt")
        if given is not None and not isinstance(given, str):
            raise ValueError(
                f"the column 'system_prompt' has {type(given).__name__}, expected text"
            )
        key = None
        if not given and self.system_prompt is not None:
            key, given = self._drawn(row, number)
        if not given and self._turns() > 1:
            given = MAGPIE_MULTI_TURN_SYSTEM_PROMPT
        return _Talk(key, [{"role": "system", "content": given}] if given else [])

    def _drawn(self, row: Row, number: int) -> tuple[str | None, str]:
        """The name and the text of one of the system prompts."""
        assert self.system_prompt is not None
        choices = _choices(self.system_prompt)
        if len(choices) == 1:
            return choices[0].key, choices[0].text
        told = {name: value for name, value in content(row).items() if name != METADATA}
        seed = seed_from(
            self._context.seed, self.unique_name, told, row.get(DRAW, 0), "system prompt", number
        )
        weights = [choice.weight for choice in choices]
        [chosen] = random.Random(seed).choices(choices, weights)
        return chosen.key, chosen.text

    def _turns(self) -> int:
        return 1 if self.only_instruction else self.n_turns or 1

    def _roles(self) -> list[Role]:
        """Who speaks, in order."""
        roles: list[Role] = ["user", "assistant"] * self._turns()
        return roles[:-1] if self.only_instruction or self.end_with_user else roles

    # -- the rollout -----------------------------------------------------------------------------

    async def rollout(self, row: Row, generate: Generate) -> list[Row]:
        """Both sides of `num_generations` conversations, turn by turn."""
        count = self.num_generations or 1
        try:
            talks = [self._opened(row, number) for number in range(count)]
        except ValueError as error:
            return self._failed_rows(
                row, Failure(self.unique_name, "render", message_of(error), row)
            )
        for number, role in enumerate(self._roles()):
            active = [talk for talk in talks if talk.failure is None]
            # All of one turn before the next, so that equal prompts are asked in a known order.
            await gather_or_cancel(
                self._speak(talk, role, number // 2 + 1, generate) for talk in active
            )
        return self._rows_made(row, [self._columns(talk) for talk in talks])

    async def _speak(self, talk: _Talk, role: Role, turn: int, generate: Generate) -> None:
        """Let the model write the next message of one conversation."""
        try:
            output = await generate(list(talk.chat))
            for name, counts in (output.get("statistics") or {}).items():
                spent = of_generation(counts, 0, 1)
                if isinstance(spent, (int, float)):
                    talk.counts[name] = talk.counts.get(name, 0) + int(spent)
            talk.finish_reason = next(iter(output.get("finish_reasons") or ()), None)
            talk.last = output["generations"][0]
            known = next(iter(output.get("failures") or ()), None)
            if known is not None:
                talk.last = known.get("raw_output")
                error = GenerationError(known["message"], known["kind"])
                error.attempts = known.get("attempts", 1)
                raise error
            talk.chat.append({"role": role, "content": _said(talk.last)})
        except (EngineError, CheckpointError):
            raise
        except Exception as error:
            kind = "engine" if kind_of(error) == "user_code" else kind_of(error)
            message = f"turn {turn}, {role}: {message_of(error)}"
            talk.failure = Failure(self.unique_name, kind, message, {}, attempts_of(error))

    def _columns(self, talk: _Talk) -> dict[str, Any]:
        """The columns of one conversation, the metadata included."""
        keys = metadata_keys(self.unique_name)
        metadata: dict[str, Any] = {}
        if self.add_raw_output:
            metadata[keys.raw_output] = talk.last if isinstance(talk.last, str) else None
        if self.add_raw_input:
            metadata[keys.raw_input] = talk.opening
        metadata[keys.statistics] = talk.counts
        metadata[keys.finish_reason] = talk.finish_reason
        metadata[keys.failure] = None if talk.failure is None else talk.failure.reason()
        columns: dict[str, Any] = dict.fromkeys(self._declared_outputs())
        if "system_prompt_key" in columns:
            columns["system_prompt_key"] = talk.key
        if talk.failure is None:
            said = talk.chat[len(talk.opening) :]
            texts = [message["content"] for message in said]
            whole = talk.chat if self.include_system_prompt else said
            made = {"instruction": texts[0], "response": texts[-1], "conversation": whole}
            columns.update({name: made[name] for name in self._made()})
        return {**columns, METADATA: metadata}


class Magpie(MagpieBase, Task):
    """Lets a chat model make up instructions or whole conversations, one or more per row.

    The rows give the system prompts, in a column `system_prompt`, or nothing but their number. A
    conversation of which one turn fails is a row that failed.

    Attributes:
        n_turns: see `MagpieBase`, as all others.

    Input columns: `system_prompt` (optional): it goes before the Task's own.
    Output columns: `instruction` with `only_instruction`; `instruction` and `response` with one
        turn, and `conversation` too with `include_system_prompt`; else `conversation`.
        `system_prompt_key` where `system_prompt` is a dict, the name of the one that was drawn;
        None where the row brought its own. `model_name`.

    Raises:
        ValidationError: the LLM can't write the user's turn, or the weights don't add up to 1.

    Source: Xu et al. 2024, https://arxiv.org/abs/2406.08464

    Example:
        >>> from beam_distilabel.models.base import AsyncLLM
        >>> from beam_distilabel.models.magpie import MagpieChatTemplateMixin
        >>> class BothSides(AsyncLLM, MagpieChatTemplateMixin):
        ...     @property
        ...     def model_name(self): return "both"
        ...     async def agenerate(self, input, num_generations=1):
        ...         text = "Name a colour." if self.user_is_next(input) else "Blue."
        ...         return {"generations": [text] * num_generations}
        >>> task = Magpie(llm=BothSides(magpie_pre_query_template="qwen2"))
        >>> task.load()
        >>> row = next(task.process([{"system_prompt": "You are a painter."}]))[0]
        >>> row["instruction"], row["response"]
        ('Name a colour.', 'Blue.')
    """

    @property
    def inputs(self) -> StepColumns:
        return {"system_prompt": False}


class MagpieGenerator(MagpieBase, RolloutGeneratorTask):
    """Lets a chat model make up `num_rows` instructions or whole conversations out of nothing.

    Attributes:
        num_rows: how many conversations, and so rows, are made: neither more nor less. A larger
            number in a later run makes the additional ones only.

    Output columns: as `Magpie`.

    Raises:
        ValidationError: as `Magpie`; or `num_generations` isn't 1.

    Source: Xu et al. 2024, https://arxiv.org/abs/2406.08464

    Example:
        >>> from beam_distilabel.models.base import AsyncLLM
        >>> from beam_distilabel.models.magpie import MagpieChatTemplateMixin
        >>> class BothSides(AsyncLLM, MagpieChatTemplateMixin):
        ...     @property
        ...     def model_name(self): return "both"
        ...     async def agenerate(self, input, num_generations=1):
        ...         return {"generations": ["Hello?"]}
        >>> llm = BothSides(magpie_pre_query_template="llama3")
        >>> task = MagpieGenerator(llm=llm, num_rows=3, only_instruction=True, batch_size=2)
        >>> task.load()
        >>> [(len(rows), last) for rows, last in task.process()]
        [(2, False), (1, True)]
    """

    num_rows: RuntimeParameter[PositiveInt] = Field(
        default=None, description="The number of rows to make."
    )

    not_in_key: ClassVar[frozenset[str]] = frozenset(("num_rows",))

    @field_validator("num_generations")
    @classmethod
    def _one_per_draw(cls, num_generations: int | None) -> int | None:
        if num_generations not in (None, 1):
            raise DistilabelUserError(
                f"{cls.__name__}: num_generations={num_generations}; it makes `num_rows` rows, "
                "raise that instead."
            )
        return num_generations

    def count_rows(self) -> int | None:
        """How many rows the Step makes; None until `num_rows` is given."""
        return self.num_rows


def _choices(system_prompt: SystemPrompt) -> list[_Choice]:
    """The system prompts that may be drawn, with weights whose sum is 1 where none are given."""
    if isinstance(system_prompt, str):
        return [_Choice(None, system_prompt, 1)]
    if isinstance(system_prompt, list):
        return [_Choice(None, text, 1 / len(system_prompt)) for text in system_prompt]
    return [
        _Choice(key, value, 1 / len(system_prompt))
        if isinstance(value, str)
        else _Choice(key, *value)
        for key, value in system_prompt.items()
    ]


def _said(text: Any) -> str:
    """A message as the model wrote it.

    Raises:
        ParseError: there is none.
    """
    if not isinstance(text, str) or not text.strip():
        raise ParseError("the model wrote nothing")
    return text


__all__ = ["MAGPIE_MULTI_TURN_SYSTEM_PROMPT", "Magpie", "MagpieBase", "MagpieGenerator"]
