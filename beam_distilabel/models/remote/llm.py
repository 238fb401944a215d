"""`RemoteLLM`: what all LLMs behind endpoints share, whatever protocol they speak."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from beam_distilabel.errors import GenerationError
from beam_distilabel.models.answer_schema import AnswerSchema, answer_schema
from beam_distilabel.models.base import AsyncLLM
from beam_distilabel.models.engine import gather_or_cancel
from beam_distilabel.models.remote.model import RemoteModel
from beam_distilabel.models.user_engine import agenerate_many, failed_output, run_coroutine
from beam_distilabel.typing import FormattedInput, GenerateOutput


class RemoteLLM(RemoteModel, AsyncLLM):
    """A language model behind an endpoint; see `RemoteModel` for limits, retries and failures.

    Example:
        >>> from beam_distilabel.models.openai import OpenAILLM
        >>> isinstance(OpenAILLM(model="gpt-4o-mini", max_concurrency=8), RemoteLLM)
        True
    """

    def generate(
        self, inputs: list[FormattedInput], num_generations: int = 1, **kwargs: Any
    ) -> list[GenerateOutput]:
        """Answer every input; for use outside of a pipeline, after `load()`.

        An input that can't be answered has None for its generations, and the reason in `failures`:
        what the others cost isn't lost.

        Raises:
            EngineError: no input can be answered.
            DistilabelUserError: an argument is wrong.
        """

        async def answer_one(one: FormattedInput) -> GenerateOutput:
            return await self._or_failures(
                agenerate_many(self, one, num_generations, kwargs), num_generations
            )

        async def answer_all() -> list[GenerateOutput]:
            try:
                return await gather_or_cancel(map(answer_one, inputs))
            finally:
                await self.aclose()

        return run_coroutine(answer_all)

    async def _or_failures(
        self, answer: Awaitable[GenerateOutput], num_generations: int
    ) -> GenerateOutput:
        try:
            return await answer
        except GenerationError as error:
            return failed_output(error, num_generations)

    def _schema(self, structure: Any) -> AnswerSchema | None:
        """What answers are asked for and checked with; `structure` is the input's own, or None.

        Raises:
            GenerationError: this LLM can't be asked for it; costs the row.
        """
        schema = answer_schema(structure or self.structured_output)
        if schema is not None and schema.format not in self.structure_formats:
            raise GenerationError(
                f"{type(self).__name__} takes no structured output of the format "
                f"{schema.format!r}.",
                "refused",
            )
        return schema
