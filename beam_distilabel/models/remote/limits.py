"""Limits of a remote endpoint: requests at once, requests per minute, tokens per minute.

They hold per endpoint and process: all LLM objects that speak to the same address with the same key
share them, whatever engine, event loop or thread they run on.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

BURST_SHARE = 0.01
"""The part of a minute's amount that may be taken at once."""

MINUTE_SECONDS = 61.0
"""A minute, and what requests may need longer or shorter to arrive."""

_ROUNDING_SECONDS = 1e-6
_IMAGE_TOKENS = 1000
_MESSAGE_TOKENS = 4


@dataclasses.dataclass(frozen=True)
class Limits:
    """What an endpoint may be asked for; None is no limit.

    Attributes:
        max_concurrency: requests under way at once.
        requests_per_minute: requests begun in any 60 seconds, those that fail included.
        tokens_per_minute: tokens of prompts and answers of the requests begun in any 60 seconds.
    """

    max_concurrency: int | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None

    def stricter(self, other: Limits) -> Limits:
        """The lower one of each limit.

        Example:
            >>> Limits(max_concurrency=8).stricter(Limits(max_concurrency=4, tokens_per_minute=9))
            Limits(max_concurrency=4, requests_per_minute=None, tokens_per_minute=9)
        """
        return Limits(
            *(
                min((n for n in pair if n is not None), default=None)
                for pair in zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)
            )
        )


@dataclasses.dataclass(eq=False, slots=True)
class Taken:
    """What was taken out of a bucket."""

    at: float
    amount: float


class Bucket:
    """A token bucket that also keeps to its limit in every minute.

    Refilled evenly, it spreads over the minute what is taken, since providers count by seconds as
    well. A plain token bucket lets through its limit and its whole size in a minute; this one
    remembers what was taken in the last one.

    Args:
        per_minute: the limit.

    Example:
        >>> bucket = Bucket(60)
        >>> bucket.seconds_until(1, now=0.0)
        0.0
        >>> _ = bucket.take(1, now=0.0)
        >>> bucket.seconds_until(1, now=0.0)
        1.0
    """

    def __init__(self, per_minute: float) -> None:
        self.per_minute = float(per_minute)
        self._size = max(1.0, per_minute * BURST_SHARE)
        self._level: float | None = None
        self._refilled = 0.0
        self._taken: deque[Taken] = deque()
        self._in_minute = 0.0

    def seconds_until(self, amount: float, now: float) -> float:
        """How long until `amount` can be taken; more than a minute's amount counts as that."""
        amount = min(amount, self.per_minute)
        self._size = max(self._size, amount)  # or it could never be taken
        if self._level is None:
            self._level, self._refilled = self._size, now
        per_second = self.per_minute / 60
        elapsed, self._refilled = now - self._refilled, now
        self._level = min(self._size, self._level + elapsed * per_second)
        seconds = max((amount - self._level) / per_second, self._until_minute_has(amount, now))
        return seconds if seconds > _ROUNDING_SECONDS else 0.0

    def _until_minute_has(self, amount: float, now: float) -> float:
        """How long until enough of what was taken is more than a minute old."""
        while self._taken and self._taken[0].at <= now - MINUTE_SECONDS:
            self._in_minute -= self._taken.popleft().amount
        if not self._taken:
            self._in_minute = 0.0  # whatever rounding left
        excess = self._in_minute + amount - self.per_minute
        if excess <= 0:
            return 0.0
        for taken in self._taken:
            excess -= taken.amount
            if excess <= 0:
                return taken.at + MINUTE_SECONDS - now
        return MINUTE_SECONDS  # answers that used more than was expected

    def take(self, amount: float, now: float) -> Taken:
        """Take `amount`, after `seconds_until` said 0."""
        assert self._level is not None
        taken = Taken(now, min(amount, self.per_minute))
        self._level -= taken.amount
        self._in_minute += taken.amount
        self._taken.append(taken)
        return taken

    def correct(self, taken: Taken, used: float) -> None:
        """`used` is what `taken` came to."""
        difference, taken.amount = used - taken.amount, used
        if self._level is not None:
            self._level = min(self._size, self._level - difference)
        if self._taken and taken.at >= self._taken[0].at:
            self._in_minute += difference


