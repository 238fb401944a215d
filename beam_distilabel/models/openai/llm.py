"""`OpenAILLM`: any endpoint that speaks OpenAI's protocol."""

from __future__ import annotations

import asyncio
import hashlib
import os
import uuid
import weakref
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, TypeVar
from urllib.parse import urlsplit

from pydantic import (
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    PrivateAttr,
    SecretStr,
)
from typing_extensions import Self

from beam_distilabel.errors import (
    DistilabelOfflineBatchGenerationNotFinishedException,
    DistilabelUserError,
    EngineError,
    GenerationError,
)
from beam_distilabel.models.answer_schema import AnswerSchema, answer_schema
from beam_distilabel.models.base import AsyncLLM
from beam_distilabel.models.engine import Engine, GenerateRequest
from beam_distilabel.models.openai.answers import checked_answer, output_of, total_tokens
from beam_distilabel.models.openai.errors import explain
from beam_distilabel.models.openai.requests import (
    CHAT,
    RequestArguments,
    parse_arguments,
    prompt_tokens,
    request_of,
)
from beam_distilabel.models.remote.limits import Endpoint, Limits, Slot, endpoint
from beam_distilabel.models.remote.retries import RetryPolicy, Trouble, send_until_answered
from beam_distilabel.models.structured_output import plain_structure
from beam_distilabel.models.user_engine import AsyncLLMEngine, agenerate_many, run_coroutine
from beam_distilabel.row import fingerprint
from beam_distilabel.runtime_parameters import RuntimeParameter
from beam_distilabel.typing import FormattedInput, GenerateOutput

T = TypeVar("T")

OPENAI_URL = "https://api.openai.com/v1"

_LONGER_NAME = "max_completion_tokens"
_SHORTEST_SECRET = 8

_HOW_IT_IS_ASKED = (
    "max_retries",
    "timeout",
    "deadline",
    "max_concurrency",
    "requests_per_minute",
    "tokens_per_minute",
    "use_offline_batch_generation",
    "offline_batch_generation_block_until_done",
)
"""Fields that don't change what is answered."""


