"""`RemoteModel`: what all models behind endpoints share, whatever protocol they speak.

Beam's `RemoteModelHandler` isn't its base: its `request` is synchronous and answers whole batches,
it knows neither `Retry-After` nor concurrency, and it sleeps in the worker's thread. What it tells
runners that scale by themselves, the time in which an endpoint held the work back, is here
`RemoteEngine.throttled_seconds`.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import weakref
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, TypeVar
from urllib.parse import urlsplit

from pydantic import (
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    PrivateAttr,
    SecretStr,
)
from typing_extensions import Self

from beam_distilabel.errors import (
    DistilabelError,
    DistilabelUserError,
    EngineError,
    SecretNotFoundError,
)
from beam_distilabel.models.base import Model
from beam_distilabel.models.engine import Engine
from beam_distilabel.models.remote.addresses import check_query
from beam_distilabel.models.remote.errors import safe_message
from beam_distilabel.models.remote.limits import Endpoint, Limits, Slot, endpoint
from beam_distilabel.models.remote.redirects import explain_redirect, redirect_behind
from beam_distilabel.models.remote.retries import RetryPolicy, Trouble, send_until_answered
from beam_distilabel.models.structured_output import checked_structure
from beam_distilabel.models.user_engine import AsyncLLMEngine
from beam_distilabel.row import fingerprint
from beam_distilabel.runtime_parameters import RuntimeParameter

T = TypeVar("T")

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


class RemoteModel(Model):
    """A model behind an endpoint: limits, retries, clients, and failures by request.

    Subclasses define `agenerate`, `make_client` and `explain`, and name their SDK (`sdk`, `extra`).
    They declare `api_key` and the field of their URL (`url_name`), where they have them.

    A request that is refused for load (429), fails (408, 409, 5xx, a lost connection, an answer
    that can't be read) or takes too long is sent again, after what `Retry-After` says or a random
    pause that grows. What stays unanswered costs its row: kinds `rate_limit`, `timeout`,
    `too_long`, `refused`, `schema` and `engine`. A wrong key, an unknown model or address, or
    missing credit end the run if they are found before the first answer, and cost rows after it.

    The limits hold for all objects of one process that speak to the same address with the same key,
    the strictest of each. Processes don't know of each other: with n worker processes, give
    each an n-th.

    Attributes:
        max_retries: attempts after the first one; refusals for load aren't counted.
        timeout: seconds for one attempt, from its first byte to its last.
        deadline: seconds for all attempts of a request and the pauses between them;
            if None, what all attempts may take and a minute before each retry: 20 minutes by
            default. Waiting for the limits isn't counted. Where the endpoint asks to wait for
            longer, the row fails at once.
        structured_output: `{"schema": a pydantic class or JSON schema}`. It goes with the requests
            as the endpoint's protocol has it, and answers are checked against it: what doesn't have
            the form is a failure of kind `schema`. Answers cut at their greatest length aren't
            checked; their finish reason is "length". An input that brings its own takes precedence.
        max_concurrency: requests under way at once; None is no limit (but see
            `beam_distilabel.models.engine.Engine.max_in_flight`).
        requests_per_minute: requests begun in any 60 seconds, with those that fail; spread evenly.
        tokens_per_minute: tokens in any 60 seconds. A request counts with its prompt, estimated at
            four bytes per token, and the greatest length of its answers; the answer's usage
            corrects that.

    Example:
        >>> from beam_distilabel.models.openai import OpenAILLM
        >>> isinstance(OpenAILLM(model="gpt-4o-mini", max_concurrency=8), RemoteModel)
        True
    """

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

    sdk: ClassVar[str] = ""
    """The module that `load` imports."""
    extra: ClassVar[str] = ""
    """The extra of `beam-distilabel` that installs it."""
    url_name: ClassVar[str] = "base_url"
    """The field that has the endpoint's URL, if there is one."""
    structure_formats: ClassVar[tuple[str, ...]] = ("json",)
    """What `structured_output["format"]` may be."""

    _api_key_env_var: str = PrivateAttr("")
    _clients: Any = PrivateAttr(None)
    _endpoint: Endpoint | None = PrivateAttr(None)
    _limits: Limits = PrivateAttr(Limits())
    _answered: bool = PrivateAttr(False)

    def model_post_init(self, context: Any) -> None:
        super().model_post_init(context)
        self._check_fields()

    def _check_fields(self) -> None:
        if "@" in urlsplit(self._url()).netloc:
            raise DistilabelUserError(
                f"{type(self).__name__}: {self.url_name} has a user or a password in it, which "
                "would be dumped with it; give a key as `api_key`, and anything else as a header "
                "where the class has `default_headers`."
            )
        check_query(self._url(), self.url_name, type(self).__name__)
        checked_structure(self.structured_output, self.structure_formats, type(self).__name__)

    # -- what subclasses define ------------------------------------------------------------------

    def address(self) -> str:
        """What tells the endpoint from others, for the limits hold for it; by default its URL."""
        return self._url()

    def make_client(self) -> Any:
        """A client of the SDK, without retries of its own, that follows no redirects (see
        `beam_distilabel.models.remote.redirects`); it belongs to one event loop."""
        raise NotImplementedError

    async def close_client(self, client: Any) -> None:
        """Close what `make_client` made."""
        await client.close()

    def explain(self, error: Exception) -> Trouble:
        """What an error of one attempt means.

        Args:
            error: of the SDK, TimeoutError, or a ValueError about the answer.
        """
        raise NotImplementedError

    def check_loadable(self) -> None:
        """Raise where nothing could be asked; called by `load`.

        Raises:
            DistilabelUserError: there is no API key, though the class has one, or the URL is none.
        """
        if "api_key" in type(self).model_fields and not self._key():
            raise DistilabelUserError(
                f"{type(self).__name__} has no API key: give `api_key`, also as a runtime "
                f"parameter, or set the environment variable {self._api_key_env_var}."
            )
        if self.url_name in type(self).model_fields and not self._url().startswith(
            ("http://", "https://")
        ):
            raise DistilabelUserError(
                f"{type(self).__name__}: {self.url_name} is {self._url()!r}; it has to begin with "
                "http:// or https://."
            )

    def limits(self) -> Limits:
        """What the endpoint may be asked for."""
        return Limits(self.max_concurrency, self.requests_per_minute, self.tokens_per_minute)

    def secrets(self) -> list[str]:
        """What must be in no message."""
        return [self._key()]

    # -- life ------------------------------------------------------------------------------------

    def load(self) -> None:
        """Make ready to ask; nothing is sent yet.

        Raises:
            DistilabelUserError: there is no API key, or the address is no URL.
            EngineError: the SDK isn't installed.
        """
        super().load()
        try:
            importlib.import_module(self.sdk)
        except ImportError as error:
            raise EngineError(
                f"{type(self).__name__} needs the package `{self.sdk}` ({error}). Install it with "
                f"`pip install 'beam-distilabel[{self.extra}]'`."
            ) from error
        self.check_loadable()
        if self._endpoint is None:
            self._limits = self.limits()
            self._endpoint = endpoint(self.address(), self._key())
            self._endpoint.join(self._limits)
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
            await self.close_client(client)

    def _client(self) -> Any:
        if self._clients is None:
            raise DistilabelUserError(f"Call `load()` of the {type(self).__name__} first.")
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            try:
                client = self._clients[loop] = self.make_client()
            except DistilabelError:
                raise
            except Exception as error:
                reason = safe_message(error, self.secrets())
                raise EngineError(
                    f"{type(self).__name__} can't make its client: {type(error).__name__}: {reason}"
                ) from None
        return client

    # -- asking ----------------------------------------------------------------------------------

    async def _until_answered(
        self,
        send: Callable[[Slot], Awaitable[T]],
        tokens: float,
        explain: Callable[[Exception], Trouble] | None = None,
    ) -> T:
        """What `send` returns, tried again within the limits while that makes sense.

        Args:
            send: makes one attempt; it tells the slot what was used.
            tokens: what the request is expected to use.
            explain: in place of the model's.

        Raises:
            GenerationError: it stays unanswered; costs this request only.
            EngineError: no request can be answered.
        """
        assert self._endpoint is not None

        async def attempt(slot: Slot) -> T:
            answer = await send(slot)
            self._answered = True
            return answer

        def explained(error: Exception) -> Trouble:
            redirect = redirect_behind(error)
            if redirect is not None:
                return explain_redirect(redirect, self._answered)
            return (explain or self.explain)(error)

        return await send_until_answered(attempt, explained, self._endpoint, tokens, self._policy())

    def _policy(self) -> RetryPolicy:
        return RetryPolicy(self.max_retries or 0, self._timeout(), self.deadline)

    def _timeout(self) -> float:
        return self.timeout or float(type(self).model_fields["timeout"].default)

    def _url(self) -> str:
        return str(getattr(self, self.url_name, None) or "")

    def _key(self) -> str:
        key: SecretStr | None = getattr(self, "api_key", None)
        return key.get_secret_value() if key is not None else ""

    # -- for pipelines ---------------------------------------------------------------------------

    def check_generation_kwargs(self) -> None:
        super().check_generation_kwargs()
        self._check_fields()

    @classmethod
    def not_identity(cls) -> frozenset[str]:
        return super().not_identity() | frozenset(_HOW_IT_IS_ASKED)

    def fingerprint(self) -> str:
        try:
            key = self._key()
        except SecretNotFoundError:  # what it names is on the workers only
            key = str(getattr(self, "api_key", None))
        # Another key is another account to charge, though it gives the same answers.
        return fingerprint(
            self.identity(),
            {
                name: getattr(self, name)
                for name in _HOW_IT_IS_ASKED
                if name in type(self).model_fields
            },
            hashlib.sha256(key.encode()).hexdigest(),
            getattr(self, "jobs_ids", None),
        )

    def make_engine(self) -> Engine:
        return RemoteEngine(self)


class RemoteEngine(AsyncLLMEngine):
    """Asks an endpoint; its client belongs to the engine's loop.

    Args:
        llm: a `RemoteModel`.
    """

    def __init__(self, llm: RemoteModel) -> None:
        super().__init__(llm)
        # Twice the limit: who waits for a retry holds no place.
        self.max_in_flight = max(self.max_in_flight, 2 * (llm.limits().max_concurrency or 0))

    @property
    def throttled_seconds(self) -> float:
        """For how long the endpoint has held this process's requests back so far; see
        `beam_distilabel.models.remote.limits.Endpoint.throttled_seconds`."""
        known = self._llm._endpoint
        return known.throttled_seconds if known is not None else 0.0

    async def stop(self) -> None:
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._llm.aclose()
        await super().stop()
