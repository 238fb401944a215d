"""`OllamaLLM`: models that an Ollama server runs."""

from __future__ import annotations

import contextvars
import os
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, Field, PositiveFloat, PrivateAttr
from pydantic.dataclasses import dataclass

from beam_distilabel.errors import EngineError, GenerationError
from beam_distilabel.models.answer_schema import AnswerSchema
from beam_distilabel.models.local.chat import load_tokenizer, rendered
from beam_distilabel.models.magpie import MagpieChatTemplateMixin
from beam_distilabel.models.remote.answers import MalformedAnswer, output_of_one
from beam_distilabel.models.remote.errors import (
    explain_status,
    is_connection_error,
    is_timeout,
    not_reached,
    not_readable,
    safe_message,
    took_too_long,
)
from beam_distilabel.models.remote.messages import Image, parts_of
from beam_distilabel.models.remote.retries import Trouble
from beam_distilabel.models.remote.single import SingleAnswerLLM
from beam_distilabel.runtime_parameters import RuntimeParameter
from beam_distilabel.typing import FormattedInput, GenerateOutput

_DEFAULT_HOST = "http://127.0.0.1:11434"

_headers: contextvars.ContextVar[Mapping[str, str]] = contextvars.ContextVar("headers")
"""Of the last answer: the SDK's errors don't have them."""


@dataclass(config=ConfigDict(extra="forbid"))
class _Arguments:
    format: Literal["", "json"] | dict[str, Any] | None = ""
    options: dict[str, Any] | None = None
    keep_alive: bool | float | str | None = None


