"""The server: one thread, plain HTTP on a free local port."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from types import TracebackType
from typing import Any

from aiohttp import web

from tests.openai_server.batches import Batches
from tests.openai_server.completions import completion, default_answer, prompt_of
from tests.openai_server.faults import Chaos, Fault, error, fault_answer

_START_SECONDS = 30


@dataclasses.dataclass
class Received:
    """One request for an answer.

    Attributes:
        path: with its query.
        headers: with names in lower case.
        body: as it was sent.
        prompt: the last message's text, or the raw prompt.
        at: when it arrived, in seconds of a monotonic clock.
        status: of the answer; 0 where there was none.
        tokens: what was charged for it.
    """

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    prompt: str
    at: float
    status: int = 0
    tokens: int = 0


class OpenAIServer:
    """An endpoint that answers every prompt with "answer to <prompt>".

    Attributes:
        url: with `/v1`.
        key: the API key that it takes.
        models: what `/v1/models` lists.
        faults: rules that make requests fail; tests append.
        chaos: what makes a share of all requests fail.
        answer: makes the text of one choice of (body, index of the choice).
        latency: seconds that an answer takes.
        max_choices: how many choices it makes at once, whatever `n` says.
        honours_keys: whether it answers a repeated `Idempotency-Key` without charging again.
        received: every request for an answer, in the order of arrival.
        peak: the most requests that it ever had under way.
        charged: prompt to how often an answer was charged for.
        delivered: prompt to how often an answer was sent.
        batches: the Batch API.

    Example:
        >>> import urllib.request
        >>> with OpenAIServer() as server:
        ...     request = urllib.request.Request(server.url + "/models")
        ...     request.add_header("Authorization", f"Bearer {server.key}")
        ...     print(json.load(urllib.request.urlopen(request))["data"][0]["id"])
        tiny
    """

    key = "sk-the-key-of-the-test-server"

    def __init__(self) -> None:
        self.url = ""
        self.models = ["tiny"]
        self.faults: list[Fault] = []
        self.chaos: Chaos | None = None
        self.answer: Callable[[dict[str, Any], int], str | None] = default_answer
        self.latency = 0.0
        self.max_choices: int | None = None
        self.honours_keys = False
        self.received: list[Received] = []
        self.running = 0
        self.peak = 0
        self.charged: Counter[str] = Counter()
        self.delivered: Counter[str] = Counter()
        self.fired: Counter[str] = Counter()
        self.asked_for_models = 0
        self.batches = Batches(self)
        self._asked: Counter[str] = Counter()
        self._answers: dict[str, dict[str, Any]] = {}
        self._stopping = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._started = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="openai-server", daemon=True)

    @property
    def origin(self) -> str:
        """The address without a path."""
        return self.url.removesuffix("/v1")

    # -- lifecycle ---------------------------------------------------------------------------

    def __enter__(self) -> OpenAIServer:
        self._thread.start()
        if not self._started.wait(_START_SECONDS) or self._error is not None:
            raise RuntimeError("The server did not start") from self._error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(_START_SECONDS)
        if self._thread.is_alive():
            raise RuntimeError("The server did not stop")

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as failure:  # handed to the thread that waits in __enter__
            self._error = failure
        finally:
            self._started.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        app = web.Application(middlewares=[self._authorize], client_max_size=1 << 28)
        app.add_routes(self._routes())
        # A client that goes away ends its request: it isn't charged.
        runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
            host, port = runner.addresses[0][:2]
            self.url = f"http://{host}:{port}/v1"
            self._started.set()
            await self._stopping.wait()
        finally:
            await runner.cleanup()

    def _routes(self) -> list[web.RouteDef]:
        return [
            web.post("/v1/chat/completions", self._complete),
            web.post("/v1/completions", self._complete),
            web.post("/openai/deployments/{model}/chat/completions", self._complete),
            web.get("/v1/models", self._list_models),
            *self.batches.routes(),
        ]

    @web.middleware
    async def _authorize(self, request: web.Request, handler: Any) -> web.StreamResponse:
        key = self.key_of(request)
        if key != self.key:
            # Some servers repeat what they were sent.
            return self.error(401, f"Incorrect API key provided: {key}", code="invalid_api_key")
        answer: web.StreamResponse = await handler(request)
        return answer

    # -- answers -----------------------------------------------------------------------------

    async def _list_models(self, request: web.Request) -> web.Response:
        self.asked_for_models += 1
        data = [{"id": name, "object": "model", "owned_by": "tests"} for name in self.models]
        return web.json_response({"object": "list", "data": data})

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        prompt = self.prompt_of(body)
        headers = {name.lower(): value for name, value in request.headers.items()}
        received = Received(request.path_qs, headers, body, prompt, time.monotonic())
        self.received.append(received)
        self.running += 1
        self.peak = max(self.peak, self.running)
        try:
            fault = self.fault_of(prompt)
            if fault is not None:
                self.fired[fault.kind] += 1
                answer = fault_answer(fault, prompt, self.error)
                if answer is not None:
                    received.status = answer.status
                    return answer
                if fault.kind == "slow":
                    await self._stopping.wait()
                if fault.kind in ("slow", "drop"):
                    return _dropped(request)
            model = self.model_of(request, body)
            if model not in self.models:
                received.status = 404
                return self.error(404, f"no model {model!r}", code="model_not_found")
            if self.latency:
                await asyncio.sleep(self.latency)
            refused = fault is not None and fault.kind == "refusal"
            made = self._made(body, prompt, headers.get("idempotency-key"), refused)
            received.tokens = self.tokens_of(made)
            if fault is not None and fault.kind == "lost":
                return _dropped(request)
            received.status = 200
            self.delivered[prompt] += 1
            return web.json_response(made)
        finally:
            self.running -= 1

    # -- the protocol; the servers of other providers have their own ------------------------------

    def key_of(self, request: web.Request) -> str:
        """The API key that a request was sent with."""
        given = request.headers.get("api-key") or request.headers.get("Authorization", "")
        return given.removeprefix("Bearer ")

    def model_of(self, request: web.Request, body: dict[str, Any]) -> Any:
        """The model that is asked for."""
        return body.get("model")

    def prompt_of(self, body: dict[str, Any]) -> str:
        """The last message's text, or the raw prompt."""
        return prompt_of(body)

    def error(self, status: int, message: str, **fields: Any) -> web.Response:
        """An error in the protocol's form."""
        return error(status, message, **fields)

    def completion(self, body: dict[str, Any], refused: bool) -> dict[str, Any]:
        """The answer to a request's body."""
        return completion(body, self.answer, self.max_choices, refused)

    def tokens_of(self, made: dict[str, Any]) -> int:
        """What an answer was charged for."""
        return int(made["usage"]["total_tokens"])

    def fault_of(self, prompt: str) -> Fault | None:
        for fault in self.faults:
            if fault.applies_to(prompt):
                fault.fired += 1
                return fault
        self._asked[prompt] += 1
        return self.chaos.fault(prompt, self._asked[prompt]) if self.chaos is not None else None

    def _made(
        self, body: dict[str, Any], prompt: str, key: str | None, refused: bool
    ) -> dict[str, Any]:
        if self.honours_keys and key in self._answers:
            return self._answers[key]
        self.charged[prompt] += 1
        made = self.completion(body, refused)
        if key is not None:
            self._answers[key] = made
        return made

    # -- for tests ---------------------------------------------------------------------------

    def statuses(self) -> Counter[int]:
        """How often each status was answered."""
        return Counter(received.status for received in self.received)

    def keys_by_prompt(self) -> dict[str, set[str]]:
        """Prompt to the `Idempotency-Key`s of its requests."""
        keys = defaultdict(set)
        for received in self.received:
            keys[received.prompt].add(received.headers.get("idempotency-key", ""))
        return dict(keys)

    def most_in(self, seconds: float, weight: Callable[[Received], int] = lambda _: 1) -> int:
        """The largest sum of `weight` over the requests that arrived within any such time."""
        arrivals = sorted((one.at, weight(one)) for one in self.received)
        most = total = first = 0
        for at, amount in arrivals:
            total += amount
            while arrivals[first][0] <= at - seconds:
                total -= arrivals[first][1]
                first += 1
            most = max(most, total)
        return most


def _dropped(request: web.Request) -> web.Response:
    assert request.transport is not None
    request.transport.abort()
    return web.Response(status=500)  # never sent: the connection is gone