class _Waiter:
    """Someone who waits for its turn, on a loop of its own."""

    __slots__ = ("event", "loop", "tokens")

    def __init__(self, tokens: float) -> None:
        self.loop = asyncio.get_running_loop()
        self.event = asyncio.Event()
        self.tokens = tokens


class Slot:
    """The permission for one request; see `Endpoint.slot`."""

    def __init__(self, endpoint: Endpoint, tokens: Taken | None) -> None:
        self._endpoint = endpoint
        self._tokens = tokens

    def used(self, tokens: float) -> None:
        """The request used so many tokens, where another number was expected."""
        if self._tokens is not None:
            self._endpoint._correct(self._tokens, tokens)


class Endpoint:
    """One address with one key: who may send when.

    Requests go in the order in which they came; the first one holds back the others. Of what its
    members ask for, the strictest limit holds.

    Args:
        clock: gives seconds.

    Example:
        >>> endpoint = Endpoint()
        >>> endpoint.join(Limits(max_concurrency=1))
        >>> async def ask():
        ...     async with endpoint.slot(tokens=100) as slot:
        ...         slot.used(80)
        ...         return endpoint.running
        >>> asyncio.run(ask())
        1
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.running = 0
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: deque[_Waiter] = deque()
        self._members: list[Limits] = []
        self._max_concurrency: int | None = None
        self._requests: Bucket | None = None
        self._tokens: Bucket | None = None
        self._paused_until = 0.0
        self._held_back = 0
        self._held_back_since = 0.0
        self._throttled_seconds = 0.0

    @property
    def throttled_seconds(self) -> float:
        """For how long requests have been held back: by the limits per minute, by `pause`, or by
        who is in `held_back`. Time in which several were counts once; waiting for others of
        `max_concurrency` to finish doesn't."""
        with self._lock:
            now = self._clock()
            return self._throttled_seconds + (now - self._held_back_since) * bool(self._held_back)

    @contextlib.contextmanager
    def held_back(self) -> Iterator[None]:
        """Somebody waits because the endpoint has no room."""
        with self._lock:
            if not self._held_back:
                self._held_back_since = self._clock()
            self._held_back += 1
        try:
            yield
        finally:
            with self._lock:
                self._held_back -= 1
                if not self._held_back:
                    self._throttled_seconds += self._clock() - self._held_back_since

    def join(self, limits: Limits) -> None:
        """Someone who speaks to the endpoint wants these limits, until `leave`."""
        with self._lock:
            self._members.append(limits)
            self._apply()

    def leave(self, limits: Limits) -> None:
        """Give back one `join`."""
        with self._lock:
            self._members.remove(limits)
            if self._members:  # or what was used up is remembered for the next one
                self._apply()
        self._wake_first()

    def pause(self, seconds: float) -> None:
        """Begin no request for so long: the endpoint asked for it."""
        with self._lock:
            self._paused_until = max(self._paused_until, self._clock() + seconds)

    @contextlib.asynccontextmanager
    async def slot(self, tokens: float) -> AsyncIterator[Slot]:
        """Wait for the permission to send one request, and hold it while the request is under way.

        Args:
            tokens: what the request is expected to use, prompt and answers.
        """
        taken = await self._acquire(tokens)
        try:
            yield Slot(self, taken)
        finally:
            with self._lock:
                self.running -= 1
            self._wake_first()

    async def _acquire(self, tokens: float) -> Taken | None:
        waiter = _Waiter(tokens)
        granted = False
        with self._lock:
            self._waiting.append(waiter)
        try:
            while True:
                with self._lock:
                    seconds = self._seconds_until_turn(waiter)
                    if seconds == 0:
                        self._waiting.popleft()
                        granted = True
                        return self._take(tokens)
                try:
                    with contextlib.nullcontext() if seconds is None else self.held_back():
                        await asyncio.wait_for(waiter.event.wait(), seconds)
                except (asyncio.TimeoutError, TimeoutError):
                    pass  # the time may have come
                waiter.event.clear()
        finally:
            with self._lock:
                if not granted:  # it is being cancelled
                    with contextlib.suppress(ValueError):
                        self._waiting.remove(waiter)
            self._wake_first()

    def _seconds_until_turn(self, waiter: _Waiter) -> float | None:
        """0 if it is this one's turn, None if somebody else will wake it."""
        if self._waiting[0] is not waiter:
            return None
        if self._max_concurrency is not None and self.running >= self._max_concurrency:
            return None
        now = self._clock()
        seconds = max(0.0, self._paused_until - now)
        if self._requests is not None:
            seconds = max(seconds, self._requests.seconds_until(1, now))
        if self._tokens is not None:
            seconds = max(seconds, self._tokens.seconds_until(waiter.tokens, now))
        return seconds

    def _take(self, tokens: float) -> Taken | None:
        self.running += 1
        now = self._clock()
        if self._requests is not None:
            self._requests.take(1, now)
        return self._tokens.take(tokens, now) if self._tokens is not None else None

    def _correct(self, taken: Taken, used: float) -> None:
        with self._lock:
            if self._tokens is not None:
                self._tokens.correct(taken, used)
        self._wake_first()

    def _apply(self) -> None:
        limits = Limits()
        for member in self._members:
            limits = limits.stricter(member)
        self._max_concurrency = limits.max_concurrency
        self._requests = _bucket(self._requests, limits.requests_per_minute)
        self._tokens = _bucket(self._tokens, limits.tokens_per_minute)

    def _wake_first(self) -> None:
        with self._lock:
            while self._waiting:
                first = self._waiting[0]
                try:
                    first.loop.call_soon_threadsafe(first.event.set)
                    return
                except RuntimeError:  # its loop was closed under it
                    self._waiting.popleft()


