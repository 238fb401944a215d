"""`MistralLLM`: models of Mistral AI."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Gt
from pydantic import ConfigDict, Field, PositiveInt, PrivateAttr, SecretStr, ValidationError
from pydantic.dataclasses import dataclass

from beam_distilabel.models.answer_schema import AnswerSchema
from beam_distilabel.models.openai.answers import checked_answer, output_of
from beam_distilabel.models.remote.errors import (
    explain_status,
    is_connection_error,
    is_timeout,
    not_reached,
    not_readable,
    safe_message,
    took_too_long,
)
from beam_distilabel.models.remote.limits import Limits
from beam_distilabel.models.remote.redirects import not_followed
from beam_distilabel.models.remote.retries import Trouble
from beam_distilabel.models.remote.single import SingleAnswerLLM
from beam_distilabel.runtime_parameters import RuntimeParameter
from beam_distilabel.secrets import secret_from
from beam_distilabel.typing import FormattedInput, GenerateOutput


@dataclass(config=ConfigDict(extra="forbid"))
class _Arguments:
    max_new_tokens: Annotated[int, Gt(0)] | None = None
    temperature: Annotated[float, Ge(0)] | None = None
    top_p: float | None = None


class MistralLLM(SingleAnswerLLM):
    """A language model of Mistral AI; see `RemoteLLM` for limits, retries and failures.

    Attributes:
        model: the model's name, such as "mistral-small-latest".
        endpoint: the address, without `/v1`; Mistral's own by default.
        api_key: environment variable `MISTRAL_API_KEY`.
        max_concurrent_requests: distilabel's name for `max_concurrency`; the lower one holds.
        structured_output: `{"schema": a pydantic class or JSON schema}`, sent as `response_format`.

    Raises:
        DistilabelUserError: by `load`, there is no API key.
        EngineError: by `load`, the package `mistralai` is missing; by the first request, the
            endpoint can't be used.

    Example:
        >>> llm = MistralLLM(model="mistral-small-latest", api_key="...")
        >>> llm.limits().max_concurrency
        64
        >>> "api_key" in llm.dump()
        False
    """

    endpoint: str = "https://api.mistral.ai"
    api_key: RuntimeParameter[SecretStr] | None = Field(
        default_factory=lambda: secret_from("MISTRAL_API_KEY"),
        description="The API key to authenticate the requests.",
    )
    max_concurrent_requests: RuntimeParameter[PositiveInt] = Field(
        default=64, description="The requests under way at once."
    )

    sdk: ClassVar[str] = "mistralai.client"
    extra: ClassVar[str] = "mistralai"
    url_name: ClassVar[str] = "endpoint"
    arguments: ClassVar[type] = _Arguments

    _api_key_env_var: str = PrivateAttr("MISTRAL_API_KEY")

    @classmethod
    def not_identity(cls) -> frozenset[str]:
        return super().not_identity() | {"max_concurrent_requests"}

    def limits(self) -> Limits:
        return super().limits().stricter(Limits(max_concurrency=self.max_concurrent_requests))

    def make_client(self) -> Any:
        """A client of the Mistral SDK; it belongs to one event loop."""
        import httpx2
        from mistralai.client import Mistral

        # Without a `retry_config` it makes no retries, which would know neither our limits nor a
        # deadline.
        timeout_ms = int(self._timeout() * 1000)
        return Mistral(
            api_key=self._key(),
            server_url=self.endpoint,
            timeout_ms=timeout_ms,
            async_client=not_followed(httpx2.AsyncClient()),
        )

    async def close_client(self, client: Any) -> None:
        await client.sdk_configuration.async_client.aclose()
        await client.__aexit__(None, None, None)

    def explain(self, error: Exception) -> Trouble:
        """What an error of one attempt means."""
        from mistralai.client import errors

        text = safe_message(error, self.secrets())
        if is_timeout(error):
            return took_too_long(text)
        if isinstance(error, errors.MistralError) and error.status_code >= 400:
            return explain_status(error.status_code, text, self._answered, error.headers)
        if is_connection_error(error) or isinstance(error, errors.NoResponseError):
            return not_reached(text, self._answered)
        if isinstance(error, ValidationError):
            return Trouble("refused", f"the chat isn't one that Mistral's API takes: {text}")
        if isinstance(error, (ValueError, errors.MistralError)):
            return not_readable(text)
        return Trouble("engine", text)

    async def agenerate(  # type: ignore[override]
        self,
        input: FormattedInput,
        max_new_tokens: int | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
    ) -> GenerateOutput:
        """Answer one input; call `load()` first.

        Args:
            input: a chat, or a (chat, structured output) pair.
            max_new_tokens: the longest answer in tokens; if None, as long as the model goes on.
            temperature: of the sampling; if None, the model's own.
            top_p: sample from the likeliest tokens that sum up to this probability.

        Raises:
            GenerationError: the input can't be answered.
            EngineError: no input can be answered.
            DistilabelUserError: an argument is wrong.
        """
        return await self._ask(
            input,
            {"max_new_tokens": max_new_tokens, "temperature": temperature, "top_p": top_p},
        )

    def longest(self, arguments: _Arguments) -> int | None:
        return arguments.max_new_tokens

    def request_of(
        self, chat: list[Any], arguments: _Arguments, schema: AnswerSchema | None
    ) -> dict[str, Any]:
        """The arguments of `chat.complete_async`."""
        request: dict[str, Any] = {"model": self.model, "messages": chat}
        given = (
            ("max_tokens", arguments.max_new_tokens),
            ("temperature", arguments.temperature),
            ("top_p", arguments.top_p),
        )
        request |= {name: value for name, value in given if value is not None}
        if schema is not None:
            request["response_format"] = schema.response_format
        return request

    async def send(self, client: Any, request: dict[str, Any]) -> Any:
        return await client.chat.complete_async(**request)

    def read(self, answer: Any, schema: AnswerSchema | None) -> GenerateOutput:
        plain = answer.model_dump()
        for choice in plain.get("choices") or ():
            message = choice.get("message") or {}
            if isinstance(message.get("content"), list):  # reasoning models think in parts
                message["content"] = "".join(
                    part["text"] for part in message["content"] if part.get("type") == "text"
                )
            if choice.get("finish_reason") == "model_length":
                choice["finish_reason"] = "length"
        return output_of([checked_answer(plain)], 1, schema)
