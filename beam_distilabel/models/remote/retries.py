"""Sending a request until it is answered: what is worth another attempt, when, and how often."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import email.utils
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from beam_distilabel.errors import (
    DistilabelError,
    EngineError,
    GenerationError,
    PromptTooLongError,
)
from beam_distilabel.failures import FailureKind
from beam_distilabel.models.remote.limits import Endpoint, Slot

T = TypeVar("T")

FIRST_PAUSE_SECONDS = 0.5
MAX_PAUSE_SECONDS = 60.0

_LONG_PAUSE_SECONDS = 5.0
"""From which on a pause that the endpoint asks for is told the user."""

_logger = logging.getLogger(__name__)
_random = random.Random()


@dataclasses.dataclass(frozen=True)
class Trouble:
    """What went wrong with one attempt.

    Attributes:
        kind: the failure's kind, if it stays with this.
        message: the reason, for a person; without secrets.
        again: whether another attempt may be answered.
        busy: whether the endpoint only had no room: such attempts aren't counted.
        after: the seconds that the endpoint asks to wait.
        whole: whether no other request can be answered either: the address, the key or the model
            is wrong, or there is no credit.
    """

    kind: FailureKind
    message: str
    again: bool = False
    busy: bool = False
    after: float | None = None
    whole: bool = False

    def error(self, attempts: int, note: str = "") -> DistilabelError:
        """The error that costs one row, or ends the run, after so many attempts."""
        if self.whole:
            return EngineError(self.message + note)
        message = self.message + note
        if self.kind == "too_long":
            error: GenerationError = PromptTooLongError(message)
        else:
            error = GenerationError(message, self.kind)
        error.attempts = attempts
        return error


@dataclasses.dataclass(frozen=True)
class RetryPolicy:
    """How long and how often one request is tried.

    Attributes:
        max_retries: attempts after the first; those for which the endpoint had no room (429) aren't
            counted, only their time is.
        timeout: seconds for one attempt.
        deadline: seconds for all attempts and the pauses between them; the time in which a request
            waits for its turn isn't counted. If None, what all attempts may take, with a minute
            before each retry.
    """

    max_retries: int = 6
    timeout: float = 120.0
    deadline: float | None = None

    @property
    def total_seconds(self) -> float:
        """The deadline."""
        retries = self.max_retries * (self.timeout + MAX_PAUSE_SECONDS)
        return self.deadline or self.timeout + retries


def pause_seconds(failures: int, after: float | None = None) -> float:
    """How long to wait before the next attempt.

    Twice as long after each failure, up to a minute; what the endpoint asked for (`after`) if it
    did. Random, so that those who failed together don't come back together.

    Args:
        failures: how many attempts have failed, this one included.
        after: the seconds that the endpoint asked to wait.

    Example:
        >>> 0.25 <= pause_seconds(1) <= 0.5
        True
        >>> 7.0 <= pause_seconds(1, after=7.0) <= 7.75
        True
    """
    if after is not None:
        return after + _random.uniform(0.0, min(1.0, 0.05 + after / 10))
    longest = min(MAX_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(failures - 1, 16))
    return longest * _random.uniform(0.5, 1.0)


def retry_after_seconds(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """The seconds that an answer's headers ask to wait: milliseconds, seconds or a date.

    Args:
        headers: with names in lower case, or a mapping that ignores case.
        now: the time since the epoch; the clock's if None.

    Returns:
        None where they say nothing, or nothing that can be understood.

    Example:
        >>> retry_after_seconds({"retry-after": "2"})
        2.0
        >>> retry_after_seconds({"retry-after": "Thu, 01 Jan 1970 00:01:00 GMT"}, now=48.0)
        12.0
    """
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) / unit
        except (KeyError, ValueError):
            continue
        if 0.0 <= seconds < float("inf"):
            return seconds
    try:
        date = email.utils.parsedate_to_datetime(headers["retry-after"])
        return max(0.0, date.timestamp() - (time.time() if now is None else now))
    except (KeyError, ValueError, TypeError, OverflowError):
        return None


async def send_until_answered(
    send: Callable[[Slot], Awaitable[T]],
    explain: Callable[[Exception], Trouble],
    endpoint: Endpoint,
    tokens: float,
    policy: RetryPolicy,
) -> T:
    """What `send` returns, tried again while that makes sense.

    Args:
        send: makes one attempt; it tells the slot what was used.
        explain: what an exception of `send` means; TimeoutError is an attempt that took too long.
        endpoint: whose limits hold; it is paused when it asks for it.
        tokens: what the request is expected to use.
        policy: how long and how often.

    Raises:
        GenerationError: it stays unanswered; costs this request only.
        EngineError: no request can be answered.
    """
    spent = 0.0
    attempts = counted = 0
    while True:
        attempts += 1
        async with endpoint.slot(tokens) as slot:
            began = time.monotonic()
            seconds = min(policy.timeout, policy.total_seconds - spent)
            try:
                return await asyncio.wait_for(send(slot), seconds)
            except (asyncio.TimeoutError, TimeoutError):
                trouble = explain(TimeoutError(f"no answer within {seconds:.3g} s"))
            except Exception as error:
                trouble = explain(error)
                if not trouble.again:
                    raise trouble.error(attempts) from None
            spent += time.monotonic() - began
        counted += not trouble.busy
        pause = pause_seconds(attempts, trouble.after)
        if counted > policy.max_retries:
            raise trouble.error(attempts, f" (gave up after {attempts} attempts)")
        if spent + pause >= policy.total_seconds:
            wish = f", and asks to wait {trouble.after:.3g} s" if trouble.after else ""
            raise trouble.error(
                attempts,
                f" (gave up after {attempts} attempts in {spent:.3g} s{wish}; the deadline is "
                f"{policy.total_seconds:.3g} s)",
            )
        if trouble.after:
            level = logging.INFO if trouble.after >= _LONG_PAUSE_SECONDS else logging.DEBUG
            _logger.log(level, "%s; nothing is sent for %.3g s", trouble.message, trouble.after)
            endpoint.pause(trouble.after)
        spent += pause
        with endpoint.held_back() if trouble.busy else contextlib.nullcontext():
            await asyncio.sleep(pause)
