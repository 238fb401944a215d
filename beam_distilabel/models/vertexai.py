"""`VertexAILLM`: Gemini and its kin on Google's Vertex AI."""

from __future__ import annotations

import base64
import binascii
import mimetypes
import os
import re
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Gt
from pydantic import ConfigDict, Field, SecretStr
from pydantic.dataclasses import dataclass

from beam_distilabel.errors import DistilabelUserError, GenerationError
from beam_distilabel.models.answer_schema import AnswerSchema
from beam_distilabel.models.arguments import given_arguments
from beam_distilabel.models.remote.answers import MalformedAnswer, output_of_one
from beam_distilabel.models.remote.errors import (
    explain_status,
    is_connection_error,
    is_timeout,
    not_reached,
    not_readable,
    safe_message,
    took_too_long,
    without,
)
from beam_distilabel.models.remote.messages import Image, parts_of, split_system
from beam_distilabel.models.remote.redirects import not_followed
from beam_distilabel.models.remote.retries import Trouble
from beam_distilabel.models.remote.single import SingleAnswerLLM
from beam_distilabel.runtime_parameters import RuntimeParameter
from beam_distilabel.typing import FormattedInput, GenerateOutput

_FINISH_REASONS = {"STOP": "stop", "MAX_TOKENS": "length"}
_BROKEN_OFF = ("OTHER", "MALFORMED_RESPONSE", "MALFORMED_FUNCTION_CALL")
_DELAY = re.compile(r"(\d+(?:\.\d+)?)s")


@dataclass(config=ConfigDict(extra="forbid"))
class _Arguments:
    temperature: Annotated[float, Ge(0)] | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_output_tokens: Annotated[int, Gt(0)] | None = None
    stop_sequences: list[str] | None = None
    safety_settings: dict[str, Any] | list[dict[str, Any]] | None = None
    tools: list[dict[str, Any]] | None = None


