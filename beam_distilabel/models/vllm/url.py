"""A vLLM server that someone else runs, asked as the embedded engine is.

Its version isn't ours to choose: only what vLLM's server has kept for long is used, the OpenAI
protocol with vLLM's additional fields, `/tokenize` and `/detokenize`.
"""

from __future__ import annotations

import asyncio
import functools
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import orjson

from beam_distilabel.errors import (
    DistilabelUserError,
    EngineError,
    GenerationError,
    PromptTooLongError,
)
from beam_distilabel.models.answer_schema import AnswerSchema, answer_schema
from beam_distilabel.models.canary import Canary
from beam_distilabel.models.engine import Engine, GenerateRequest
from beam_distilabel.models.magpie import MAGPIE_PRE_QUERY_TEMPLATES
from beam_distilabel.models.openai.answers import checked_answer
from beam_distilabel.models.remote.answers import MalformedAnswer, failure_of
from beam_distilabel.models.remote.limits import Limits, Slot, endpoint
from beam_distilabel.models.remote.redirects import explain_redirect, redirect_behind, redirected
from beam_distilabel.models.remote.retries import (
    RetryPolicy,
    Trouble,
    retry_after_seconds,
    send_until_answered,
)
from beam_distilabel.models.vllm.sampling import GenerationArguments, parse_arguments
from beam_distilabel.problems import closest
from beam_distilabel.typing import GenerateOutput

if TYPE_CHECKING:
    from beam_distilabel.models.vllm import vLLM

POLICY = RetryPolicy(max_retries=6, timeout=1800.0, deadline=3600.0)
"""How long and how often one request is tried: a server that is away for half a minute is waited
for, and an answer may take half an hour."""

_FIRST = RetryPolicy(max_retries=6, timeout=10.0, deadline=60.0)
"""The same of the first request, for the models that the server has."""

_ALWAYS_SENT = (
    "presence_penalty",
    "frequency_penalty",
    "repetition_penalty",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
)
"""Else the server would take its model's recommendation (`generation_config.json`)."""

_SENT_IF_SET = ("stop", "stop_token_ids", "include_stop_str_in_output", "skip_special_tokens")

_EXTRA_PARAMS = (
    "allowed_token_ids",
    "bad_words",
    "ignore_eos",
    "logit_bias",
    "min_tokens",
    "prompt_logprobs",
    "seed",
    "spaces_between_special_tokens",
    "truncate_prompt_tokens",
    "vllm_xargs",
)
"""Sampling parameters that are fields of the server's requests under the same name."""

_MAX_SEED = 2**62
_MAX_TOP_LOGPROBS = 20  # unless the server was started with another `--max-logprobs`
_SHORTEST_SECRET = 6  # a shorter key is none, and could be part of any word
_MAX_MESSAGE = 500
_ABOUT_LENGTH = re.compile(r"context|length|max_(completion_)?tokens|too long", re.IGNORECASE)


class _StatusError(Exception):
    """The server answered with an error."""

    def __init__(self, status: int, message: str, after: float | None) -> None:
        super().__init__(message)
        self.status = status
        self.after = after


