"""`LiteLLM`: any model that the package `litellm` knows the way to."""

from __future__ import annotations

import logging
import os
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Gt
from pydantic import ConfigDict, Field, PositiveFloat, PrivateAttr, SecretStr, TypeAdapter
from pydantic.dataclasses import dataclass

from beam_distilabel.dumping import names_secret
from beam_distilabel.errors import GenerationError
from beam_distilabel.models.answer_schema import AnswerSchema
from beam_distilabel.models.arguments import checked_arguments, given_arguments
from beam_distilabel.models.openai.answers import (
    checked_answer,
    output_of,
    total_tokens,
    with_failures,
)
from beam_distilabel.models.remote.errors import explain_sdk, explain_status, safe_message
from beam_distilabel.models.remote.limits import Slot, prompt_tokens
from beam_distilabel.models.remote.litellm_clients import follow_no_redirects
from beam_distilabel.models.remote.llm import RemoteLLM
from beam_distilabel.models.remote.redirects import unwrapped
from beam_distilabel.models.remote.retries import Trouble
from beam_distilabel.models.remote.single import UNSET_LENGTH_TOKENS
from beam_distilabel.runtime_parameters import RuntimeParameter
from beam_distilabel.typing import FormattedInput, GenerateOutput


@dataclass(config=ConfigDict(extra="forbid"))
class _Arguments:
    functions: list[Any] | None = None
    function_call: str | None = None
    temperature: Annotated[float, Ge(0)] | None = 1.0
    top_p: float | None = 1.0
    stop: str | list[str] | None = None
    max_tokens: Annotated[int, Gt(0)] | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    user: str | None = None
    metadata: dict[str, Any] | None = None
    api_base: str | None = None
    api_version: str | None = None
    api_key: str | None = None
    model_list: list[Any] | None = None
    mock_response: str | None = None
    force_timeout: Annotated[float, Gt(0)] | None = 600
    custom_llm_provider: str | None = None


_adapter = TypeAdapter(_Arguments)
_SHORTEST_SECRET = 8


