"""`InferenceEndpointsLLM`: Hugging Face's inference providers, dedicated endpoints, and TGI."""

from __future__ import annotations

import logging
import secrets
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Gt, Le
from pydantic import ConfigDict, PrivateAttr, TypeAdapter
from pydantic.dataclasses import dataclass

from beam_distilabel.models.answer_schema import AnswerSchema
from beam_distilabel.models.arguments import checked_arguments, given_arguments
from beam_distilabel.models.local.chat import load_tokenizer, rendered
from beam_distilabel.models.magpie import MagpieChatTemplateMixin
from beam_distilabel.models.openai.answers import checked_answer, output_of
from beam_distilabel.models.remote.answers import MalformedAnswer, output_of_one, used_tokens
from beam_distilabel.models.remote.hub import HubEndpoint, readable
from beam_distilabel.models.remote.limits import Slot, prompt_tokens
from beam_distilabel.models.remote.llm import RemoteLLM
from beam_distilabel.typing import FormattedInput, GenerateOutput

MAX_STOP_SEQUENCES = 4


@dataclass(config=ConfigDict(extra="forbid"))
class RequestArguments:
    """What `agenerate` takes besides the input; its docstring says what each one does."""

    max_new_tokens: Annotated[int, Gt(0)] = 128
    frequency_penalty: Annotated[float, Ge(-2), Le(2)] | None = None
    logit_bias: list[float] | None = None
    logprobs: bool = False
    presence_penalty: Annotated[float, Ge(-2), Le(2)] | None = None
    seed: int | None = None
    stop_sequences: list[str] | str | None = None
    temperature: Annotated[float, Ge(0)] = 1.0
    tool_choice: dict[str, Any] | str | None = None
    tool_prompt: str | None = None
    tools: list[dict[str, Any]] | None = None
    top_logprobs: Annotated[int, Gt(0)] | None = None
    top_n_tokens: Annotated[int, Gt(0)] | None = None
    top_p: float | None = None
    do_sample: bool = False
    repetition_penalty: float | None = None
    return_full_text: bool = False
    top_k: int | None = None
    typical_p: float | None = None
    watermark: bool = False

    @property
    def stops(self) -> list[str] | None:
        """The stop sequences that endpoints take."""
        given = [self.stop_sequences] if isinstance(self.stop_sequences, str) else None
        stops = given or self.stop_sequences
        return list(stops[:MAX_STOP_SEQUENCES]) if stops else None


_adapter = TypeAdapter(RequestArguments)


