"""The generation arguments of the OpenAI protocol, and the requests made of them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt
from pydantic import ConfigDict, TypeAdapter
from pydantic.dataclasses import dataclass

from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.models.answer_schema import AnswerSchema
from beam_distilabel.models.arguments import checked_arguments

CHAT = "/chat/completions"
COMPLETIONS = "/completions"

_OURS = ("model", "messages", "prompt", "n", "stream")


@dataclass(config=ConfigDict(extra="forbid"))
class RequestArguments:
    """What `agenerate` takes besides the input; `OpenAILLM.agenerate` says what each one does."""

    max_new_tokens: Annotated[int, Gt(0)] = 128
    logprobs: bool = False
    top_logprobs: Annotated[int, Gt(0)] | None = None
    echo: bool = False
    frequency_penalty: float = 0.0
    logit_bias: dict[str, float] | None = None
    presence_penalty: float = 0.0
    temperature: Annotated[float, Ge(0)] = 1.0
    top_p: float = 1.0
    stop: str | list[str] | None = None
    response_format: dict[Literal["type", "json_schema"], Any] | None = None
    extra_body: dict[str, Any] | None = None


_adapter = TypeAdapter(RequestArguments)


def parse_arguments(arguments: dict[str, Any], whose: str) -> RequestArguments:
    """`arguments` checked.

    Args:
        arguments: name to value.
        whose: the LLM class, for the message.

    Raises:
        DistilabelUserError: names the argument, its value and what is expected.
    """
    parsed = checked_arguments(_adapter, RequestArguments, arguments, whose)
    kind = (parsed.response_format or {"type": "text"}).get("type")
    if kind not in ("text", "json_object", "json_schema"):
        raise DistilabelUserError(
            f"{whose}: response_format is {parsed.response_format!r}; its `type` has to be 'text', "
            "'json_object' or 'json_schema'. `structured_output` asks for a schema and checks it."
        )
    for name in _OURS:
        if name in (parsed.extra_body or {}):
            raise DistilabelUserError(
                f"{whose}: extra_body can't hold {name!r}; it is set by the LLM."
            )
    return parsed


def request_of(
    prompt: Any, arguments: RequestArguments, schema: AnswerSchema | None
) -> tuple[str, dict[str, Any]]:
    """The path and the body of a request, without its model, `n` and the limit of its length.

    Args:
        prompt: a chat, or a text, which is a raw prompt.
        arguments: the generation arguments.
        schema: the structure to answer in.
    """
    raw = isinstance(prompt, str)
    body: dict[str, Any] = {
        "prompt" if raw else "messages": prompt,
        "frequency_penalty": arguments.frequency_penalty,
        "presence_penalty": arguments.presence_penalty,
        "temperature": arguments.temperature,
        "top_p": arguments.top_p,
    }
    if arguments.stop is not None:
        body["stop"] = arguments.stop
    if arguments.logit_bias is not None:
        body["logit_bias"] = arguments.logit_bias
    if raw:
        if arguments.echo:
            body["echo"] = True
        if arguments.logprobs or arguments.top_logprobs:
            body["logprobs"] = arguments.top_logprobs or 1
    elif arguments.logprobs or arguments.top_logprobs:
        body["logprobs"] = True
        if arguments.top_logprobs:
            body["top_logprobs"] = arguments.top_logprobs
    if schema is not None and schema.format == "json":
        body["response_format"] = schema.response_format
    elif schema is not None:
        # Of vLLM's server; the protocol has no other format.
        body["structured_outputs"] = {schema.format: schema.schema}
    elif arguments.response_format is not None:
        body["response_format"] = arguments.response_format
    return (COMPLETIONS if raw else CHAT), {**body, **(arguments.extra_body or {})}
