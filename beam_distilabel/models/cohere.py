"""`CohereLLM`: models of Cohere."""

from __future__ import annotations

import os
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Gt
from pydantic import ConfigDict, Field, PrivateAttr, SecretStr
from pydantic.dataclasses import dataclass

from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.models.answer_schema import AnswerSchema
from beam_distilabel.models.arguments import given_arguments
from beam_distilabel.models.remote.answers import MalformedAnswer, output_of_one
from beam_distilabel.models.remote.errors import (
    explain_status,
    is_connection_error,
    is_timeout,
    message_in,
    not_reached,
    not_readable,
    safe_message,
    took_too_long,
    without,
)
from beam_distilabel.models.remote.redirects import not_followed
from beam_distilabel.models.remote.retries import Trouble
from beam_distilabel.models.remote.single import SingleAnswerLLM
from beam_distilabel.runtime_parameters import RuntimeParameter
from beam_distilabel.secrets import secret_from
from beam_distilabel.typing import FormattedInput, GenerateOutput

_FINISH_REASONS = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "MAX_TOKENS": "length",
    "TOOL_CALL": "tool_calls",
}


@dataclass(config=ConfigDict(extra="forbid"))
class _Arguments:
    temperature: Annotated[float, Ge(0)] | None = None
    max_tokens: Annotated[int, Gt(0)] | None = None
    k: int | None = None
    p: float | None = None
    seed: int | None = None
    stop_sequences: list[str] | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    raw_prompting: bool | None = None