class VLLMUrlEngine(Engine):
    """Answers requests with a vLLM server at an address; sends again what may yet be answered.

    Args:
        llm: the `vLLM` with the model's name at the server, the address and the key.
    """

    def __init__(self, llm: vLLM) -> None:
        super().__init__()
        self._llm = llm.copied()
        self._base = str(llm.base_url).rstrip("/")
        self._root = self._base.removesuffix("/v1")
        self._key = llm.api_key.get_secret_value() if llm.api_key is not None else ""
        self.description = f"vllm at {self._base}"
        self.max_in_flight = llm.max_in_flight or type(self).max_in_flight
        self._endpoint = endpoint(self._base, self._key)
        self._limits = Limits(max_concurrency=self.max_in_flight)
        self._joined = False
        self._session: Any = None
        self._answered = False
        self._max_model_len: int | None = None
        self._canary = Canary()
        self._arguments: dict[str, Any] | None = None
        self._parsed = GenerationArguments()
        self._common: dict[str, Any] = {}
        template = llm.magpie_pre_query_template if llm.use_magpie_template else None
        self._pre_query = template and MAGPIE_PRE_QUERY_TEMPLATES.get(template, template)

    # -- life ------------------------------------------------------------------------------------

    async def start(self) -> None:
        self._parse(self._llm.get_generation_kwargs())
        try:
            import aiohttp
        except ImportError as error:
            raise EngineError(
                f"vLLM(engine='url') needs the package `aiohttp` ({error}). Install it with "
                "`pip install 'beam-distilabel[url]'`."
            ) from error
        headers = {"Content-Type": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),  # the endpoint's limit holds
            timeout=aiohttp.ClientTimeout(total=None),  # as does the retries' timeout
            headers=headers,
        )
        self._endpoint.join(self._limits)
        self._joined = True
        try:
            models = (await self._ask("GET", f"{self._base}/models", None, _FIRST))["data"]
            known = {str(model["id"]): model for model in models}
        except GenerationError as error:
            raise EngineError(f"vLLM can't ask {self._base} for its models: {error}") from error
        except (KeyError, TypeError) as error:
            raise EngineError(
                f"{self._base}/models doesn't answer as vLLM's server does."
            ) from error
        model = known.get(self._llm.model)
        if model is None:
            raise EngineError(
                f"The server at {self._base} has no model {self._llm.model!r}. It has: "
                f"{', '.join(map(repr, known))}."
            )
        self._max_model_len = model.get("max_model_len")

    async def stop(self) -> None:
        session, self._session = self._session, None
        if self._joined:
            self._joined = False
            self._endpoint.leave(self._limits)
        if session is not None:
            await session.close()

    # -- requests --------------------------------------------------------------------------------

    async def generate(self, request: GenerateRequest, canary: bool = False) -> GenerateOutput:
        prompt, structure = request.input, None
        if isinstance(prompt, tuple):
            prompt, structure = prompt
        arguments = self._parse(request.generation_kwargs)
        # Greedy answers are all alike.
        count = 1 if arguments.temperature == 0 else request.num_generations
        path, body = await self._prompt(prompt)
        model = arguments.lora or self._llm.model
        body |= {"model": model, **self._common, **_logprobs(path, arguments.logprobs)}
        schema = answer_schema(structure or arguments.structured_output)
        if schema is not None:
            if not canary and not self._canary.proven():
                ask = functools.partial(self.generate, canary=True)
                await self._canary.prove(ask, f"{self.description} with {self._llm.model}")
            body["structured_outputs"] = _structured_outputs(schema.structure)
        bodies = [dict(body) for _ in range(count)]
        if request.seed is not None and arguments.temperature > 0 and "seed" not in body:
            # As vLLM's engine does for several answers to one request.
            for index, one in enumerate(bodies):
                one["seed"] = request.seed % _MAX_SEED + index
        tasks = [asyncio.ensure_future(self._completion(path, one)) for one in bodies]
        try:
            answers = await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
        before = await self._text(path, body) if arguments.echo else ""
        return _output(path, answers, before, request.num_generations // count, arguments, schema)

    def _parse(self, kwargs: dict[str, Any]) -> GenerationArguments:
        if kwargs != self._arguments:
            parsed = parse_arguments(kwargs)
            self._common = _common(parsed)
            self._parsed, self._arguments = parsed, dict(kwargs)
        return self._parsed

    async def _prompt(self, prompt: Any) -> tuple[str, dict[str, Any]]:
        """Where to send a prompt, and as what."""
        if isinstance(prompt, str):
            return "completions", {"prompt": prompt}
        if self._pre_query is None or (prompt and prompt[-1]["role"] == "user"):
            return "chat/completions", {"messages": prompt}
        if not prompt:
            return "completions", {"prompt": self._pre_query, "add_special_tokens": False}
        chat = {"messages": prompt, "add_generation_prompt": False}
        query = {"prompt": self._pre_query, "add_special_tokens": False}
        before, after = await asyncio.gather(self._tokens(chat), self._tokens(query))
        return "completions", {"prompt": [*before, *after]}

    async def _completion(self, path: str, body: dict[str, Any]) -> Any:
        url = f"{self._base}/{path}"
        try:
            answer = await self._ask("POST", url, body, check=_completion_in)
        except GenerationError as error:
            if error.kind != "too_long" or self._max_model_len is None:
                raise
            # The prompt, or the prompt with the longest answer? Servers differ in what they cut.
            length = len(await self._prompt_tokens(path, body))
            room = self._max_model_len - length
            if room < 1:
                raise PromptTooLongError(
                    f"the prompt has {length} tokens, the model's context holds "
                    f"{self._max_model_len} and the answer needs at least one of them."
                ) from error
            if room >= body["max_tokens"]:
                raise GenerationError(str(error), "refused") from error
            answer = await self._ask(
                "POST", url, {**body, "max_tokens": room}, check=_completion_in
            )
        reason = answer["choices"][0].get("finish_reason")
        if reason in ("abort", "error"):
            raise GenerationError(f"vLLM ended the request early ({reason}).")
        return answer

    async def _prompt_tokens(self, path: str, body: dict[str, Any]) -> list[int]:
        if path == "chat/completions":
            return await self._tokens({"messages": body["messages"]})
        if not isinstance(body["prompt"], str):
            tokens: list[int] = body["prompt"]
            return tokens
        special = body.get("add_special_tokens", True)
        return await self._tokens({"prompt": body["prompt"], "add_special_tokens": special})

    async def _tokens(self, what: dict[str, Any]) -> list[int]:
        body = {"model": self._llm.model, **what}
        check = functools.partial(_field_in, name="tokens", kind=list)
        tokens: list[int] = await self._ask("POST", f"{self._root}/tokenize", body, check=check)
        return tokens

    async def _text(self, path: str, body: dict[str, Any]) -> str:
        """The text of a prompt, chats as the server renders them."""
        prompt = body.get("prompt")
        if isinstance(prompt, str):
            return prompt
        tokens = await self._prompt_tokens(path, body)
        body = {"model": self._llm.model, "tokens": tokens}
        check = functools.partial(_field_in, name="prompt", kind=str)
        return str(await self._ask("POST", f"{self._root}/detokenize", body, check=check))

    async def _ask(
        self,
        method: str,
        url: str,
        body: dict[str, Any] | None,
        policy: RetryPolicy | None = None,
        check: Callable[[Any], Any] = lambda answer: answer,
    ) -> Any:
        """What `check` makes of the answer; it raises MalformedAnswer, which is tried again."""
        try:
            data = orjson.dumps(body) if body is not None else None
        except TypeError as error:
            raise GenerationError(f"the prompt could not be made: {error}", "render") from error

        async def send(slot: Slot) -> Any:
            if self._session is None:
                raise EngineError("The vLLM engine is closed.")
            async with self._session.request(
                method, url, data=data, allow_redirects=False
            ) as response:
                content = await response.read()
                location = response.headers.get("Location")
                redirect = redirected(response.status, response.url, location)
                if redirect is not None:
                    raise redirect
                if response.status >= 400:
                    raise _StatusError(
                        response.status,
                        _message(content),
                        retry_after_seconds(response.headers),
                    )
                answer = check(orjson.loads(content))
                self._answered = True
                return answer

        return await send_until_answered(send, self._explain, self._endpoint, 0, policy or POLICY)

    def _explain(self, error: Exception) -> Trouble:
        import aiohttp

        text = (str(error) or type(error).__name__)[:_MAX_MESSAGE]
        if len(self._key) >= _SHORTEST_SECRET:
            text = text.replace(self._key, "***")
        whole = not self._answered
        redirect = redirect_behind(error)
        if redirect is not None:
            return explain_redirect(redirect, self._answered)
        if isinstance(error, _StatusError):
            return _explain_status(
                error, f"vLLM refused the request ({error.status}): {text}", whole
            )
        if isinstance(error, TimeoutError):
            return Trouble("timeout", f"the vLLM server took too long: {text}", again=True)
        if isinstance(error, (aiohttp.ClientError, OSError)):
            message = f"the vLLM server at {self._base} can't be reached: {text}"
            return Trouble("engine", message, again=True, whole=whole)
        if isinstance(error, (orjson.JSONDecodeError, MalformedAnswer)):
            return Trouble("engine", f"the vLLM server's answer can't be read: {text}", again=True)
        return Trouble("engine", text, whole=isinstance(error, EngineError))


def _explain_status(error: _StatusError, message: str, whole: bool) -> Trouble:
    if error.status == 413 or (error.status in (400, 422) and _ABOUT_LENGTH.search(message)):
        return Trouble("too_long", message)
    if error.status in (401, 403, 404):
        return Trouble("refused", message, whole=whole)
    if error.status == 429:
        return Trouble("rate_limit", message, again=True, busy=True, after=error.after)
    if error.status in (408, 409) or error.status >= 500:
        return Trouble("engine", message, again=True, after=error.after)
    return Trouble("refused", message)


def _message(content: bytes) -> str:
    try:
        error = orjson.loads(content)
        error = error.get("error", error)
        return str(error.get("message") or error.get("detail") or error)
    except (ValueError, AttributeError):
        return content.decode("utf-8", "replace")


def _completion_in(answer: Any) -> dict[str, Any]:
    """`answer`, if it has all that an output is made of.

    Raises:
        MalformedAnswer: it hasn't.
    """
    checked = checked_answer(answer)
    choice = checked["choices"][0]
    message = choice.get("message")
    text = message.get("content") if isinstance(message, dict) else choice.get("text")
    if text is not None and not isinstance(text, str):
        raise MalformedAnswer(f"the answer's content is no text: {str(text)[:200]}")
    usage = checked.get("usage")
    counts = ("prompt_tokens", "completion_tokens")
    if not isinstance(usage, dict) or not all(isinstance(usage.get(n), int) for n in counts):
        raise MalformedAnswer(f"the answer has no token counts: {str(answer)[:200]}")
    return {**checked, "choices": [{"finish_reason": None, **choice}]}


def _field_in(answer: Any, name: str, kind: type) -> Any:
    value = answer.get(name) if isinstance(answer, dict) else None
    if not isinstance(value, kind):
        raise MalformedAnswer(f"the answer has no {name}: {str(answer)[:200]}")
    return value


def _common(parsed: GenerationArguments) -> dict[str, Any]:
    """What all requests with these arguments have in common."""
    extra = parsed.extra_sampling_params or {}
    for name in extra:
        if name not in _EXTRA_PARAMS:
            raise DistilabelUserError(
                f"extra_sampling_params can't hold {name!r} with vLLM(engine='url')."
                f"{closest(name, _EXTRA_PARAMS)} It can hold: {', '.join(_EXTRA_PARAMS)}."
            )
    default = GenerationArguments()
    changed = [name for name in _SENT_IF_SET if getattr(parsed, name) != getattr(default, name)]
    return {
        "max_tokens": parsed.max_new_tokens,
        **{name: getattr(parsed, name) for name in (*_ALWAYS_SENT, *changed)},
        **extra,
    }


def _logprobs(path: str, count: int | None) -> dict[str, Any]:
    if count is None:
        return {}
    if path == "completions":
        return {"logprobs": count}
    # Chats count the sampled token among the candidates, even where it is none of the likeliest.
    more = count + 1 if count < _MAX_TOP_LOGPROBS else count
    return {"logprobs": True, "top_logprobs": more}


def _structured_outputs(structure: dict[str, Any]) -> dict[str, Any]:
    pattern = structure.get("whitespace_pattern")
    return {
        structure["format"]: structure["schema"],
        **({"whitespace_pattern": pattern} if pattern else {}),
    }


def _output(
    path: str,
    answers: list[Any],
    before: str,
    repeated: int,
    arguments: GenerationArguments,
    schema: AnswerSchema | None,
) -> GenerateOutput:
    choices = [answer["choices"][0] for answer in answers]
    is_chat = path == "chat/completions"
    messages = [one["message"] if is_chat else {"content": one["text"]} for one in choices]
    thoughts = [one.get("reasoning") or one.get("reasoning_content") for one in messages]
    failures = [
        _failure(message["content"], choice["finish_reason"], schema, thought is not None)
        for message, choice, thought in zip(messages, choices, thoughts, strict=True)
    ]
    output: GenerateOutput = {
        "generations": [
            before + (message["content"] or "") if failure is None else None
            for message, failure in zip(messages, failures, strict=True)
        ]
        * repeated,
        "statistics": {
            "input_tokens": [answers[0]["usage"]["prompt_tokens"]],
            "output_tokens": [one["usage"]["completion_tokens"] for one in answers] * repeated,
        },
        "finish_reasons": [one["finish_reason"] for one in choices] * repeated,
    }
    if any(failures):
        output["failures"] = failures * repeated
    if any(thoughts):
        output["reasoning"] = thoughts * repeated
    count = arguments.logprobs
    if count is not None:
        read = _chat_candidates if is_chat else _text_candidates
        output["logprobs"] = [read(one.get("logprobs") or {}, count) for one in choices] * repeated
    return output


def _failure(
    text: str | None, finish_reason: str | None, schema: AnswerSchema | None, reasoned: bool
) -> dict[str, Any] | None:
    if schema is None and not (text is None and reasoned):
        return None  # an answer may be empty
    return failure_of(text or ("" if not reasoned else text), finish_reason, schema, None, reasoned)


def _chat_candidates(logprobs: dict[str, Any], count: int) -> list[list[dict[str, Any]]]:
    return [
        _candidates(position["token"], position["logprob"], position["top_logprobs"], count)
        for position in logprobs.get("content") or []
    ]


def _text_candidates(logprobs: dict[str, Any], count: int) -> list[list[dict[str, Any]]]:
    return [
        _candidates(token, own, [{"token": t, "logprob": p} for t, p in (top or {}).items()], count)
        for token, own, top in zip(
            logprobs.get("tokens") or [],
            logprobs.get("token_logprobs") or [],
            logprobs.get("top_logprobs") or [],
            strict=True,
        )
    ]


def _candidates(
    token: str, logprob: float, top: list[dict[str, Any]], count: int
) -> list[dict[str, Any]]:
    """The sampled token first and the `count` likeliest, as vLLM's engine has it."""
    others = [
        {"token": one["token"], "logprob": one["logprob"]}
        for one in top
        if (one["token"], one["logprob"]) != (token, logprob)
    ]
    is_likely = sum(other["logprob"] > logprob for other in others) < count
    return [{"token": token, "logprob": logprob}, *others[: count - is_likely]]
