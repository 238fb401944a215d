"""`GroqLLM`: models at Groq."""

from __future__ import annotations

import os
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Gt
from pydantic import ConfigDict, Field, NonNegativeInt, PrivateAttr, SecretStr
from pydantic.dataclasses import dataclass

from beam_distilabel.models.answer_schema import AnswerSchema
from beam_distilabel.models.openai.answers import checked_answer, output_of
from beam_distilabel.models.remote.errors import explain_sdk, safe_message
from beam_distilabel.models.remote.redirects import not_followed
from beam_distilabel.models.remote.retries import Trouble
from beam_distilabel.models.remote.single import SingleAnswerLLM
from beam_distilabel.runtime_parameters import RuntimeParameter
from beam_distilabel.secrets import secret_from
from beam_distilabel.typing import FormattedInput, GenerateOutput

_NO_JSON = "json_validate_failed"


@dataclass(config=ConfigDict(extra="forbid"))
class _Arguments:
    seed: int | None = None
    max_new_tokens: Annotated[int, Gt(0)] = 128
    temperature: Annotated[float, Ge(0)] = 1.0
    top_p: float = 1.0
    stop: str | list[str] | None = None


class GroqLLM(SingleAnswerLLM):
    """A language model at Groq; see `RemoteLLM` for limits, retries and failures.

    Attributes:
        model: the model's name at Groq, such as "llama-3.3-70b-versatile".
        base_url: environment variable `GROQ_BASE_URL`, else Groq's own.
        api_key: environment variable `GROQ_API_KEY`.
        max_retries: attempts after the first one; 2 by default.
        structured_output: `{"schema": a pydantic class or JSON schema}`, sent as `response_format`;
            an answer that Groq itself finds without the form is a failure of kind `schema`.

    Raises:
        DistilabelUserError: by `load`, there is no API key.
        EngineError: by `load`, the package `groq` is missing; by the first request, the endpoint
            can't be used.

    Example:
        >>> llm = GroqLLM(model="llama-3.3-70b-versatile", api_key="gsk_...")
        >>> llm.model_name
        'llama-3.3-70b-versatile'
        >>> "api_key" in llm.dump()
        False
    """

    base_url: RuntimeParameter[str] | None = Field(
        default_factory=lambda: os.getenv("GROQ_BASE_URL") or "https://api.groq.com",
        description="The base URL to use for the requests.",
    )
    api_key: RuntimeParameter[SecretStr] | None = Field(
        default_factory=lambda: secret_from("GROQ_API_KEY"),
        description="The API key to authenticate the requests.",
    )
    max_retries: RuntimeParameter[NonNegativeInt] = Field(
        default=2, description="The attempts after the first one."
    )

    sdk: ClassVar[str] = "groq"
    extra: ClassVar[str] = "groq"
    arguments: ClassVar[type] = _Arguments

    _api_key_env_var: str = PrivateAttr("GROQ_API_KEY")

    def make_client(self) -> Any:
        """A client of the Groq SDK; it belongs to one event loop."""
        from groq import AsyncGroq, DefaultAsyncHttpxClient

        return AsyncGroq(
            base_url=self.base_url,
            api_key=self._key(),
            timeout=self.timeout,
            http_client=not_followed(DefaultAsyncHttpxClient()),
            # Its retries know neither our limits nor a deadline.
            max_retries=0,
        )

    def explain(self, error: Exception) -> Trouble:
        """What an error of one attempt means."""
        import groq

        if _NO_JSON in str(getattr(error, "body", "")):
            return Trouble("schema", f"the endpoint: {safe_message(error, self.secrets())}")
        # 498: the flexible tier has no capacity.
        return explain_sdk(groq, error, self._answered, self.secrets(), busy=(429, 498))

    async def agenerate(  # type: ignore[override]
        self,
        input: FormattedInput,
        seed: int | None = None,
        max_new_tokens: int = 128,
        temperature: float = 1.0,
        top_p: float = 1.0,
        stop: str | list[str] | None = None,
    ) -> GenerateOutput:
        """Answer one input; call `load()` first.

        Args:
            input: a chat, or a (chat, structured output) pair.
            seed: of the sampling.
            max_new_tokens: the longest answer in tokens.
            temperature: of the sampling.
            top_p: sample from the likeliest tokens that sum up to this probability.
            stop: texts at which an answer ends.

        Raises:
            GenerationError: the input can't be answered.
            EngineError: no input can be answered.
            DistilabelUserError: an argument is wrong.
        """
        return await self._ask(
            input,
            {
                "seed": seed,
                "max_new_tokens": max_new_tokens,
                "temperature": temperature,
                "top_p": top_p,
                "stop": stop,
            },
        )

    def longest(self, arguments: _Arguments) -> int | None:
        return arguments.max_new_tokens

    def request_of(
        self, chat: list[Any], arguments: _Arguments, schema: AnswerSchema | None
    ) -> dict[str, Any]:
        """The arguments of `chat.completions.create`."""
        request: dict[str, Any] = {
            "model": self.model,
            "messages": chat,
            "max_completion_tokens": arguments.max_new_tokens,
            "temperature": arguments.temperature,
            "top_p": arguments.top_p,
        }
        if arguments.seed is not None:
            request["seed"] = arguments.seed
        if arguments.stop is not None:
            request["stop"] = arguments.stop
        if schema is not None:
            request["response_format"] = schema.response_format
        return request

    async def send(self, client: Any, request: dict[str, Any]) -> Any:
        return await client.chat.completions.create(**request)

    def read(self, answer: Any, schema: AnswerSchema | None) -> GenerateOutput:
        plain = answer if isinstance(answer, str) else answer.model_dump()
        return output_of([checked_answer(plain)], 1, schema)
