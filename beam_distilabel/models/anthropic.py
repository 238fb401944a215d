"""`AnthropicLLM`: models of Anthropic."""

from __future__ import annotations

import os
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Gt
from pydantic import ConfigDict, Field, PositiveFloat, PrivateAttr, SecretStr
from pydantic.dataclasses import dataclass

from beam_distilabel.errors import GenerationError
from beam_distilabel.models.answer_schema import AnswerSchema, schema_name
from beam_distilabel.models.remote.answers import MalformedAnswer, output_of_one
from beam_distilabel.models.remote.errors import explain_sdk
from beam_distilabel.models.remote.messages import Image, parts_of, split_system
from beam_distilabel.models.remote.redirects import not_followed
from beam_distilabel.models.remote.retries import Trouble
from beam_distilabel.models.remote.single import SingleAnswerLLM
from beam_distilabel.runtime_parameters import RuntimeParameter
from beam_distilabel.secrets import secret_from
from beam_distilabel.typing import FormattedInput, GenerateOutput

ANTHROPIC_URL = "https://api.anthropic.com"

_FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


@dataclass(config=ConfigDict(extra="forbid"))
class _Arguments:
    max_tokens: Annotated[int, Gt(0)] = 128
    stop_sequences: list[str] | None = None
    temperature: Annotated[float, Ge(0)] = 1.0
    top_p: float | None = None
    top_k: int | None = None


