"""`MixtureOfAgentsLLM`: several LLMs propose, one makes an answer of the proposals."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from pydantic import Field, PositiveInt, field_validator

from beam_distilabel.errors import (
    DistilabelUserError,
    EngineError,
    GenerationError,
)
from beam_distilabel.models.base import LLM, AsyncLLM
from beam_distilabel.models.engine import Engine, GenerateRequest
from beam_distilabel.models.held_engine import HoldsEngine
from beam_distilabel.models.openai.answers import shared_out
from beam_distilabel.models.user_engine import failed_output, run_coroutine
from beam_distilabel.problems import closest
from beam_distilabel.row import fingerprint, seed_from
from beam_distilabel.typing import FormattedInput, GenerateOutput

_INSTRUCTIONS = """\
Several assistants have answered the user's last message independently; their answers are below, \
numbered. Write your own answer to that message with their help. Take over what is right and \
useful, correct what is wrong, fill in what is missing, and settle contradictions by your own \
judgement: any of them may be mistaken or one-sided. Keep to what the user asked for, also in form \
and language, and don't mention the other answers."""


class MixtureOfAgentsLLM(HoldsEngine, AsyncLLM):
    """Several LLMs propose answers, and one LLM makes the final answer of them.

    In each round all proposers answer at once. From the second round on they see what all of them
    wrote in the round before; the aggregator sees the last round. The proposals are in a system
    message, before the chat's own system prompt (Wang et al. 2024, Mixture-of-Agents Enhances Large
    Language Model Capabilities, arXiv 2406.04692).

    Members are any LLMs of this package or one's own. They have engines of their own, which equal
    LLMs elsewhere in the process share. A proposer that fails on a row is left out of its round;
    the row fails where none is left, or the aggregator fails. Token counts are those of all members
    together.

    Attributes:
        aggregator_llm: makes the final answer, and keeps to the structure that one is asked for.
        proposers_llms: propose.
        rounds: how many times they do.
        generation_kwargs: on top of the members' own: `{"aggregator_llm": {...}, "proposers_llms":
            [{...}, ...]}`.

    Raises:
        DistilabelUserError: there are no proposers.

    Example:
        >>> from beam_distilabel.models.openai import OpenAILLM
        >>> small = OpenAILLM(model="gpt-4o-mini", generation_kwargs={"temperature": 0.9})
        >>> llm = MixtureOfAgentsLLM(
        ...     aggregator_llm=OpenAILLM(model="gpt-4o"), proposers_llms=[small, small], rounds=2
        ... )
        >>> llm.model_name
        'moa-gpt-4o-gpt-4o-mini-gpt-4o-mini'
        >>> llm.get_generation_kwargs()["proposers_llms"][0]
        {'temperature': 0.9}
    """

    aggregator_llm: LLM
    proposers_llms: list[LLM] = Field(default_factory=list)
    rounds: PositiveInt = 1

    @field_validator("proposers_llms", mode="before")
    @classmethod
    def _as_list(cls, value: Any) -> Any:
        # distilabel's files have the list as a dict: position to member.
        if isinstance(value, dict) and all(str(key).isdecimal() for key in value):
            return [value[key] for key in sorted(value, key=int)]
        return value

    def model_post_init(self, context: Any) -> None:
        super().model_post_init(context)
        if not self.proposers_llms:
            raise DistilabelUserError(
                "MixtureOfAgentsLLM needs at least one LLM in `proposers_llms`."
            )

    @property
    def model_name(self) -> str:
        names = [self.aggregator_llm.model_name, *(llm.model_name for llm in self.proposers_llms)]
        return "-".join(["moa", *names])

    @property
    def members(self) -> list[LLM]:
        """The proposers and the aggregator."""
        return [*self.proposers_llms, self.aggregator_llm]

    async def agenerate(  # type: ignore[override]
        self,
        input: FormattedInput,
        num_generations: int = 1,
        aggregator_llm: dict[str, Any] | None = None,
        proposers_llms: list[dict[str, Any]] | None = None,
    ) -> GenerateOutput:
        """Answer one input; call `load()` first.

        Args:
            input: a chat, or a (chat, structured output) pair.
            num_generations: how many answers the aggregator makes of the proposals.
            aggregator_llm: generation arguments of the aggregator.
            proposers_llms: generation arguments of each proposer.

        Raises:
            GenerationError: the input can't be answered.
            EngineError: a member's engine is dead.
        """
        engine = self.loaded_engine()
        given = {"aggregator_llm": aggregator_llm, "proposers_llms": proposers_llms}
        kwargs = {name: value for name, value in given.items() if value is not None}
        request = GenerateRequest(input, num_generations, kwargs)
        return await asyncio.wrap_future(engine.submit(engine.generate(request)))

    def generate(
        self, inputs: list[FormattedInput], num_generations: int = 1, **kwargs: Any
    ) -> list[GenerateOutput]:
        """Answer every input; for use outside of a pipeline, after `load()`.

        An input that can't be answered has None for its generations, and the reason in `failures`.

        Raises:
            EngineError: a member's engine is dead.
            DistilabelUserError: an argument is wrong.
        """

        async def answer_one(one: FormattedInput) -> GenerateOutput:
            try:
                return await self.agenerate(one, num_generations, **kwargs)
            except GenerationError as error:
                return failed_output(error, num_generations)

        async def answer_all() -> list[GenerateOutput]:
            return await asyncio.gather(*(answer_one(one) for one in inputs))

        return run_coroutine(answer_all)

    # -- arguments -------------------------------------------------------------------------------

    def get_generation_kwargs(self) -> dict[str, Any]:
        """The members' generation arguments, with what `generation_kwargs` sets of them."""
        own = {
            "aggregator_llm": self.aggregator_llm.get_generation_kwargs(),
            "proposers_llms": [llm.get_generation_kwargs() for llm in self.proposers_llms],
        }
        return self.merged_kwargs(own, self.generation_kwargs or {})

    def merged_kwargs(self, known: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
        """The members' arguments `known`, with what `more` sets of them.

        Raises:
            DistilabelUserError: `more` isn't of their form.
        """
        for name in more:
            if name not in known:
                raise DistilabelUserError(
                    f"MixtureOfAgentsLLM has no generation argument {name!r}."
                    f"{closest(name, known)} It has 'aggregator_llm', a dict, and "
                    "'proposers_llms', a list of one dict per proposer; members also take them "
                    "themselves: `generation_kwargs={...}`."
                )
        proposers = more.get("proposers_llms") or [{}] * len(self.proposers_llms)
        if len(proposers) != len(self.proposers_llms):
            raise DistilabelUserError(
                f"MixtureOfAgentsLLM's generation argument 'proposers_llms' has {len(proposers)} "
                f"dicts; there are {len(self.proposers_llms)} proposers."
            )
        return {
            "aggregator_llm": {**known["aggregator_llm"], **(more.get("aggregator_llm") or {})},
            "proposers_llms": [
                {**one, **(other or {})}
                for one, other in zip(known["proposers_llms"], proposers, strict=True)
            ],
        }

    def check_generation_kwargs(self) -> None:
        merged = self.get_generation_kwargs()
        for member, kwargs in zip(
            self.members, [*merged["proposers_llms"], merged["aggregator_llm"]], strict=True
        ):
            checked = member.copied()
            checked.generation_kwargs = kwargs
            checked.check_generation_kwargs()

    @property
    def runtime_parameters_names(self) -> dict[str, Any]:
        """Those of the members; their generation arguments are set there."""
        names = super().runtime_parameters_names
        del names["generation_kwargs"]
        return names

    # -- for pipelines ---------------------------------------------------------------------------

    def fingerprint(self) -> str:
        # Members' fingerprints tell more than their identity: another key, another account.
        return fingerprint(self.identity(), [member.fingerprint() for member in self.members])

    def make_engine(self) -> Engine:
        return MixtureEngine(self)


class MixtureEngine(Engine):
    """Asks the members' engines, each on its own loop.

    Args:
        llm: a `MixtureOfAgentsLLM`.
    """

    def __init__(self, llm: MixtureOfAgentsLLM) -> None:
        super().__init__()
        self._llm = llm.copied()
        self._proposers: list[Engine] = []
        self._aggregator: Engine | None = None
        self._kwargs = self._llm.get_generation_kwargs()
        self._warned: set[int] = set()

    async def start(self) -> None:
        for llm in self._llm.members:
            self._proposers.append(llm.load_model())
        self._aggregator = self._proposers.pop()
        engines = [*self._proposers, self._aggregator]
        names = dict.fromkeys(engine.description for engine in engines)
        self.description = f"mixture of agents ({', '.join(names)})"
        self.max_in_flight = max(engine.max_in_flight for engine in engines)

    async def stop(self) -> None:
        engines, self._proposers = [*self._proposers, self._aggregator], []
        self._aggregator = None
        for engine in engines:
            if engine is not None:
                engine.release()

    async def generate(self, request: GenerateRequest) -> GenerateOutput:
        chat, structure = (
            request.input if isinstance(request.input, tuple) else (request.input, None)
        )
        if isinstance(chat, str):
            raise GenerationError(
                "MixtureOfAgentsLLM takes chats; a raw prompt has no place for the proposals.",
                "refused",
            )
        kwargs = self._llm.merged_kwargs(self._kwargs, request.generation_kwargs)
        proposals: list[str] = []
        spent: list[GenerateOutput] = []
        for nth in range(self._llm.rounds):
            proposals = await self._round(
                with_proposals(chat, proposals), kwargs["proposers_llms"], request.seed, nth, spent
            )
        assert self._aggregator is not None
        final = with_proposals(chat, proposals)
        output = await _ask(
            self._aggregator,
            GenerateRequest(
                (final, structure) if structure else final,
                request.num_generations,
                kwargs["aggregator_llm"],
                request.seed,
            ),
        )
        return _with_counts_of(output, spent)

    async def _round(
        self,
        chat: list[Any],
        kwargs: Sequence[dict[str, Any]],
        seed: int | None,
        nth: int,
        spent: list[GenerateOutput],
    ) -> list[str]:
        """What the proposers write; what it cost is added to `spent`.

        Raises:
            GenerationError: none of them has an answer; has the kind of the first one's failure.
        """
        results = await asyncio.gather(
            *(
                _ask(
                    engine,
                    GenerateRequest(
                        chat,
                        1,
                        kwargs[number],
                        None if seed is None else seed_from(seed, nth, number),
                    ),
                )
                for number, engine in enumerate(self._proposers)
            ),
            return_exceptions=True,
        )
        proposals: list[str] = []
        problems: list[tuple[str, str]] = []
        for number, result in enumerate(results):
            if isinstance(result, BaseException):
                if isinstance(result, EngineError) or not isinstance(result, Exception):
                    raise result
                problem = (getattr(result, "kind", "engine"), str(result))
            else:
                spent.append(result)
                text = next(iter(result["generations"]), None)
                if isinstance(text, str) and text.strip():
                    proposals.append(text)
                    continue
                failure = next(iter(result.get("failures") or ()), None) or {}
                problem = (failure.get("kind", "engine"), failure.get("message", "no text"))
            problems.append(problem)
            self._warn(number, problem[1])
        if not proposals:
            kind, message = problems[0]
            raise GenerationError(f"no proposer has an answer; the first one: {message}", kind)
        return proposals

    def _warn(self, number: int, message: str) -> None:
        if number not in self._warned:
            self._warned.add(number)
            logging.getLogger(__name__).warning(
                "MixtureOfAgentsLLM: proposer %d (%s) has no answer to a row and is left out of "
                "its round (said once): %s",
                number,
                self._llm.proposers_llms[number].model_name,
                message,
            )


def with_proposals(chat: Sequence[Any], proposals: Sequence[str]) -> list[Any]:
    """`chat` with the proposals in its system prompt; `chat` itself isn't changed.

    Example:
        >>> chat = with_proposals([{"role": "user", "content": "2 + 2?"}], ["4", "Four."])
        >>> [message["role"] for message in chat]
        ['system', 'user']
        >>> print(chat[0]["content"].partition("\\n")[2])
        <BLANKLINE>
        [Answer 1]
        4
        <BLANKLINE>
        [Answer 2]
        Four.
    """
    messages = [dict(message) for message in chat]
    if not proposals:
        return messages
    numbered = (f"[Answer {number}]\n{text}" for number, text in enumerate(proposals, 1))
    instructions = "\n\n".join([_INSTRUCTIONS, *numbered])
    for message in messages:
        if message["role"] == "system":
            content = message["content"]
            message["content"] = (
                [{"type": "text", "text": f"{instructions}\n\n"}, *content]
                if isinstance(content, list)
                else f"{instructions}\n\n{content}"
            )
            return messages
    return [{"role": "system", "content": instructions}, *messages]


async def _ask(engine: Engine, request: GenerateRequest) -> GenerateOutput:
    """What an engine answers, from another engine's loop."""
    return await asyncio.wrap_future(engine.submit(engine.generate(request)))


def _with_counts_of(output: GenerateOutput, others: Sequence[GenerateOutput]) -> GenerateOutput:
    """`output` with the tokens of the answers that it was made of, shared out evenly."""
    statistics: dict[str, list[int]] = {}
    for name in ("input_tokens", "output_tokens"):
        more = sum(sum(_counts(other, name)) for other in others)
        counts = _counts(output, name) or [0]
        shares = shared_out(more, [1] * len(counts))
        statistics[name] = [count + share for count, share in zip(counts, shares, strict=True)]
    return {**output, "statistics": statistics}  # type: ignore[typeddict-item]


def _counts(output: GenerateOutput, name: str) -> list[int]:
    counts = dict(output.get("statistics") or {}).get(name)
    return [count for count in counts if isinstance(count, int)] if isinstance(counts, list) else []