class VertexAILLM(SingleAnswerLLM):
    """A language model on Vertex AI; see `RemoteLLM` for limits, retries and failures.

    Asked by the package `google-genai`, which replaced the generative part of
    `google-cloud-aiplatform`. A chat's system messages go into the request's system instruction;
    the role "assistant" is Google's "model". It authenticates by Application Default Credentials
    (`gcloud auth application-default login`, `GOOGLE_APPLICATION_CREDENTIALS`, or what the machine
    has), unless there is an `api_key`.

    Attributes:
        model: the model's name, such as "gemini-2.5-flash".
        project: the Google Cloud project; environment variable `GOOGLE_CLOUD_PROJECT`, else the
            credentials' own.
        location: of the service; environment variable `GOOGLE_CLOUD_LOCATION`, else "global".
        api_key: for Vertex AI's express mode, in place of credentials and project.
        base_url: another address than Google's; environment variable `GOOGLE_VERTEX_BASE_URL`.
        structured_output: `{"schema": a pydantic class or JSON schema}`, sent as
            `response_json_schema`.

    Raises:
        EngineError: by `load`, the package `google-genai` is missing; by the first request, there
            are no credentials or the endpoint can't be used.

    Example:
        >>> llm = VertexAILLM(model="gemini-2.5-flash", project="my-project")
        >>> llm.model_name
        'gemini-2.5-flash'
    """

    project: RuntimeParameter[str] | None = Field(
        default_factory=lambda: os.getenv("GOOGLE_CLOUD_PROJECT"),
        description="The Google Cloud project.",
    )
    location: RuntimeParameter[str] | None = Field(
        default_factory=lambda: os.getenv("GOOGLE_CLOUD_LOCATION"),
        description="The location of the service.",
    )
    api_key: RuntimeParameter[SecretStr] | None = Field(
        default=None, description="The API key of Vertex AI's express mode."
    )
    base_url: RuntimeParameter[str] | None = Field(
        default_factory=lambda: os.getenv("GOOGLE_VERTEX_BASE_URL"),
        description="The base URL to use for the requests.",
    )

    sdk: ClassVar[str] = "google.genai"
    extra: ClassVar[str] = "vertexai"
    arguments: ClassVar[type] = _Arguments

    def address(self) -> str:
        """The URL or Google's, with what quotas are for: the project and the location."""
        return f"{self.base_url or 'vertexai'} {self.project} {self.location}"

    def check_loadable(self) -> None:
        """Raise where nothing could be asked.

        Raises:
            DistilabelUserError: `base_url` is no URL.
        """
        if self.base_url and not self.base_url.startswith(("http://", "https://")):
            raise DistilabelUserError(
                f"VertexAILLM: base_url is {self.base_url!r}; it has to begin with http:// or "
                "https://."
            )

    def make_client(self) -> Any:
        """A client of the Google Gen AI SDK; it belongs to one event loop."""
        import httpx2
        from google import genai
        from google.genai import types

        options = types.HttpOptions(
            timeout=int(self._timeout() * 1000),
            base_url=self.base_url,
            httpx_async_client=not_followed(httpx2.AsyncClient(timeout=self._timeout())),
        )
        if self.api_key is not None:
            return genai.Client(vertexai=True, api_key=self._key(), http_options=options)
        import google.auth

        credentials, project = google.auth.default(
            scopes=["https://www.googleapis.com/auth/cloud-platform"]
        )
        return genai.Client(
            vertexai=True,
            credentials=credentials,
            project=self.project or project,
            location=self.location or "global",
            http_options=options,
        )

    async def close_client(self, client: Any) -> None:
        await client.aio.aclose()
        await client._api_client._async_httpx_client.aclose()  # it isn't the SDK's
        client.close()

    def explain(self, error: Exception) -> Trouble:
        """What an error of one attempt means."""
        import google.auth.exceptions
        from google.genai import errors

        if isinstance(error, errors.APIError) and isinstance(error.code, int):
            text = without(self.secrets(), str(error.message or error.status))[:500]
            headers = {
                name.lower(): value
                for name, value in dict(getattr(error.response, "headers", None) or {}).items()
            }
            delay = _retry_delay(error.details)
            if delay is not None:
                headers.setdefault("retry-after", delay)
            if "API_KEY_INVALID" in str(error.details):
                return Trouble("refused", f"the endpoint: {text}", whole=not self._answered)
            return explain_status(error.code, text, self._answered, headers, whole=(401, 403, 404))
        text = safe_message(error, self.secrets())
        if is_timeout(error):
            return took_too_long(text)
        if isinstance(error, google.auth.exceptions.GoogleAuthError):
            again = bool(getattr(error, "retryable", False))
            whole = not self._answered
            return Trouble("refused", f"no access to Vertex AI: {text}", again=again, whole=whole)
        if is_connection_error(error):
            return not_reached(text, self._answered)
        if isinstance(error, ValueError):
            return not_readable(text)
        return Trouble("engine", text)

    async def agenerate(  # type: ignore[override]
        self,
        input: FormattedInput,
        temperature: float | None = None,
        top_p: float | None = None,
        top_k: int | None = None,
        max_output_tokens: int | None = None,
        stop_sequences: list[str] | None = None,
        safety_settings: dict[str, Any] | list[dict[str, Any]] | None = None,
        tools: list[dict[str, Any]] | None = None,
    ) -> GenerateOutput:
        """Answer one input; call `load()` first.

        Args:
            input: a chat, or a (chat, structured output) pair; roles may be "model" or "assistant".
            temperature: of the sampling; if None, the model's own.
            top_p: sample from the likeliest tokens that sum up to this probability.
            top_k: sample from so many of the likeliest tokens.
            max_output_tokens: the longest answer in tokens; if None, the model's own limit.
            stop_sequences: texts at which an answer ends.
            safety_settings: harm category to threshold, or a list of `{"category", "threshold"}`.
            tools: in the form of Google's API.

        Raises:
            GenerationError: the input can't be answered.
            EngineError: no input can be answered.
            DistilabelUserError: an argument is wrong.
        """
        arguments = given_arguments(locals())
        return await self._ask(input, arguments)

    def longest(self, arguments: _Arguments) -> int | None:
        return arguments.max_output_tokens

    def request_of(
        self, chat: list[Any], arguments: _Arguments, schema: AnswerSchema | None
    ) -> dict[str, Any]:
        """The arguments of `generate_content`."""
        from google.genai import types

        system, messages = split_system(chat)
        if not messages:
            raise GenerationError("the chat has no user message", "refused")
        safety = arguments.safety_settings
        if isinstance(safety, dict):
            safety = [{"category": name, "threshold": level} for name, level in safety.items()]
        try:
            config = types.GenerateContentConfig(
                system_instruction=system,
                candidate_count=1,
                temperature=arguments.temperature,
                top_p=arguments.top_p,
                top_k=arguments.top_k,
                max_output_tokens=arguments.max_output_tokens,
                stop_sequences=arguments.stop_sequences,
                safety_settings=safety,
                tools=arguments.tools,
                response_mime_type="application/json" if schema is not None else None,
                response_json_schema=schema.schema if schema is not None else None,
            )
        except ValueError as error:
            raise DistilabelUserError(f"VertexAILLM's generation arguments: {error}") from None
        return {
            "model": self.model,
            "contents": [_content_of(message) for message in messages],
            "config": config,
        }

    async def send(self, client: Any, request: dict[str, Any]) -> Any:
        return await client.aio.models.generate_content(**request)

    def read(self, answer: Any, schema: AnswerSchema | None) -> GenerateOutput:
        usage = answer.usage_metadata
        used = usage.prompt_token_count if usage is not None else None
        # Thoughts are charged for as answers are.
        made = (
            (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0)
            if usage is not None
            else None
        )
        feedback = answer.prompt_feedback
        if feedback is not None and feedback.block_reason is not None:
            why = feedback.block_reason_message or feedback.block_reason.value
            refusal = f"the endpoint's content filter refused the prompt: {why}"
            return output_of_one(None, "content_filter", used, made, schema, refusal)
        if not answer.candidates:
            raise MalformedAnswer(f"the answer has no candidates: {str(answer)[:200]}")
        candidate = answer.candidates[0]
        reason = candidate.finish_reason.value if candidate.finish_reason is not None else "STOP"
        if reason in _BROKEN_OFF:
            raise MalformedAnswer(f"the answer was broken off ({reason})")
        parts = candidate.content.parts if candidate.content is not None else None
        texts = [part.text for part in parts or () if part.text is not None and not part.thought]
        text = "".join(texts) if texts else None
        if reason in _FINISH_REASONS:
            return output_of_one(text, _FINISH_REASONS[reason], used, made, schema)
        refusal = f"the endpoint's content filter stopped the answer ({reason})"
        return output_of_one(text, "content_filter", used, made, schema, refusal)


def _content_of(message: dict[str, Any]) -> Any:
    from google.genai import types

    parts = []
    for part in parts_of(message.get("content")):
        if not isinstance(part, Image):
            parts.append(types.Part(text=part))
        elif part.url is not None:
            kind = mimetypes.guess_type(part.url)[0] or "image/jpeg"
            parts.append(types.Part.from_uri(file_uri=part.url, mime_type=kind))
        else:
            try:
                data = base64.b64decode(str(part.data), validate=True)
            except binascii.Error as error:
                raise GenerationError(f"an image isn't base64: {error}", "refused") from None
            parts.append(types.Part.from_bytes(data=data, mime_type=str(part.media_type)))
    role = "user" if message["role"] == "user" else "model"
    return types.Content(role=role, parts=parts)


def _retry_delay(details: Any) -> str | None:
    """The seconds that the body of an error asks to wait."""
    match = _DELAY.search(str(_find(details, "retryDelay")))
    return match.group(1) if match is not None else None


def _find(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        if name in value:
            return value[name]
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            found = _find(item, name)
            if found is not None:
                return found
    return None
