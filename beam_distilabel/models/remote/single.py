"""`SingleAnswerLLM`: LLMs whose endpoint gives one answer per request."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import PrivateAttr

from beam_distilabel.errors import GenerationError
from beam_distilabel.models.answer_schema import AnswerSchema
from beam_distilabel.models.arguments import adapter_of, checked_arguments
from beam_distilabel.models.remote.answers import used_tokens
from beam_distilabel.models.remote.limits import Slot, prompt_tokens
from beam_distilabel.models.remote.llm import RemoteLLM
from beam_distilabel.typing import FormattedInput, GenerateOutput

UNSET_LENGTH_TOKENS = 1024
"""What an answer is expected to use where its length has no bound: for the limits only."""


class SingleAnswerLLM(RemoteLLM):
    """An LLM that is asked once per generation.

    Subclasses define `arguments`, `request_of`, `send` and `read`, and an `agenerate` that calls
    `_ask`, besides what `RemoteLLM` asks for.

    Attributes:
        model: the model's name at the endpoint.
    """

    model: str

    arguments: ClassVar[type]
    """A pydantic dataclass: what `agenerate` takes besides the input."""

    takes_raw_prompts: ClassVar[bool] = False
    """Whether `request_of` also takes a text, which is a raw prompt."""

    _num_generations_param_supported: bool = PrivateAttr(False)

    @property
    def model_name(self) -> str:
        return self.model

    def request_of(self, chat: Any, arguments: Any, schema: AnswerSchema | None) -> Any:
        """What `send` sends.

        Raises:
            GenerationError: the chat can't be sent; costs the row.
        """
        raise NotImplementedError

    async def send(self, client: Any, request: Any) -> Any:
        """Make one attempt; what the SDK returns."""
        raise NotImplementedError

    def read(self, answer: Any, schema: AnswerSchema | None) -> GenerateOutput:
        """The output that the SDK's answer makes.

        Raises:
            MalformedAnswer: it isn't what the protocol demands.
        """
        raise NotImplementedError

    def longest(self, arguments: Any) -> int | None:
        """The most tokens that the answer may have, where it is bounded."""
        raise NotImplementedError

    def check_arguments(self, arguments: dict[str, Any]) -> Any:
        """`arguments` as an object of the class `arguments`.

        Raises:
            DistilabelUserError: names the argument, its value and what is expected.
        """
        adapter = adapter_of(type(self).arguments)
        return checked_arguments(adapter, type(self).arguments, arguments, type(self).__name__)

    def check_generation_kwargs(self) -> None:
        super().check_generation_kwargs()
        self.check_arguments(self.get_generation_kwargs())

    async def _ask(self, input: FormattedInput, arguments: dict[str, Any]) -> GenerateOutput:
        parsed = self.check_arguments(arguments)
        chat, structure = input if isinstance(input, tuple) else (input, None)
        if isinstance(chat, str) and not self.takes_raw_prompts:
            raise GenerationError(
                f"{type(self).__name__} takes chats; its endpoint has no raw prompts.", "refused"
            )
        schema = self._schema(structure)
        request = self.request_of(chat, parsed, schema)
        client = self._client()

        async def send(slot: Slot) -> GenerateOutput:
            output = self.read(await self.send(client, request), schema)
            used = used_tokens(output)
            if used is not None:
                slot.used(used)
            return output

        expected = prompt_tokens(chat) + (self.longest(parsed) or UNSET_LENGTH_TOKENS)
        return await self._until_answered(send, expected)
