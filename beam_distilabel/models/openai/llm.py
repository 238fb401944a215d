"""`OpenAILLM`: any endpoint that speaks OpenAI's protocol."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, TypeVar

from pydantic import PrivateAttr

from beam_distilabel.errors import (
    DistilabelOfflineBatchGenerationNotFinishedException,
    EngineError,
    GenerationError,
)
from beam_distilabel.models.answer_schema import AnswerSchema
from beam_distilabel.models.arguments import given_arguments
from beam_distilabel.models.engine import Engine, GenerateRequest
from beam_distilabel.models.openai.answers import (
    checked_answer,
    output_of,
    total_tokens,
    with_failures,
)
from beam_distilabel.models.openai.endpoint import OpenAIEndpoint
from beam_distilabel.models.openai.requests import (
    CHAT,
    RequestArguments,
    parse_arguments,
    request_of,
)
from beam_distilabel.models.remote.limits import Slot, prompt_tokens
from beam_distilabel.models.remote.llm import RemoteLLM
from beam_distilabel.models.remote.retries import Trouble
from beam_distilabel.typing import FormattedInput, GenerateOutput

T = TypeVar("T")

_LONGER_NAME = "max_completion_tokens"


class OpenAILLM(RemoteLLM, OpenAIEndpoint):
    """A language model behind an endpoint of OpenAI's protocol: OpenAI's own, or `base_url`.

    How requests are limited and tried again, and what their failures cost: see `RemoteLLM`, for the
    fields that aren't named here as well.

    Attributes:
        model: the model's name at the endpoint.
        base_url: the endpoint, up to and with `/v1`; environment variable `OPENAI_BASE_URL`, else
            OpenAI's own.
        api_key: environment variable `OPENAI_API_KEY`. It is in no dump, log or message; workers
            get it inside of the pickled pipeline.
        default_headers: headers of every request. Those with names such as `Authorization` or
            `X-Api-Key` are left out of dumps, as the API key is.
        structured_output: `{"schema": a pydantic class or JSON schema}`, sent as `response_format`
            (in strict mode where all properties are required; `"strict": False` prevents that).
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

    has_batch_service: ClassVar[bool] = True

    _length_name: str = PrivateAttr("max_tokens")

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
        arguments = given_arguments(locals())
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
        return super().generate(inputs, num_generations, **kwargs)

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
            try:
                answers.append(await self._send(path, body, parsed, tokens))
            except GenerationError as error:
                return with_failures(answers, missing, error, num_generations, schema)
            missing -= len(answers[-1]["choices"])
        return output_of(answers, num_generations, schema)

    def _request(
        self, input: FormattedInput, arguments: dict[str, Any]
    ) -> tuple[RequestArguments, str, dict[str, Any], AnswerSchema | None]:
        parsed = parse_arguments(arguments, type(self).__name__)
        prompt, structure = input if isinstance(input, tuple) else (input, None)
        schema = self._schema(structure)
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
            used = total_tokens(answer)
            if used is not None:
                slot.used(used)
            return answer

        def explained(error: Exception) -> Trouble:
            if length_name == "max_tokens" and _wants_longer_name(error):
                self._length_name = _LONGER_NAME
                return Trouble("refused", "the model takes no max_tokens", True, True, after=0.0)
            return self.explain(error)

        return await self._until_answered(send, tokens, explained)

    async def call_service(self, send: Callable[[Any], Awaitable[T]]) -> T:
        """What `send`, given the SDK's client, returns; tried again within the limits.

        Raises:
            EngineError: it can't be had.
        """
        client = self._client()
        try:
            return await self._until_answered(lambda slot: send(client), 1)
        except GenerationError as error:
            raise EngineError(f"{type(self).__name__}: {error}") from None

    # -- for pipelines ---------------------------------------------------------------------------

    def check_generation_kwargs(self) -> None:
        super().check_generation_kwargs()
        parse_arguments(self.get_generation_kwargs(), type(self).__name__)

    def make_engine(self) -> Engine:
        if self.use_offline_batch_generation:
            from beam_distilabel.models.openai.batch import OpenAIBatchEngine

            return OpenAIBatchEngine(self)
        return super().make_engine()


def _wants_longer_name(error: Exception) -> bool:
    """Whether the model is one of OpenAI's that call the greatest length otherwise."""
    return getattr(error, "param", None) == "max_tokens" and _LONGER_NAME in str(error)