class OllamaLLM(SingleAnswerLLM, MagpieChatTemplateMixin):
    """A language model of an Ollama server; see `RemoteLLM` for limits, retries and failures.

    Chats are rendered by the server with its model's template. With `tokenizer_id` they are
    rendered here and sent as raw prompts; that needs `transformers`.

    Attributes:
        model: the model's name at the server, such as "llama3.2".
        host: the server; environment variable `OLLAMA_HOST`, else "http://127.0.0.1:11434".
        follow_redirects: whether to go where the server points to.
        structured_output: `{"schema": a pydantic class or JSON schema}`, sent as `format`.
        tokenizer_id: the name on the Hugging Face Hub, or the folder, of the tokenizer whose chat
            template renders chats.
        use_magpie_template: whether to let the model write the user's turn next; needs
            `tokenizer_id`.
        magpie_pre_query_template: what the model's chat template puts before a user's message, or
            "llama3" or "qwen2".

    Raises:
        EngineError: by `load`, the package `ollama` is missing or the tokenizer can't be loaded; by
            the first request, the server can't be reached or doesn't have the model.

    Example:
        >>> llm = OllamaLLM(model="llama3.2", generation_kwargs={"options": {"temperature": 0.7}})
        >>> llm.load()  # doctest: +SKIP
        >>> llm.generate_outputs([[{"role": "user", "content": "Hi"}]])  # doctest: +SKIP
        [{'generations': ['Hello!'], 'statistics': {...}, 'finish_reasons': ['stop']}]
    """

    host: RuntimeParameter[str] | None = Field(default=None, description="The server.")
    timeout: RuntimeParameter[PositiveFloat] = Field(
        default=120, description="The seconds for one attempt."
    )
    follow_redirects: bool = True
    tokenizer_id: RuntimeParameter[str] | None = Field(
        default=None, description="The tokenizer whose chat template renders chats."
    )

    sdk: ClassVar[str] = "ollama"
    extra: ClassVar[str] = "ollama"
    url_name: ClassVar[str] = "host"
    arguments: ClassVar[type] = _Arguments
    takes_raw_prompts: ClassVar[bool] = True

    magpie_needs: ClassVar[tuple[str, ...]] = ("tokenizer_id",)

    _tokenizer: Any = PrivateAttr(None)

    def model_post_init(self, context: Any) -> None:
        super().model_post_init(context)
        self.check_magpie()

    def address(self) -> str:
        return self.host or os.getenv("OLLAMA_HOST") or _DEFAULT_HOST

    def check_loadable(self) -> None:
        """Nothing to check: there is no key, and a host needs no "http://"."""

    def load(self) -> None:
        """Make ready to ask; nothing is sent yet.

        Raises:
            EngineError: the package `ollama` is missing, or the tokenizer can't be loaded.
        """
        super().load()
        if self.tokenizer_id is not None and self._tokenizer is None:
            self._tokenizer = load_tokenizer("OllamaLLM", self.tokenizer_id)
            if self._tokenizer.chat_template is None:
                raise EngineError(
                    f"OllamaLLM: the tokenizer {self.tokenizer_id!r} has no chat template. Leave "
                    "`tokenizer_id` out, and the server renders chats."
                )

    def unload(self) -> None:
        self._tokenizer = None
        super().unload()

    def make_client(self) -> Any:
        """A client of the Ollama SDK; it belongs to one event loop."""
        from ollama import AsyncClient

        async def remember(response: Any) -> None:
            _headers.set(response.headers)

        return AsyncClient(
            host=self.host,
            timeout=self._timeout(),
            follow_redirects=self.follow_redirects,
            event_hooks={"response": [remember]},
        )

    def explain(self, error: Exception) -> Trouble:
        """What an error of one attempt means."""
        import ollama

        text = safe_message(error, self.secrets())
        if is_timeout(error):
            return took_too_long(text)
        if isinstance(error, ollama.ResponseError) and error.status_code >= 400:
            headers = getattr(error, "headers", {})
            return explain_status(error.status_code, str(error.error), self._answered, headers)
        if is_connection_error(error):
            return not_reached(text, self._answered)
        if isinstance(error, ValueError):
            return not_readable(text)
        return Trouble("engine", text)

    async def agenerate(  # type: ignore[override]
        self,
        input: FormattedInput,
        format: Literal["", "json"] | dict[str, Any] | None = "",
        options: dict[str, Any] | None = None,
        keep_alive: bool | float | str | None = None,
    ) -> GenerateOutput:
        """Answer one input; call `load()` first.

        Args:
            input: a chat, a (chat, structured output) pair, or a text, which is a raw prompt.
            format: "json" for JSON of any form, or a JSON schema; `structured_output` takes
                precedence, and is checked.
            options: of the model and the sampling, in Ollama's words: `num_predict` (the longest
                answer in tokens), `num_ctx`, `temperature`, `top_p`, `top_k`, `seed`, `stop`...
            keep_alive: how long the model stays in memory after the answer: seconds, or a text such
                as "10m"; True for ever, False not at all.

        Raises:
            GenerationError: the input can't be answered.
            EngineError: no input can be answered.
            DistilabelUserError: an argument is wrong.
        """
        return await self._ask(
            input, {"format": format, "options": options, "keep_alive": keep_alive}
        )

    def longest(self, arguments: _Arguments) -> int | None:
        length = (arguments.options or {}).get("num_predict")
        return length if isinstance(length, int) and length > 0 else None

    def request_of(
        self, chat: Any, arguments: _Arguments, schema: AnswerSchema | None
    ) -> dict[str, Any]:
        """The arguments of `chat`, or of `generate` for what is a raw prompt."""
        request: dict[str, Any] = {"model": self.model, "stream": False}
        if schema is not None:
            request["format"] = schema.schema
        elif arguments.format:
            request["format"] = arguments.format
        if arguments.options is not None:
            request["options"] = arguments.options
        if isinstance(arguments.keep_alive, bool):
            request["keep_alive"] = -1 if arguments.keep_alive else 0
        elif arguments.keep_alive is not None:
            request["keep_alive"] = arguments.keep_alive
        if isinstance(chat, str) or self._tokenizer is not None:
            prompt = rendered(self, self._tokenizer, chat)
            return {**request, "prompt": prompt.text, "raw": True}
        return {**request, "messages": [_message(message) for message in chat]}

    async def send(self, client: Any, request: dict[str, Any]) -> Any:
        import ollama

        try:
            return await (client.generate if "prompt" in request else client.chat)(**request)
        except ollama.ResponseError as error:
            error.headers = _headers.get({})  # here: another attempt may be another task
            raise

    def read(self, answer: Any, schema: AnswerSchema | None) -> GenerateOutput:
        plain = answer.model_dump()
        message = plain.get("message")
        text = message.get("content") if isinstance(message, dict) else plain.get("response")
        if not isinstance(text, str) or plain.get("done") is False:
            raise MalformedAnswer(f"the answer has no text or isn't done: {str(plain)[:200]}")
        return output_of_one(
            text,
            plain.get("done_reason"),
            plain.get("prompt_eval_count"),
            plain.get("eval_count"),
            schema,
        )


def _message(message: Any) -> dict[str, Any]:
    """A message in Ollama's form: images are beside the text."""
    if not isinstance(message.get("content"), list):
        return dict(message)
    texts: list[str] = []
    images: list[str] = []
    for part in parts_of(message["content"]):
        if not isinstance(part, Image):
            texts.append(part)
        elif part.data is not None:
            images.append(part.data)
        else:
            raise GenerationError(
                "a message has the address of an image; Ollama takes images as `data:` URLs only.",
                "refused",
            )
    return {**message, "content": "\n".join(texts), **({"images": images} if images else {})}