def _bucket(known: Bucket | None, per_minute: int | None) -> Bucket | None:
    if per_minute is None:
        return None
    return known if known is not None and known.per_minute == per_minute else Bucket(per_minute)


_endpoints: dict[str, Endpoint] = {}
_endpoints_lock = threading.Lock()


def endpoint(address: str, key: str) -> Endpoint:
    """The endpoint of this process for an address and the key that it is asked with.

    Example:
        >>> endpoint("http://localhost/v1/", "a") is endpoint("http://localhost/v1", "a")
        True
        >>> endpoint("http://localhost/v1", "a") is endpoint("http://localhost/v1", "b")
        False
    """
    name = f"{address.rstrip('/')} {hashlib.sha256(key.encode()).hexdigest()}"
    with _endpoints_lock:
        return _endpoints.setdefault(name, Endpoint())


def estimated_tokens(text: str) -> int:
    """About how many tokens a text has: one for four bytes, and never none.

    Example:
        >>> estimated_tokens("What is the capital of Spain?")
        8
    """
    return len(text.encode("utf-8", "replace")) // 4 + 1


def prompt_tokens(prompt: Any) -> int:
    """About how many tokens a chat or a raw prompt has.

    Example:
        >>> prompt_tokens([{"role": "user", "content": "What is the capital of Spain?"}])
        12
    """
    if isinstance(prompt, str):
        return estimated_tokens(prompt)
    tokens = 0
    for message in prompt:
        content = message.get("content")
        tokens += _MESSAGE_TOKENS
        for part in content if isinstance(content, list) else [content]:
            if isinstance(part, str):
                tokens += estimated_tokens(part)
            elif isinstance(part, dict):
                text = part.get("text")
                tokens += estimated_tokens(text) if isinstance(text, str) else _IMAGE_TOKENS
    return tokens