class LiteLLM(RemoteLLM):
    """A language model behind any provider that `litellm` knows; see `RemoteLLM` for limits,
    retries and failures.

    Keys and addresses are found by `litellm` in the environment variables of the provider
    (`OPENAI_API_KEY`, `MISTRAL_API_KEY`, ...), unless they are given. Token counts are the
    provider's. Arguments that the provider doesn't take are left out after it said so once. The
    limits hold for all `LiteLLM`s of a process with the same model prefix and key.

    Attributes:
        model: provider and model, such as "mistral/mistral-small-latest".
        verbose: whether to log what `litellm` logs.
        api_key: in place of the environment variable of the provider.
        timeout: seconds for one attempt; 600 by default. The lower one of it and the generation
            argument `force_timeout` holds.
        structured_output: `{"schema": a pydantic class or JSON schema}`, given to `litellm` as
            `response_format`, which turns it into what the provider has for that.

    Raises:
        EngineError: by `load`, the package `litellm` is missing; by the first request, the endpoint
            can't be used.

    Example:
        >>> llm = LiteLLM(model="mistral/mistral-small-latest")
        >>> llm.load()  # doctest: +SKIP
        >>> llm.generate_outputs([[{"role": "user", "content": "Hi"}]])  # doctest: +SKIP
        [{'generations': ['Hello!'], 'statistics': {...}, 'finish_reasons': ['stop']}]
    """

    model: str
    verbose: RuntimeParameter[bool] = Field(
        default=False, description="Whether to log what `litellm` logs."
    )
    api_key: RuntimeParameter[SecretStr] | None = Field(
        default=None, description="The API key to authenticate the requests."
    )
    timeout: RuntimeParameter[PositiveFloat] = Field(
        default=600.0, description="The seconds for one attempt."
    )

    sdk: ClassVar[str] = "litellm"
    extra: ClassVar[str] = "litellm"

    _drop_params: bool = PrivateAttr(False)

    @property
    def model_name(self) -> str:
        return self.model

    @classmethod
    def not_identity(cls) -> frozenset[str]:
        return super().not_identity() | {"verbose"}

    def address(self) -> str:
        """The provider, by the model's prefix."""
        provider = self.model.split("/")[0] if "/" in self.model else "openai"
        return f"litellm {provider} {(self.generation_kwargs or {}).get('api_base') or ''}"

    def check_loadable(self) -> None:
        """Nothing to check: keys and addresses are found by `litellm`."""

    def secrets(self) -> list[str]:
        given = (self.generation_kwargs or {}).get("api_key")
        # Which variable `litellm` takes depends on the provider; all that are keys may be it.
        found = [
            value
            for name, value in os.environ.items()
            if names_secret(name) and len(value) >= _SHORTEST_SECRET
        ]
        return [*super().secrets(), *([given] if isinstance(given, str) else []), *found]

    def load(self) -> None:
        """Make ready to ask; nothing is sent yet.

        Raises:
            EngineError: the package `litellm` isn't installed, or is one that can't be kept from
                following redirects.
        """
        # Or it fetches its list of prices from the internet when it is imported.
        os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
        super().load()
        follow_no_redirects()
        import litellm

        litellm.telemetry = False
        if not self.verbose:
            litellm.suppress_debug_info = True
            for name in list(logging.Logger.manager.loggerDict):
                if "litellm" in name.lower():
                    logging.getLogger(name).setLevel(logging.CRITICAL)

    def make_client(self) -> Any:
        """`litellm` has a function, and keeps its connections itself."""
        import litellm

        return litellm.acompletion

    async def close_client(self, client: Any) -> None:
        """The connections of this loop stay with `litellm`, which closes them."""

    def explain(self, error: Exception) -> Trouble:
        """What an error of one attempt means."""
        import litellm
        import openai

        if isinstance(error, litellm.UnsupportedParamsError) and not self._drop_params:
            self._drop_params = True
            return Trouble("refused", "an argument isn't supported", True, True, after=0.0)
        text = safe_message(error, self.secrets())
        if isinstance(error, litellm.ContextWindowExceededError):
            return Trouble("too_long", f"the endpoint refused the request: {text}")
        if isinstance(error, litellm.ContentPolicyViolationError):
            return Trouble("refused", f"the endpoint's content filter refused the prompt: {text}")
        if _has_no_credit(error, text):
            return Trouble("rate_limit", f"the endpoint: {text}", whole=not self._answered)
        headers = {
            str(name).lower(): str(value)
            for source in (
                getattr(getattr(error, "response", None), "headers", None),
                getattr(error, "litellm_response_headers", None),
            )
            for name, value in dict(source or {}).items()
        }
        status = getattr(error, "status_code", None)
        connected = not isinstance(error, (openai.APITimeoutError, litellm.APIConnectionError))
        if connected and isinstance(status, int) and status >= 400:
            return explain_status(status, text, self._answered, headers)
        return explain_sdk(openai, error, self._answered, self.secrets())

    async def agenerate(  # type: ignore[override]
        self,
        input: FormattedInput,
        num_generations: int = 1,
        functions: list[Any] | None = None,
        function_call: str | None = None,
        temperature: float | None = 1.0,
        top_p: float | None = 1.0,
        stop: str | list[str] | None = None,
        max_tokens: int | None = None,
        presence_penalty: float | None = None,
        frequency_penalty: float | None = None,
        logit_bias: dict[str, float] | None = None,
        user: str | None = None,
        metadata: dict[str, Any] | None = None,
        api_base: str | None = None,
        api_version: str | None = None,
        api_key: str | None = None,
        model_list: list[Any] | None = None,
        mock_response: str | None = None,
        force_timeout: float | None = 600,
        custom_llm_provider: str | None = None,
    ) -> GenerateOutput:
        """Answer one input; call `load()` first.

        Args:
            input: a chat, or a (chat, structured output) pair.
            num_generations: how many answers; where the provider gives fewer at once, it is asked
                again for the rest.
            functions: that the model may call; as `litellm` takes them.
            function_call: which of them it has to call.
            temperature: of the sampling.
            top_p: sample from the likeliest tokens that sum up to this probability.
            stop: texts at which an answer ends.
            max_tokens: the longest answer in tokens; if None, as long as the model goes on.
            presence_penalty: above 0 for tokens that are not in the answer yet.
            frequency_penalty: above 0 against tokens by how often they are in the answer.
            logit_bias: token id to what is added to its logit.
            user: an id of your user, which some providers want.
            metadata: tags of the request, for what `litellm` reports to.
            api_base: the provider's address.
            api_version: of the provider's API.
            api_key: in place of the LLM's. It is in no dump, but the field `api_key` is the place
                for it.
            model_list: of addresses and keys, as `litellm` takes them.
            mock_response: is answered in place of asking.
            force_timeout: seconds for one attempt.
            custom_llm_provider: in place of the model's prefix.

        Raises:
            GenerationError: the input can't be answered.
            EngineError: no input can be answered.
            DistilabelUserError: an argument is wrong.
        """
        arguments = given_arguments(locals())
        parsed = checked_arguments(_adapter, _Arguments, arguments, type(self).__name__)
        chat, structure = input if isinstance(input, tuple) else (input, None)
        if isinstance(chat, str):
            raise GenerationError("LiteLLM takes chats; it has no raw prompts.", "refused")
        schema = self._schema(structure)
        request = self._request(chat, parsed, arguments, schema)
        expected = prompt_tokens(chat)
        each = parsed.max_tokens or UNSET_LENGTH_TOKENS
        answers: list[dict[str, Any]] = []
        missing = num_generations
        while missing > 0:
            try:
                answers.append(await self._send(request, missing, expected + missing * each))
            except GenerationError as error:
                return with_failures(answers, missing, error, num_generations, schema)
            missing -= len(answers[-1]["choices"])
        return output_of(answers, num_generations, schema)

    def _request(
        self,
        chat: list[Any],
        parsed: _Arguments,
        arguments: dict[str, Any],
        schema: AnswerSchema | None,
    ) -> dict[str, Any]:
        request = {
            name: value
            for name, value in arguments.items()
            if value is not None and name != "force_timeout"
        }
        request |= {
            "model": self.model,
            "messages": chat,
            "timeout": min(self._timeout(), parsed.force_timeout or self._timeout()),
            # Its retries know neither our limits nor a deadline.
            "max_retries": 0,
            "num_retries": 0,
        }
        if self.api_key is not None:
            request.setdefault("api_key", self._key())
        if schema is not None:
            request["response_format"] = schema.response_format
        return request

    async def _send(self, request: dict[str, Any], count: int, tokens: int) -> dict[str, Any]:
        complete = self._client()

        async def send(slot: Slot) -> dict[str, Any]:
            several = {"n": count} if count > 1 else {}  # not every provider knows it
            drop = {"drop_params": True} if self._drop_params else {}
            with unwrapped():
                completion = await complete(**request, **several, **drop)
            answer = checked_answer(completion.model_dump())
            used = total_tokens(answer)
            if used is not None:
                slot.used(used)
            return answer

        return await self._until_answered(send, tokens)

    def check_generation_kwargs(self) -> None:
        super().check_generation_kwargs()
        arguments = self.get_generation_kwargs()
        checked_arguments(_adapter, _Arguments, arguments, type(self).__name__)


def _has_no_credit(error: Exception, text: str) -> bool:
    """Whether waiting won't help. `litellm` passes on the words of OpenAI's error and not its code;
    others say the same of quotas per minute."""
    return getattr(error, "llm_provider", None) in ("openai", "azure") and (
        "exceeded your current quota" in text or "insufficient_quota" in text
    )