class CohereLLM(SingleAnswerLLM):
    """A language model of Cohere; see `RemoteLLM` for limits, retries and failures.

    It is asked by version 2 of the Chat API, whose messages are those of the chat; token counts are
    what Cohere says.

    Attributes:
        model: the model's name, such as "command-a-03-2025".
        base_url: environment variable `COHERE_BASE_URL`, else Cohere's own. A `/v1` at its end is
            left out.
        api_key: environment variable `COHERE_API_KEY`.
        client_name: the name that Cohere is told.
        structured_output: `{"schema": a pydantic class or JSON schema}`, sent as `response_format`.
            Cohere wants the prompt itself to ask for JSON as well.

    Raises:
        DistilabelUserError: by `load`, there is no API key.
        EngineError: by `load`, the package `cohere` is missing; by the first request, the endpoint
            can't be used.

    Example:
        >>> llm = CohereLLM(model="command-a-03-2025", api_key="...")
        >>> llm.model_name
        'command-a-03-2025'
        >>> "api_key" in llm.dump()
        False
    """

    base_url: RuntimeParameter[str] | None = Field(
        default_factory=lambda: os.getenv("COHERE_BASE_URL") or "https://api.cohere.ai/v1",
        description="The base URL to use for the requests.",
    )
    api_key: RuntimeParameter[SecretStr] | None = Field(
        default_factory=lambda: secret_from("COHERE_API_KEY"),
        description="The API key to authenticate the requests.",
    )
    client_name: RuntimeParameter[str] = Field(
        default="distilabel", description="The name of the client that the endpoint is told."
    )

    sdk: ClassVar[str] = "cohere"
    extra: ClassVar[str] = "cohere"
    arguments: ClassVar[type] = _Arguments

    _api_key_env_var: str = PrivateAttr("COHERE_API_KEY")

    @classmethod
    def not_identity(cls) -> frozenset[str]:
        return super().not_identity() | {"client_name"}

    def make_client(self) -> Any:
        """A client of the Cohere SDK; it belongs to one event loop."""
        import httpx
        from cohere import AsyncClientV2

        return AsyncClientV2(
            api_key=self._key(),
            base_url=str(self.base_url).rstrip("/").removesuffix("/v1"),
            client_name=self.client_name,
            timeout=self.timeout,
            httpx_client=not_followed(httpx.AsyncClient(timeout=self.timeout)),
            # Its retries know neither our limits nor a deadline.
            max_retries=0,
            log_warning_experimental_features=False,
        )

    async def close_client(self, client: Any) -> None:
        await client.__aexit__(None, None, None)

    def explain(self, error: Exception) -> Trouble:
        """What an error of one attempt means."""
        from cohere.core.api_error import ApiError
        from cohere.core.parse_error import ParsingError

        if isinstance(error, ApiError):
            # Its own words have the headers in them.
            text = without(self.secrets(), message_in(error.body) or str(error.body)[:200])
            if (error.status_code or 0) < 400:
                return not_readable(text)
            headers = {name.lower(): value for name, value in (error.headers or {}).items()}
            # 498: the key is invalid or the token is blocked; 499: the client closed the request.
            return explain_status(
                error.status_code or 0, text, self._answered, headers, whole=(401, 404, 498)
            )
        text = safe_message(error, self.secrets())
        if is_timeout(error):
            return took_too_long(text)
        if is_connection_error(error):
            return not_reached(text, self._answered)
        if isinstance(error, (ValueError, ParsingError)):
            return not_readable(text)
        return Trouble("engine", text)

    def check_arguments(self, arguments: dict[str, Any]) -> _Arguments:
        parsed: _Arguments = super().check_arguments(arguments)
        if parsed.raw_prompting:
            raise DistilabelUserError(
                "CohereLLM: raw_prompting=True isn't possible any more: version 2 of Cohere's Chat "
                "API has only chats. Leave it out."
            )
        return parsed

    async def agenerate(  # type: ignore[override]
        self,
        input: FormattedInput,
        temperature: float | None = None,
        max_tokens: int | None = None,
        k: int | None = None,
        p: float | None = None,
        seed: int | None = None,
        stop_sequences: list[str] | None = None,
        frequency_penalty: float | None = None,
        presence_penalty: float | None = None,
        raw_prompting: bool | None = None,
    ) -> GenerateOutput:
        """Answer one input; call `load()` first.

        Args:
            input: a chat, or a (chat, structured output) pair.
            temperature: of the sampling; if None, Cohere's own.
            max_tokens: the longest answer in tokens; if None, as long as the model goes on.
            k: sample from so many of the likeliest tokens.
            p: sample from the likeliest tokens that sum up to this probability.
            seed: of the sampling.
            stop_sequences: texts at which an answer ends.
            frequency_penalty: above 0 against tokens by how often they are in the answer.
            presence_penalty: above 0 for tokens that are not in the answer yet.
            raw_prompting: of version 1 of the API; True is refused.

        Raises:
            GenerationError: the input can't be answered.
            EngineError: no input can be answered.
            DistilabelUserError: an argument is wrong.
        """
        arguments = given_arguments(locals())
        return await self._ask(input, arguments)

    def longest(self, arguments: _Arguments) -> int | None:
        return arguments.max_tokens

    def request_of(
        self, chat: list[Any], arguments: _Arguments, schema: AnswerSchema | None
    ) -> dict[str, Any]:
        """The arguments of `chat`."""
        names = (
            "temperature",
            "max_tokens",
            "k",
            "p",
            "seed",
            "stop_sequences",
            "frequency_penalty",
            "presence_penalty",
        )
        given = {name: getattr(arguments, name) for name in names}
        request: dict[str, Any] = {
            "model": self.model,
            "messages": chat,
            **{name: value for name, value in given.items() if value is not None},
        }
        if schema is not None:
            request["response_format"] = {"type": "json_object", "json_schema": schema.schema}
        return request

    async def send(self, client: Any, request: dict[str, Any]) -> Any:
        return await client.chat(**request)

    def read(self, answer: Any, schema: AnswerSchema | None) -> GenerateOutput:
        reason = getattr(answer, "finish_reason", None)
        if reason is None or getattr(answer, "message", None) is None:
            raise MalformedAnswer(f"the answer has no message: {str(answer)[:200]}")
        if reason in ("ERROR", "TIMEOUT"):
            raise MalformedAnswer(f"the answer was broken off ({reason})")
        texts = (
            [part.text for part in answer.message.content or () if isinstance(part.text, str)]
            if answer.message.content
            else []
        )
        known = _FINISH_REASONS.get(reason, reason)
        counts = answer.usage.tokens if answer.usage is not None else None
        return output_of_one(
            "".join(texts) if texts or known == "stop" else None,
            known,
            _whole(counts.input_tokens) if counts is not None else None,
            _whole(counts.output_tokens) if counts is not None else None,
            schema,
        )


def _whole(count: float | None) -> int | None:
    return int(count) if count is not None else None
