"""Each provider: its server, its LLM, and where its requests have what."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from beam_distilabel.models.anthropic import AnthropicLLM
from beam_distilabel.models.cohere import CohereLLM
from beam_distilabel.models.groq import GroqLLM
from beam_distilabel.models.litellm import LiteLLM
from beam_distilabel.models.mistral import MistralLLM
from beam_distilabel.models.openai import OpenAILLM
from beam_distilabel.models.remote.llm import RemoteLLM
from beam_distilabel.models.vertexai import VertexAILLM
from tests.openai_server import OpenAIServer
from tests.provider_servers.anthropic import AnthropicServer
from tests.provider_servers.cohere import CohereServer
from tests.provider_servers.google import VertexServer
from tests.provider_servers.groq import GroqServer
from tests.provider_servers.mistral import MistralServer


@dataclasses.dataclass(frozen=True)
class Provider:
    """What the conformance tests have to know.

    Attributes:
        llm: the class.
        server: of its protocol.
        fields: of an LLM of a server, without its key.
        length: the generation argument for the longest answer.
        sdk: the module that its `load` imports.
        system: the system prompt in a request's body.
        schema: the JSON schema that a request's body asks for.
        image: the image in a request's body with one text and one image.
        arguments: that every request needs.
        dumped: the fields of distilabel's own dump, with their values.
        refuses: whether the protocol has a refusal of the model.
        key: the field of its API key; None if it has none.
    """

    llm: type[RemoteLLM]
    server: type[OpenAIServer]
    fields: Callable[[OpenAIServer], dict[str, Any]]
    length: str
    sdk: str
    system: Callable[[dict[str, Any]], Any]
    schema: Callable[[dict[str, Any]], Any]
    image: Callable[[dict[str, Any]], Any]
    arguments: Callable[[OpenAIServer], dict[str, Any]] = lambda server: {}
    dumped: dict[str, Any] = dataclasses.field(default_factory=dict)
    refuses: bool = True
    key: str | None = "api_key"

    @property
    def name(self) -> str:
        return self.llm.__name__

    def make(self, server: OpenAIServer, **fields: Any) -> Any:
        """An LLM of the server."""
        key = {self.key: server.key} if self.key else {}
        given = {**self.fields(server), **key, "timeout": 10.0, "max_retries": 6}
        kwargs = {**self.arguments(server), **fields.pop("generation_kwargs", {})}
        return self.llm(**{**given, **fields}, generation_kwargs=kwargs)


def _first_system(body: dict[str, Any]) -> Any:
    message = body["messages"][0]
    return message["content"] if message["role"] == "system" else None


def _response_format(body: dict[str, Any]) -> Any:
    return body["response_format"]["json_schema"]["schema"]


def _image_url(body: dict[str, Any]) -> Any:
    return body["messages"][-1]["content"][1]["image_url"]["url"]


def _anthropic_image(body: dict[str, Any]) -> Any:
    source = body["messages"][-1]["content"][1]["source"]
    return f"data:{source['media_type']};base64,{source['data']}"


def _vertex_image(body: dict[str, Any]) -> Any:
    image = body["contents"][-1]["parts"][1]["inlineData"]
    kind = image.get("mimeType") or image["mime_type"]  # the API takes either name
    return f"data:{kind};base64,{image['data']}"


_COMMON = {
    "generation_kwargs": {},
    "use_offline_batch_generation": False,
    "offline_batch_generation_block_until_done": None,
    "jobs_ids": None,
}
_STRUCTURED = {**_COMMON, "structured_output": None}

PROVIDERS = (
    Provider(
        OpenAILLM,
        OpenAIServer,
        lambda server: {"model": "tiny", "base_url": server.url},
        length="max_new_tokens",
        sdk="openai",
        system=_first_system,
        schema=_response_format,
        image=_image_url,
        dumped={
            **_STRUCTURED,
            "model": "tiny",
            "base_url": "http://localhost/v1",
            "default_headers": None,
            "max_retries": 6,
            "timeout": 120,
        },
    ),
    Provider(
        AnthropicLLM,
        AnthropicServer,
        lambda server: {"model": "tiny", "base_url": server.origin},
        length="max_tokens",
        sdk="anthropic",
        system=lambda body: body.get("system"),
        schema=lambda body: body["output_config"]["format"]["schema"],
        image=_anthropic_image,
        dumped={
            **_STRUCTURED,
            "model": "tiny",
            "base_url": "https://api.anthropic.com",
            "timeout": 600.0,
            "max_retries": 6,
        },
    ),
    Provider(
        CohereLLM,
        CohereServer,
        lambda server: {"model": "tiny", "base_url": server.url},
        length="max_tokens",
        sdk="cohere",
        system=_first_system,
        schema=lambda body: body["response_format"]["json_schema"],
        image=_image_url,
        refuses=False,
        dumped={
            **_STRUCTURED,
            "model": "tiny",
            "base_url": "https://api.cohere.ai/v1",
            "timeout": 120,
            "client_name": "distilabel",
        },
    ),
    Provider(
        GroqLLM,
        GroqServer,
        lambda server: {"model": "tiny", "base_url": server.origin},
        length="max_new_tokens",
        sdk="groq",
        system=_first_system,
        schema=_response_format,
        image=_image_url,
        # Its SDK knows no refusals of the model; they come as texts.
        refuses=False,
        dumped={
            **_STRUCTURED,
            "model": "tiny",
            "base_url": "https://api.groq.com",
            "max_retries": 2,
            "timeout": 120,
        },
    ),
    Provider(
        LiteLLM,
        OpenAIServer,
        lambda server: {"model": "openai/tiny"},
        length="max_tokens",
        sdk="litellm",
        system=_first_system,
        schema=_response_format,
        image=_image_url,
        arguments=lambda server: {"api_base": server.url},
        refuses=False,
        dumped={**_STRUCTURED, "model": "openai/tiny", "verbose": False},
    ),
    Provider(
        MistralLLM,
        MistralServer,
        lambda server: {"model": "tiny", "endpoint": server.origin},
        length="max_new_tokens",
        sdk="mistralai.client",
        system=_first_system,
        schema=_response_format,
        image=_image_url,
        refuses=False,
        dumped={
            **_STRUCTURED,
            "model": "tiny",
            "endpoint": "https://api.mistral.ai",
            "max_retries": 6,
            "timeout": 120,
            "max_concurrent_requests": 64,
        },
    ),
    Provider(
        VertexAILLM,
        VertexServer,
        lambda server: {"model": "tiny", "base_url": server.origin},
        length="max_output_tokens",
        sdk="google.genai",
        system=lambda body: body["systemInstruction"]["parts"][0]["text"],
        schema=lambda body: body["generationConfig"]["responseJsonSchema"],
        image=_vertex_image,
        dumped={**_COMMON, "model": "tiny"},
    ),
)