class AnthropicLLM(SingleAnswerLLM):
    """A language model of Anthropic; see `RemoteLLM` for limits, retries and failures.

    A chat's system messages go into the request's `system`. Any model name is taken: the endpoint
    knows which there are.

    Attributes:
        model: the model's name, such as "claude-sonnet-4-5".
        base_url: environment variable `ANTHROPIC_BASE_URL`, else Anthropic's own.
        api_key: environment variable `ANTHROPIC_API_KEY`.
        timeout: seconds for one attempt; 600 by default.
        http_client: an `httpx2.AsyncClient` to send with; it belongs to one event loop, so it is of
            use outside of pipelines only, and is in no dump.
        structured_output: `{"schema": a pydantic class or JSON schema}`, sent as
            `output_config`; models that don't know that are made to answer by a tool that takes
            the schema.

    Raises:
        DistilabelUserError: by `load`, there is no API key.
        EngineError: by `load`, the package `anthropic` is missing; by the first request, the
            endpoint can't be used.

    Example:
        >>> llm = AnthropicLLM(model="claude-sonnet-4-5", api_key="sk-ant-...")
        >>> llm.load()  # doctest: +SKIP
        >>> llm.generate_outputs([[{"role": "user", "content": "Hi"}]])  # doctest: +SKIP
        [{'generations': ['Hello!'], 'statistics': {...}, 'finish_reasons': ['stop']}]
        >>> "api_key" in llm.dump()
        False
    """

    base_url: RuntimeParameter[str] | None = Field(
        default_factory=lambda: os.getenv("ANTHROPIC_BASE_URL") or ANTHROPIC_URL,
        description="The base URL to use for the requests.",
    )
    api_key: RuntimeParameter[SecretStr] | None = Field(
        default_factory=lambda: secret_from("ANTHROPIC_API_KEY"),
        description="The API key to authenticate the requests.",
    )
    timeout: RuntimeParameter[PositiveFloat] = Field(
        default=600.0, description="The seconds for one attempt."
    )
    http_client: Any = Field(default=None, exclude=True, repr=False)

    sdk: ClassVar[str] = "anthropic"
    extra: ClassVar[str] = "anthropic"
    arguments: ClassVar[type] = _Arguments

    _api_key_env_var: str = PrivateAttr("ANTHROPIC_API_KEY")
    _by_tool: bool = PrivateAttr(False)

    @classmethod
    def not_identity(cls) -> frozenset[str]:
        return super().not_identity() | {"http_client"}

    def make_client(self) -> Any:
        """A client of the Anthropic SDK; it belongs to one event loop."""
        from anthropic import AsyncAnthropic, DefaultAsyncHttpxClient

        return AsyncAnthropic(
            api_key=self._key(),
            base_url=self.base_url,
            timeout=self.timeout,
            http_client=self.http_client or not_followed(DefaultAsyncHttpxClient()),
            # Its retries know neither our limits nor a deadline.
            max_retries=0,
        )

    async def close_client(self, client: Any) -> None:
        """Close the client, unless it sends with the user's own."""
        if self.http_client is None:
            await client.close()

    def explain(self, error: Exception) -> Trouble:
        """What an error of one attempt means."""
        import anthropic

        if not self._by_tool and _knows_no_format(error):
            self._by_tool = True
            return Trouble("refused", "the model takes no output_config", True, True, after=0.0)
        # 529: the API is overloaded, for all.
        return explain_sdk(anthropic, error, self._answered, self.secrets(), busy=(429, 529))

    async def agenerate(  # type: ignore[override]
        self,
        input: FormattedInput,
        max_tokens: int = 128,
        stop_sequences: list[str] | None = None,
        temperature: float = 1.0,
        top_p: float | None = None,
        top_k: int | None = None,
    ) -> GenerateOutput:
        """Answer one input; call `load()` first.

        Args:
            input: a chat, or a (chat, structured output) pair.
            max_tokens: the longest answer in tokens.
            stop_sequences: texts at which an answer ends.
            temperature: of the sampling, up to 1; the API's own default, 1, isn't sent, since some
                models take none.
            top_p: sample from the likeliest tokens that sum up to this probability.
            top_k: sample from so many of the likeliest tokens.

        Raises:
            GenerationError: the input can't be answered.
            EngineError: no input can be answered.
            DistilabelUserError: an argument is wrong.
        """
        return await self._ask(
            input,
            {
                "max_tokens": max_tokens,
                "stop_sequences": stop_sequences,
                "temperature": temperature,
                "top_p": top_p,
                "top_k": top_k,
            },
        )

    def longest(self, arguments: _Arguments) -> int | None:
        return arguments.max_tokens

    def request_of(
        self, chat: list[Any], arguments: _Arguments, schema: AnswerSchema | None
    ) -> dict[str, Any]:
        """The arguments of `messages.create`, with the schema under "schema"."""
        system, messages = split_system(chat)
        if not messages:
            raise GenerationError("the chat has no user message", "refused")
        request: dict[str, Any] = {
            "model": self.model,
            "max_tokens": arguments.max_tokens,
            "messages": [
                {"role": message["role"], "content": _content_of(message.get("content"))}
                for message in messages
            ],
        }
        if system is not None:
            request["system"] = system
        if arguments.stop_sequences:
            request["stop_sequences"] = arguments.stop_sequences
        # The SDK names no sampling parameters any more; the API takes them, for most models.
        sampling = {
            name: value
            for name, value in (
                ("temperature", arguments.temperature if arguments.temperature != 1.0 else None),
                ("top_p", arguments.top_p),
                ("top_k", arguments.top_k),
            )
            if value is not None
        }
        if sampling:
            request["extra_body"] = sampling
        if schema is not None:
            request["schema"] = schema.schema
        return request

    async def send(self, client: Any, request: dict[str, Any]) -> Any:
        request = dict(request)
        schema = request.pop("schema", None)
        if schema is not None:
            request |= self._structure_of(schema)
        return await client.messages.create(**request)

    def _structure_of(self, schema: dict[str, Any]) -> dict[str, Any]:
        """What makes the model answer in the form of a schema."""
        from anthropic import transform_schema

        if not self._by_tool:
            try:
                form = {"type": "json_schema", "schema": transform_schema(schema)}
                return {"output_config": {"format": form}}
            except (ValueError, TypeError, AssertionError):
                pass  # it has a part that the API's own form can't express; tools take any schema
        name = schema_name(schema)
        tool = {"name": name, "description": "Give the answer.", "input_schema": schema}
        return {"tools": [tool], "tool_choice": {"type": "tool", "name": name}}

    def read(self, answer: Any, schema: AnswerSchema | None) -> GenerateOutput:
        import orjson

        blocks = getattr(answer, "content", None)
        if not isinstance(blocks, list):
            raise MalformedAnswer(f"the answer has no content: {str(answer)[:200]}")
        texts: list[str] = []
        for block in blocks:
            if block.type == "text":
                texts.append(block.text)
            elif block.type == "tool_use" and schema is not None:
                texts.append(orjson.dumps(block.input).decode())
        reason = answer.stop_reason
        refusal = None
        if reason == "refusal":
            details = getattr(answer, "stop_details", None)
            why = getattr(details, "explanation", None) or getattr(details, "category", None)
            refusal = f"the model refused: {why or 'no reason was given'}"
        known = _FINISH_REASONS.get(reason, reason)
        if known == "tool_calls" and schema is not None:
            known = "stop"  # the tool is only our way to ask for the form
        usage = answer.usage
        cached = (usage.cache_creation_input_tokens or 0) + (usage.cache_read_input_tokens or 0)
        return output_of_one(
            "".join(texts) if texts or known == "stop" else None,
            known,
            usage.input_tokens + cached,
            usage.output_tokens,
            schema,
            refusal,
        )


def _content_of(content: Any) -> Any:
    if isinstance(content, str):
        return content
    blocks: list[dict[str, Any]] = []
    for part in parts_of(content):
        if isinstance(part, Image):
            source = (
                {"type": "url", "url": part.url}
                if part.url is not None
                else {"type": "base64", "media_type": part.media_type, "data": part.data}
            )
            blocks.append({"type": "image", "source": source})
        else:
            blocks.append({"type": "text", "text": part})
    return blocks


def _knows_no_format(error: Exception) -> bool:
    """Whether the model is one that takes no `output_config`."""
    if getattr(error, "status_code", None) != 400:
        return False
    text = str(error)
    return any(name in text for name in ("output_config", "output_format", "structured output"))