class OpenAILLM(AsyncLLM):
    """A language model behind an endpoint of OpenAI's protocol: OpenAI's own, or `base_url`.

    A request that is refused for load (429), fails (408, 409, 5xx, a lost connection, an answer
    that can't be read) or takes too long is sent again, after what `Retry-After` says or a random
    pause that grows. What stays unanswered costs its row: kinds `rate_limit`, `timeout`,
    `too_long`, `refused`, `schema` and `engine`. A wrong key, an unknown model or address, or
    missing credit end the run if they are found before the first answer, and cost rows after it.

    The limits hold for all LLM objects of one process that speak to the same `base_url` with the
    same key, the strictest of each. Processes don't know of each other: with n worker processes,
    give each an n-th.

    Attributes:
        model: the model's name at the endpoint.
        base_url: the endpoint, up to and with `/v1`; environment variable `OPENAI_BASE_URL`, else
            OpenAI's own.
        api_key: environment variable `OPENAI_API_KEY`. It is in no dump, log or message; workers
            get it inside of the pickled pipeline.
        default_headers: headers of every request. Those with names such as `Authorization` or
            `X-Api-Key` are left out of dumps, as the API key is.
        max_retries: attempts after the first one; refusals for load aren't counted.
        timeout: seconds for one attempt, from its first byte to its last.
        deadline: seconds for all attempts of a request and the pauses between them;
            if None, what all attempts may take and a minute before each retry: 20 minutes by
            default. Waiting for the limits isn't counted. Where the endpoint asks to wait for
            longer, the row fails at once.
        structured_output: `{"schema": a pydantic class or JSON schema}`. It goes with the requests
            as `response_format` (in strict mode where all properties are required; `"strict":
            False` prevents that), and answers are checked against it: what doesn't have the form is
            a failure of kind `schema`. Answers cut at `max_new_tokens` aren't checked; their finish
            reason is "length". An input that brings its own takes precedence.
        max_concurrency: requests under way at once; None is no limit (but see
            `beam_distilabel.models.engine.Engine.max_in_flight`).
        requests_per_minute: requests begun in any 60 seconds, with those that fail; spread evenly.
        tokens_per_minute: tokens in any 60 seconds. A request counts with its prompt, estimated at
            four bytes per token, and the greatest length of its answers; the answer's usage
            corrects that.
        use_offline_batch_generation: whether to use the endpoint's Batch API, which takes up to a
            day and costs less; see `beam_distilabel.models.openai.batch`.
        offline_batch_generation_block_until_done: seconds between two looks at the batches. If
            None, the run ends as soon as they are sent, with
            `DistilabelOfflineBatchGenerationNotFinishedException`, which has their ids.
        jobs_ids: batches that were sent before; only what isn't in them is sent.

    Raises:
        DistilabelUserError: by `load`, there is no API key.
        EngineError: by `load`, the package `openai` is missing; by the first request, the
            endpoint can't be used.

    Example:
        >>> llm = OpenAILLM(model="gpt-4o-mini", api_key="sk-...", requests_per_minute=500)
        >>> llm.load()  # doctest: +SKIP
        >>> llm.generate_outputs([[{"role": "user", "content": "Hi"}]])  # doctest: +SKIP
        [{'generations': ['Hello!'], 'statistics': {...}, 'finish_reasons': ['stop']}]
        >>> "api_key" in llm.dump()
        False
    """

    # An error about a field would otherwise show them all, the API key as it was given among them.
    model_config = ConfigDict(hide_input_in_errors=True)

    model: str
    base_url: RuntimeParameter[str] | None = Field(
        default_factory=lambda: os.getenv("OPENAI_BASE_URL") or OPENAI_URL,
        description="The base URL to use for the requests.",
    )
    api_key: RuntimeParameter[SecretStr] | None = Field(
        default_factory=lambda: secret_from("OPENAI_API_KEY"),
        description="The API key to authenticate the requests.",
    )
    default_headers: RuntimeParameter[dict[str, str]] | None = Field(
        default=None, description="The headers of every request.", repr=False
    )
    max_retries: RuntimeParameter[NonNegativeInt] = Field(
        default=6, description="The attempts after the first one."
    )
    timeout: RuntimeParameter[PositiveFloat] = Field(
        default=120, description="The seconds for one attempt."
    )
    deadline: RuntimeParameter[PositiveFloat] | None = Field(
        default=None, description="The seconds for all attempts of a request."
    )
    structured_output: RuntimeParameter[dict[str, Any]] | None = Field(
        default=None, description="The structure of all answers: a JSON schema."
    )
    max_concurrency: RuntimeParameter[PositiveInt] | None = Field(
        default=None, description="The requests under way at once."
    )
    requests_per_minute: RuntimeParameter[PositiveInt] | None = Field(
        default=None, description="The requests begun in a minute."
    )
    tokens_per_minute: RuntimeParameter[PositiveInt] | None = Field(
        default=None, description="The tokens of prompts and answers in a minute."
    )

    has_batch_service: ClassVar[bool] = True
    structure_formats: ClassVar[tuple[str, ...]] = ("json",)
    """What `structured_output["format"]` may be."""

    _api_key_env_var: str = PrivateAttr("OPENAI_API_KEY")
    _clients: Any = PrivateAttr(None)
    _endpoint: Endpoint | None = PrivateAttr(None)
    _limits: Limits = PrivateAttr(Limits())
    _answered: bool = PrivateAttr(False)
    _length_name: str = PrivateAttr("max_tokens")

    def model_post_init(self, context: Any) -> None:
        super().model_post_init(context)
        self._check_fields()

    def _check_fields(self) -> None:
        if "@" in urlsplit(str(self.base_url)).netloc:
            raise DistilabelUserError(
                f"{type(self).__name__}: base_url has a user or a password in it, which would be "
                "dumped with it; send them by `default_headers={'Authorization': ...}`."
            )
        plain = plain_structure(self.structured_output)
        if plain is not None and plain["format"] not in self.structure_formats:
            raise DistilabelUserError(
                f"{type(self).__name__}: structured_output has the format {plain['format']!r}; "
                f"this LLM takes {' or '.join(map(repr, self.structure_formats))}."
            )

    @property
    def model_name(self) -> str:
        return self.model

    # -- life ------------------------------------------------------------------------------------

    def load(self) -> None:
        """Make ready to ask; nothing is sent yet.

        Raises:
            DistilabelUserError: there is no API key, or `base_url` is no URL.
            EngineError: the package `openai` isn't installed.
        """
        super().load()
        try:
            import openai  # noqa: F401
        except ImportError as error:
            raise EngineError(
                f"{type(self).__name__} needs the package `openai` ({error}). Install it with "
                "`pip install 'beam-distilabel[openai]'`."
            ) from error
        if self.api_key is None:
            raise DistilabelUserError(
                f"{type(self).__name__} has no API key: give `api_key`, also as a runtime "
                f"parameter, or set the environment variable {self._api_key_env_var}."
            )
        if not str(self.base_url).startswith(("http://", "https://")):
            raise DistilabelUserError(
                f"{type(self).__name__}: base_url is {self.base_url!r}; it has to begin with "
                "http:// or https://."
            )
        if self._endpoint is None:
            limits = Limits(self.max_concurrency, self.requests_per_minute, self.tokens_per_minute)
            self._limits = limits
            self._endpoint = endpoint(str(self.base_url), self.api_key.get_secret_value())
            self._endpoint.join(limits)
            self._clients = weakref.WeakKeyDictionary()

    def unload(self) -> None:
        """Forget the clients, and leave the limits to others."""
        known, self._endpoint, self._clients = self._endpoint, None, None
        if known is not None:
            known.leave(self._limits)
        super().unload()

    def copied(self) -> Self:
        """A copy that isn't loaded, whether this one is or not."""
        duplicate = super().copied()
        duplicate._endpoint = duplicate._clients = None
        return duplicate

    async def aclose(self) -> None:
        """Close the connections that were made on this event loop."""
        client = (
            self._clients.pop(asyncio.get_running_loop(), None)
            if self._clients is not None
            else None
        )
        if client is not None:
            await client.close()

    def make_client(self) -> Any:
        """A client of the OpenAI SDK; it belongs to one event loop."""
        from openai import AsyncOpenAI

        return AsyncOpenAI(base_url=self.base_url, **self._client_arguments())

    def _client_arguments(self) -> dict[str, Any]:
        assert self.api_key is not None
        return {
            "api_key": self.api_key.get_secret_value(),
            "default_headers": self.default_headers,
            "timeout": self.timeout,
            # Its retries know neither our limits nor a deadline.
            "max_retries": 0,
        }

    def _client(self) -> Any:
        if self._clients is None:
            raise DistilabelUserError(f"Call `load()` of the {type(self).__name__} first.")
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            client = self._clients[loop] = self.make_client()
        return client

    # -- asking ----------------------------------------------------------------------------------

    async def agenerate(  # type: ignore[override]
        self,
        input: FormattedInput,
        num_generations: int = 1,
        max_new_tokens: int = 128,
        logprobs: bool = False,
        top_logprobs: int | None = None,
        echo: bool = False,
        frequency_penalty: float = 0.0,
        presence_penalty: float = 0.0,
        temperature: float = 1.0,
        top_p: float = 1.0,
        stop: str | list[str] | None = None,
        response_format: dict[str, Any] | None = None,
        extra_body: dict[str, Any] | None = None,
    ) -> GenerateOutput:
        """Answer one input; call `load()` first.

        Args:
            input: a chat, a (chat, structured output) pair, or a text, which is a raw prompt and
                goes to `/completions`.
            num_generations: how many answers; where the endpoint gives fewer at once, it is asked
                again for the rest.
            max_new_tokens: the longest answer in tokens.
            logprobs: whether to report log probabilities.
            top_logprobs: how many candidates per token to report.
            echo: whether to put the prompt before the answer; raw prompts only.
            frequency_penalty: above 0 against tokens by how often they are in the answer.
            presence_penalty: above 0 for tokens that are not in the answer yet.
            temperature: of the sampling.
            top_p: sample from the likeliest tokens that sum up to this probability.
            stop: texts at which an answer ends.
            response_format: `{"type": "json_object"}` for JSON of any form; `structured_output`
                takes precedence.
            extra_body: what else the request's body has, for this endpoint.

        Returns:
            The output. An answer that was refused or doesn't have the form of the schema is None,
            and `failures` says why.

        Raises:
            GenerationError: the input can't be answered.
            EngineError: no input can be answered.
            DistilabelUserError: an argument is wrong.
        """
        arguments = {
            name: value
            for name, value in locals().items()
            if name not in ("self", "input", "num_generations", "__class__")
        }
        return await self._ask(input, num_generations, arguments)

    def generate(
        self, inputs: list[FormattedInput], num_generations: int = 1, **kwargs: Any
    ) -> list[GenerateOutput]:
        """Answer every input; for use outside of a pipeline, after `load()`.

        An input that can't be answered has None for its generations, and the reason in `failures`:
        what the others cost isn't lost.

        Raises:
            EngineError: no input can be answered.
            DistilabelOfflineBatchGenerationNotFinishedException: with
                `use_offline_batch_generation`; the next call goes on from there.
            DistilabelUserError: an argument is wrong.
        """
        if self.use_offline_batch_generation:
            return self._generate_by_batches(inputs, num_generations, kwargs)

        async def answer_one(one: FormattedInput) -> GenerateOutput:
            return await self._or_failures(
                agenerate_many(self, one, num_generations, kwargs), num_generations
            )

        async def answer_all() -> list[GenerateOutput]:
            tasks = [asyncio.ensure_future(answer_one(one)) for one in inputs]
            try:
                return await asyncio.gather(*tasks)
            finally:
                for task in tasks:
                    task.cancel()  # does nothing to those that have finished
                await asyncio.gather(*tasks, return_exceptions=True)
                await self.aclose()

        return run_coroutine(answer_all)

    def _generate_by_batches(
        self, inputs: list[FormattedInput], num_generations: int, kwargs: dict[str, Any]
    ) -> list[GenerateOutput]:
        engine = self.load_model()

        async def answer_all() -> list[GenerateOutput]:
            requests = [GenerateRequest(one, num_generations, kwargs) for one in inputs]
            return await asyncio.gather(
                *(self._or_failures(engine.generate(one), num_generations) for one in requests)
            )

        try:
            return engine.call(answer_all())
        except DistilabelOfflineBatchGenerationNotFinishedException as error:
            self.jobs_ids = error.jobs_ids
            raise
        finally:
            engine.release()

    async def _or_failures(
        self, answer: Awaitable[GenerateOutput], num_generations: int
    ) -> GenerateOutput:
        try:
            return await answer
        except GenerationError as error:
            failure = {"kind": error.kind, "message": str(error), "attempts": 1}
            return {
                "generations": [None] * num_generations,
                "statistics": {},
                "failures": [failure] * num_generations,
            }

    async def _ask(
        self, input: FormattedInput, num_generations: int, arguments: dict[str, Any]
    ) -> GenerateOutput:
        parsed, path, body, schema = self._request(input, arguments)
        expected = prompt_tokens(body.get("messages") or body["prompt"])
        answers: list[dict[str, Any]] = []
        missing = num_generations
        while missing > 0:
            if missing > 1:  # not every server knows it
                body["n"] = missing
            else:
                body.pop("n", None)
            tokens = expected + missing * parsed.max_new_tokens
            answers.append(await self._send(path, body, parsed, tokens))
            missing -= len(answers[-1]["choices"])
        return output_of(answers, num_generations, schema)

    def _request(
        self, input: FormattedInput, arguments: dict[str, Any]
    ) -> tuple[RequestArguments, str, dict[str, Any], AnswerSchema | None]:
        parsed = parse_arguments(arguments, type(self).__name__)
        prompt, structure = input if isinstance(input, tuple) else (input, None)
        schema = self._schema(structure or self.structured_output)
        path, body = request_of(self._prompt(prompt), parsed, schema)
        return parsed, path, {**body, "model": self.model_name}, schema

    def batch_request(
        self, input: FormattedInput, num_generations: int, arguments: dict[str, Any]
    ) -> tuple[str, dict[str, Any], AnswerSchema | None]:
        """The path and the body of a request in a batch, and what its answers are checked with."""
        parsed, path, body, schema = self._request(input, arguments)
        if num_generations > 1:
            body["n"] = num_generations
        if _LONGER_NAME not in body:
            body.setdefault("max_tokens", parsed.max_new_tokens)
        return path, body, schema

    def _schema(self, structure: Any) -> AnswerSchema | None:
        schema = answer_schema(structure)
        if schema is not None and schema.format not in self.structure_formats:
            raise GenerationError(
                f"{type(self).__name__} takes no structured output of the format "
                f"{schema.format!r}.",
                "refused",
            )
        return schema

    def _prompt(self, prompt: Any) -> Any:
        """What is sent for an input."""
        return prompt

    async def _send(
        self, path: str, body: dict[str, Any], arguments: RequestArguments, tokens: int
    ) -> dict[str, Any]:
        client = self._client()
        # The same for all attempts: a proxy that knows it answers a lost answer's request again
        # without asking, and charging for, another one.
        headers = {"Idempotency-Key": uuid.uuid4().hex}

        length_name = ""

        async def send(slot: Slot) -> dict[str, Any]:
            nonlocal length_name
            length_name = self._length_name if path == CHAT else "max_tokens"
            length = {} if _LONGER_NAME in body else {length_name: arguments.max_new_tokens}
            answer = checked_answer(
                await client.post(
                    path, cast_to=object, body={**length, **body}, options={"headers": headers}
                )
            )
            self._answered = True
            used = total_tokens(answer)
            if used is not None:
                slot.used(used)
            return answer

        def explained(error: Exception) -> Trouble:
            if length_name == "max_tokens" and _wants_longer_name(error):
                self._length_name = _LONGER_NAME
                return Trouble("refused", "the model takes no max_tokens", True, True, after=0.0)
            return explain(error, self._answered, self._secrets())

        return await self._until_answered(send, explained, tokens)

    async def _until_answered(
        self,
        send: Callable[[Slot], Awaitable[T]],
        explained: Callable[[Exception], Trouble],
        tokens: float,
    ) -> T:
        assert self._endpoint is not None
        policy = RetryPolicy(self.max_retries or 0, self.timeout or 120.0, self.deadline)
        return await send_until_answered(send, explained, self._endpoint, tokens, policy)

    async def call_service(self, send: Callable[[Any], Awaitable[T]]) -> T:
        """What `send`, given the SDK's client, returns; tried again within the limits.

        Raises:
            EngineError: it can't be had.
        """
        client = self._client()

        def explained(error: Exception) -> Trouble:
            return explain(error, self._answered, self._secrets())

        try:
            return await self._until_answered(lambda slot: send(client), explained, 1)
        except GenerationError as error:
            raise EngineError(f"{type(self).__name__}: {error}") from None

    def _secrets(self) -> list[str]:
        key = self.api_key.get_secret_value() if self.api_key is not None else ""
        headers = (self.default_headers or {}).values()
        return [key, *(value for value in headers if len(value) >= _SHORTEST_SECRET)]

    # -- for pipelines ---------------------------------------------------------------------------

    def check_generation_kwargs(self) -> None:
        super().check_generation_kwargs()
        parse_arguments(self.get_generation_kwargs(), type(self).__name__)
        self._check_fields()

    @classmethod
    def not_identity(cls) -> frozenset[str]:
        return super().not_identity() | frozenset(_HOW_IT_IS_ASKED)

    def fingerprint(self) -> str:
        # Another key is another account to charge, though it gives the same answers.
        key = self.api_key.get_secret_value() if self.api_key is not None else ""
        return fingerprint(
            self.identity(),
            {name: getattr(self, name) for name in _HOW_IT_IS_ASKED},
            hashlib.sha256(key.encode()).hexdigest(),
            self.jobs_ids,
        )

    def make_engine(self) -> Engine:
        if self.use_offline_batch_generation:
            from beam_distilabel.models.openai.batch import OpenAIBatchEngine

            return OpenAIBatchEngine(self)
        return OpenAIEngine(self)


class OpenAIEngine(AsyncLLMEngine):
    """Asks an endpoint; its client belongs to the engine's loop.

    Args:
        llm: an `OpenAILLM`.
    """

    def __init__(self, llm: OpenAILLM) -> None:
        super().__init__(llm)
        # Twice the limit: who waits for a retry holds no place.
        self.max_in_flight = max(self.max_in_flight, 2 * (llm.max_concurrency or 0))

    async def stop(self) -> None:
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._llm.aclose()
        await super().stop()


def _wants_longer_name(error: Exception) -> bool:
    """Whether the model is one of OpenAI's that call the greatest length otherwise."""
    return getattr(error, "param", None) == "max_tokens" and _LONGER_NAME in str(error)


def secret_from(variable: str) -> SecretStr | None:
    """The value of an environment variable, None if it is empty."""
    value = os.getenv(variable)
    return SecretStr(value) if value else None