class InferenceEndpointsLLM(RemoteLLM, HubEndpoint, MagpieChatTemplateMixin):
    """A language model of Hugging Face's inference services; see `RemoteLLM` for limits, retries
    and failures.

    One of `model_id` (serverless, by Hugging Face's inference providers), `endpoint_name` (a
    dedicated endpoint, woken where it sleeps) and `base_url` (TGI, or anything that speaks its
    protocol) is needed; `base_url` counts for nothing beside one of the others.

    Chats go to the endpoint's chat completion. With `tokenizer_id` they are rendered here and sent
    to its text generation, which has further generation arguments and Magpie; that needs
    `transformers`, and not all providers have it.

    Attributes:
        model_id: the model's name on the Hub.
        endpoint_name: the dedicated endpoint.
        endpoint_namespace: the user or organization that it belongs to; the key's user if None.
        base_url: the address, without `/v1/chat/completions`.
        api_key: environment variable `HF_TOKEN`, else the token that `hf auth login` saved; with
            `base_url` only what is given here or in `HF_TOKEN` is sent.
        tokenizer_id: the name on the Hub, or the folder, of the tokenizer whose chat template
            renders chats.
        model_display_name: what the column `model_name` has.
        provider: the inference provider for `model_id`, such as "hf-inference" or "together"; the
            first of the account's settings if None.
        structured_output: `{"format": "json", "schema": a pydantic class or JSON schema}` or
            `{"format": "regex", "schema": a regular expression}`, kept by TGI's grammars.
        use_magpie_template: whether to let the model write the user's turn next; needs
            `tokenizer_id`.
        magpie_pre_query_template: what the model's chat template puts before a user's message, or
            "llama3" or "qwen2".

    Raises:
        DistilabelUserError: not exactly one of `model_id`, `endpoint_name` and `base_url` is given;
            by `load`, there is no API key.
        EngineError: by `load`, the dedicated endpoint can't be found or isn't ready in five
            minutes; by the first request, the endpoint can't be used.

    Example:
        >>> llm = InferenceEndpointsLLM(model_id="meta-llama/Llama-3.3-70B-Instruct", api_key="hf_")
        >>> llm.model_name
        'meta-llama/Llama-3.3-70B-Instruct'
        >>> llm.load()  # doctest: +SKIP
        >>> llm.generate_outputs([[{"role": "user", "content": "Hi"}]])  # doctest: +SKIP
        [{'generations': ['Hello!'], 'statistics': {...}, 'finish_reasons': ['stop']}]
    """

    structure_formats: ClassVar[tuple[str, ...]] = ("json", "regex")

    _num_generations_param_supported: bool = PrivateAttr(False)
    magpie_needs: ClassVar[tuple[str, ...]] = ("tokenizer_id",)

    _tokenizer: Any = PrivateAttr(None)

    def model_post_init(self, context: Any) -> None:
        super().model_post_init(context)
        self.check_magpie()

    # -- life ------------------------------------------------------------------------------------

    def load(self) -> None:
        """Load the tokenizer, and wait for the dedicated endpoint, where there is one.

        Raises:
            DistilabelUserError: there is no API key.
            EngineError: the tokenizer can't be loaded, or the endpoint isn't there.
        """
        super().load()
        if self.tokenizer_id is not None and self._tokenizer is None:
            self._tokenizer = load_tokenizer(
                "InferenceEndpointsLLM", self.tokenizer_id, token=self._key() or None
            )

    def unload(self) -> None:
        self._tokenizer = None
        super().unload()

    # -- asking ----------------------------------------------------------------------------------

    async def agenerate(  # type: ignore[override]
        self,
        input: FormattedInput,
        max_new_tokens: int = 128,
        frequency_penalty: float | None = None,
        logit_bias: list[float] | None = None,
        logprobs: bool = False,
        presence_penalty: float | None = None,
        seed: int | None = None,
        stop_sequences: list[str] | None = None,
        temperature: float = 1.0,
        tool_choice: dict[str, Any] | Literal["auto"] | None = None,
        tool_prompt: str | None = None,
        tools: list[dict[str, Any]] | None = None,
        top_logprobs: int | None = None,
        top_n_tokens: int | None = None,
        top_p: float | None = None,
        do_sample: bool = False,
        repetition_penalty: float | None = None,
        return_full_text: bool = False,
        top_k: int | None = None,
        typical_p: float | None = None,
        watermark: bool = False,
    ) -> GenerateOutput:
        """Answer one input; call `load()` first.

        Chat completion takes no argument from `do_sample` on and no `top_n_tokens`; text generation
        (raw prompts, and chats with `tokenizer_id`) none of `logit_bias`, `logprobs`,
        `presence_penalty`, the tools and `top_logprobs`. What doesn't apply isn't sent.

        Args:
            input: a chat, a (chat, structured output) pair, or a text, which is a raw prompt.
            max_new_tokens: the longest answer in tokens.
            frequency_penalty: above 0 against tokens by how often they are in the answer.
            logit_bias: what is added to tokens' logits.
            logprobs: whether to report log probabilities.
            presence_penalty: above 0 for tokens that are not in the answer yet.
            seed: of the sampling; a new one for every request if None, so that no cache answers.
            stop_sequences: texts at which an answer ends; the first four count.
            temperature: of the sampling.
            tool_choice: "auto", or the tool that has to be called.
            tool_prompt: a text before the tools.
            tools: what the model may call.
            top_logprobs: how many candidates per token to report.
            top_n_tokens: how many candidates per token to report.
            top_p: sample from the likeliest tokens that sum up to this probability.
            do_sample: whether to sample; else the likeliest token is taken.
            repetition_penalty: above 1 against tokens that are in the prompt or the answer.
            return_full_text: whether the answer begins with the prompt.
            top_k: sample from so many likeliest tokens.
            typical_p: sample from tokens of typical probability that sum up to this.
            watermark: whether to mark the answer.

        Raises:
            GenerationError: the input can't be answered.
            EngineError: no input can be answered.
            DistilabelUserError: an argument is wrong.
        """
        given = given_arguments(locals())
        arguments = self._parsed(given)
        prompt, structure = input if isinstance(input, tuple) else (input, None)
        schema = self._schema(structure)
        if isinstance(prompt, str) or self._tokenizer is not None:
            return await self._continued(prompt, arguments, schema)
        return await self._completed(prompt, arguments, schema)

    async def _completed(
        self, chat: list[Any], arguments: RequestArguments, schema: AnswerSchema | None
    ) -> GenerateOutput:
        """What chat completion answers."""
        client = self._client()
        response_format: dict[str, Any] | None = None
        if schema is not None and schema.format == "json":
            response_format = schema.response_format
        elif schema is not None:
            response_format = {"type": "regex", "value": schema.schema}
        request = {
            "messages": chat,
            "max_tokens": arguments.max_new_tokens,
            "frequency_penalty": arguments.frequency_penalty,
            "logit_bias": arguments.logit_bias,
            "logprobs": arguments.logprobs or None,
            "presence_penalty": arguments.presence_penalty,
            "seed": _seed(arguments),
            "stop": arguments.stops,
            "temperature": arguments.temperature,
            "tool_choice": arguments.tool_choice,
            "tool_prompt": arguments.tool_prompt,
            "tools": arguments.tools,
            "top_logprobs": arguments.top_logprobs,
            "top_p": arguments.top_p,
            "response_format": response_format,
        }

        async def send(slot: Slot) -> GenerateOutput:
            answer = await readable(client.chat_completion(**request))
            output = output_of([checked_answer(answer)], 1, schema)
            slot.used(used_tokens(output) or expected)
            return output

        expected = prompt_tokens(chat) + arguments.max_new_tokens
        return await self._until_answered(send, expected)

    async def _continued(
        self, prompt: Any, arguments: RequestArguments, schema: AnswerSchema | None
    ) -> GenerateOutput:
        """What text generation answers."""
        client = self._client()
        text = self._text(prompt)
        known = len(self._tokenizer(text)["input_ids"]) if self._tokenizer is not None else None
        request = {
            "prompt": text,
            "max_new_tokens": arguments.max_new_tokens,
            "frequency_penalty": arguments.frequency_penalty,
            "seed": _seed(arguments),
            "stop": arguments.stops,
            "temperature": arguments.temperature,
            "top_n_tokens": arguments.top_n_tokens,
            "top_p": arguments.top_p,
            "do_sample": arguments.do_sample,
            "repetition_penalty": arguments.repetition_penalty,
            "return_full_text": arguments.return_full_text,
            "top_k": arguments.top_k,
            "typical_p": arguments.typical_p,
            "watermark": arguments.watermark,
            "grammar": {"type": schema.format, "value": schema.schema} if schema else None,
            "details": True,
        }

        async def send(slot: Slot) -> GenerateOutput:
            answer = await readable(client.text_generation(**request))
            made = answer.get("generated_text") if isinstance(answer, dict) else None
            if not isinstance(made, str):
                raise MalformedAnswer(f"the answer has no text: {str(answer)[:200]}")
            details = answer.get("details") or {}
            reason = details.get("finish_reason")
            reason = "stop" if reason in ("eos_token", "stop_sequence") else reason
            made_tokens = details.get("generated_tokens")
            # A prompt in the answer is no part of what the schema demands.
            checked = None if arguments.return_full_text else schema
            output = output_of_one(made, reason, known, made_tokens, checked)
            if details.get("top_tokens"):
                output["logprobs"] = [
                    [
                        [{"token": one["text"], "logprob": one["logprob"]} for one in candidates]
                        for candidates in details["top_tokens"]
                    ]
                ]
            slot.used(used_tokens(output) or expected)
            return output

        expected = (known or prompt_tokens(text)) + arguments.max_new_tokens
        return await self._until_answered(send, expected)

    def _text(self, prompt: Any) -> str:
        """The prompt as TGI takes it: it puts the tokenizer's special tokens around it itself."""
        if self._tokenizer is None:
            return str(prompt)
        text, adds = rendered(self, self._tokenizer, prompt)
        start = self._tokenizer.bos_token
        if not adds and start and text.startswith(start):
            if self._tokenizer("a")["input_ids"][:1] == [self._tokenizer.bos_token_id]:
                return text.removeprefix(start)
        return text

    # -- for pipelines ---------------------------------------------------------------------------

    def _parsed(self, arguments: dict[str, Any]) -> RequestArguments:
        return checked_arguments(_adapter, RequestArguments, arguments, type(self).__name__)

    def check_generation_kwargs(self) -> None:
        super().check_generation_kwargs()
        stops = self._parsed(self.get_generation_kwargs()).stop_sequences
        if isinstance(stops, list) and len(stops) > MAX_STOP_SEQUENCES:
            logging.getLogger(__name__).warning(
                "InferenceEndpointsLLM: endpoints take %d stop sequences; these are left out: %r",
                MAX_STOP_SEQUENCES,
                stops[MAX_STOP_SEQUENCES:],
            )


def _seed(arguments: RequestArguments) -> int:
    return arguments.seed if arguments.seed is not None else secrets.randbits(31)
