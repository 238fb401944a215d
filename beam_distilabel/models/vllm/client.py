"""`ClientvLLM`: a vLLM server that someone else runs."""

from __future__ import annotations

import os
import threading
from typing import Any, ClassVar

from pydantic import Field, PrivateAttr, SecretStr

from beam_distilabel.errors import DistilabelUserError, EngineError, GenerationError
from beam_distilabel.models.arguments import given_arguments
from beam_distilabel.models.magpie import MAGPIE_PRE_QUERY_TEMPLATES
from beam_distilabel.models.openai.errors import explain
from beam_distilabel.models.openai.llm import OpenAILLM
from beam_distilabel.models.structured_output import FORMATS
from beam_distilabel.runtime_parameters import RuntimeParameter
from beam_distilabel.secrets import NoSecret, secret_from
from beam_distilabel.typing import FormattedInput, GenerateOutput

_NO_KEY = "EMPTY"

_served: dict[str, str] = {}
"""Endpoint to the name of its model: Tasks need it for every row, of LLMs that aren't loaded."""
_served_lock = threading.Lock()


class ClientvLLM(OpenAILLM):
    """The client of a vLLM server; see `OpenAILLM` for all else.

    Chats are rendered by the server with its model's chat template. With `tokenizer` or
    `use_magpie_template` they are rendered here and sent as raw prompts; that needs `transformers`.

    Attributes:
        model: the model's name at the server; if empty, the first one that the server has.
        base_url: up to and with `/v1`; environment variable `OPENAI_BASE_URL`, else
            "http://localhost:8000/v1".
        api_key: what the server was started with (`--api-key`); environment variable
            `VLLM_API_KEY`. `OPENAI_API_KEY` isn't sent: the server isn't OpenAI's.
        tokenizer: the name on the Hugging Face Hub, or the folder, of the tokenizer whose chat
            template renders chats.
        tokenizer_revision: its branch, tag or commit.
        use_magpie_template: whether to let the model write the user's turn next; needs `tokenizer`.
        magpie_pre_query_template: what the chat template puts before a user's message, or "llama3"
            or "qwen2".
        structured_output: also with the formats "regex", "choice" and "grammar", as for `vLLM`.

    Example:
        >>> llm = ClientvLLM(base_url="http://localhost:8000/v1")
        >>> llm.load()  # doctest: +SKIP
        >>> llm.model_name  # doctest: +SKIP
        'Qwen/Qwen2.5-0.5B-Instruct'
    """

    model: str = ""
    base_url: RuntimeParameter[str] | None = Field(
        default_factory=lambda: os.getenv("OPENAI_BASE_URL") or "http://localhost:8000/v1",
        description="The base URL to use for the requests.",
    )
    api_key: RuntimeParameter[SecretStr] | None = Field(
        default_factory=lambda: secret_from("VLLM_API_KEY") or NoSecret(_NO_KEY),
        description="The API key to authenticate the requests.",
    )
    tokenizer: str | None = None
    tokenizer_revision: str | None = None
    use_magpie_template: bool = False
    magpie_pre_query_template: str | None = None

    structure_formats: ClassVar[tuple[str, ...]] = FORMATS

    magpie_needs: ClassVar[tuple[str, ...]] = ("tokenizer",)

    _api_key_env_var: str = PrivateAttr("VLLM_API_KEY")
    _tokenizer: Any = PrivateAttr(None)

    def model_post_init(self, context: Any) -> None:
        super().model_post_init(context)
        if self.use_magpie_template and not (self.tokenizer and self.magpie_pre_query_template):
            raise DistilabelUserError(
                "ClientvLLM(use_magpie_template=True) needs `tokenizer` and "
                "`magpie_pre_query_template`: 'llama3', 'qwen2' or what the model's chat template "
                "puts before a user's message."
            )

    @property
    def model_name(self) -> str:
        """The model's name at the server; the server is asked once per process if it isn't given.

        Raises:
            EngineError: the server can't be asked, or has no model.
        """
        if self.model:
            return self.model
        with _served_lock:
            name = _served.get(str(self.base_url))
            if name is None:
                name = _served[str(self.base_url)] = self._asked_name()
            return name

    def _asked_name(self) -> str:
        import openai

        arguments = {**self._client_arguments(), "max_retries": self.max_retries}
        http = openai.DefaultHttpxClient(follow_redirects=False)
        with openai.OpenAI(base_url=self.base_url, http_client=http, **arguments) as client:
            try:
                models = client.models.list().data
            except (openai.OpenAIError, ValueError) as error:
                reason = explain(error, False, self.secrets()).message
                raise EngineError(
                    f"ClientvLLM can't ask {self.base_url} for its model: {reason}"
                ) from None
        if not models:
            raise EngineError(f"ClientvLLM: the server at {self.base_url} has no model.")
        return str(models[0].id)

    def load(self) -> None:
        """Ask for the model's name and load the tokenizer, where that is needed.

        Raises:
            EngineError: the server can't be asked, or the tokenizer can't be loaded.
        """
        super().load()
        if not self.model:
            with _served_lock:
                # Another model may be served at the same address by now.
                _served[str(self.base_url)] = self._asked_name()
        if self.tokenizer is not None and self._tokenizer is None:
            try:
                from transformers import AutoTokenizer

                self._tokenizer = AutoTokenizer.from_pretrained(
                    self.tokenizer, revision=self.tokenizer_revision
                )
            except Exception as error:
                raise EngineError(
                    f"ClientvLLM can't load the tokenizer {self.tokenizer!r}: "
                    f"{type(error).__name__}: {error}"
                ) from error

    def answer_identity(self) -> dict[str, Any]:
        """What decides the answers: the model that is served, not the address."""
        return {**super().answer_identity(), "model": self.model_name}

    @classmethod
    def how_it_is_run(cls) -> frozenset[str]:
        return super().how_it_is_run() | {"base_url"}

    def unload(self) -> None:
        self._tokenizer = None
        super().unload()

    async def agenerate(  # type: ignore[override]
        self,
        input: FormattedInput,
        num_generations: int = 1,
        max_new_tokens: int = 128,
        frequency_penalty: float = 0.0,
        logit_bias: dict[str, float] | None = None,
        presence_penalty: float = 0.0,
        temperature: float = 1.0,
        top_p: float = 1.0,
        logprobs: bool = False,
        top_logprobs: int | None = None,
        echo: bool = False,
        stop: str | list[str] | None = None,
        response_format: dict[str, Any] | None = None,
        extra_body: dict[str, Any] | None = None,
    ) -> GenerateOutput:
        """Answer one input; call `load()` first.

        Args:
            input: as for `OpenAILLM.agenerate`.
            num_generations: how many answers.
            max_new_tokens: the longest answer in tokens.
            frequency_penalty: above 0 against tokens by how often they are in the answer.
            logit_bias: token id to what is added to its logit.
            presence_penalty: above 0 for tokens that are not in the answer yet.
            temperature: of the sampling.
            top_p: sample from the likeliest tokens that sum up to this probability.
            logprobs: whether to report log probabilities.
            top_logprobs: how many candidates per token to report.
            echo: whether to put the prompt before the answer; what is sent as a raw prompt only.
            stop: texts at which an answer ends.
            response_format: as for `OpenAILLM.agenerate`.
            extra_body: any other field of the server's requests, such as `{"top_k": 20}`.

        Raises:
            GenerationError: the input can't be answered.
            EngineError: no input can be answered.
        """
        arguments = given_arguments(locals())
        return await self._ask(input, num_generations, arguments)

    def _prompt(self, prompt: Any) -> Any:
        if self._tokenizer is None or isinstance(prompt, str):
            return prompt
        user_is_next = self.use_magpie_template and (not prompt or prompt[-1]["role"] != "user")
        text = ""
        if prompt:
            try:
                text = self._tokenizer.apply_chat_template(
                    prompt, tokenize=False, add_generation_prompt=not user_is_next
                )
            except Exception as error:
                raise GenerationError(
                    f"the prompt could not be made: {type(error).__name__}: {error}", "render"
                ) from error
        if user_is_next:
            template = str(self.magpie_pre_query_template)
            text += MAGPIE_PRE_QUERY_TEMPLATES.get(template, template)
        return text
