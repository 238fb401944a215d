"""When a request is sent again, how long it takes before, and when it is given up."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, strategies as st

from beam_distilabel.errors import EngineError, GenerationError, PromptTooLongError
from beam_distilabel.models.remote import retries as http_retries
from beam_distilabel.models.remote.limits import Endpoint, Slot
from beam_distilabel.models.remote.retries import (
    MAX_PAUSE_SECONDS,
    RetryPolicy,
    Trouble,
    pause_seconds,
    retry_after_seconds,
    send_until_answered,
)

AGAIN = Trouble("engine", "it failed", again=True)
BUSY = Trouble("rate_limit", "no room", again=True, busy=True)


class Told(Exception):
    """An error that says itself what it means."""

    def __init__(self, trouble: Trouble) -> None:
        self.trouble = trouble


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that were made; they take no time."""
    made: list[float] = []

    async def sleep(seconds: float) -> None:
        made.append(seconds)

    monkeypatch.setattr(http_retries.asyncio, "sleep", sleep)
    return made


def send(*troubles: Trouble, policy: RetryPolicy | None = None, endpoint: Any = None) -> int:
    """The number of the attempt that was answered: the one after all `troubles`."""
    left = list(troubles)

    async def attempt(slot: Slot) -> int:
        if left:
            raise Told(left.pop(0))
        return len(troubles) + 1

    def explain(error: Exception) -> Trouble:
        return error.trouble if isinstance(error, Told) else Trouble("timeout", str(error), True)

    return asyncio.run(
        send_until_answered(
            attempt, explain, endpoint or Endpoint(), 1, policy or RetryPolicy(max_retries=3)
        )
    )


def test_failures_are_counted_and_refusals_for_load_are_not(pauses: list[float]) -> None:
    assert send(AGAIN, AGAIN, AGAIN) == 4
    assert send(*[BUSY] * 6, AGAIN, AGAIN, AGAIN) == 10
    with pytest.raises(GenerationError, match=r"it failed \(gave up after 4 attempts\)"):
        send(*[AGAIN] * 4)


def test_pauses_grow_and_are_bounded(pauses: list[float]) -> None:
    send(*[BUSY] * 12, policy=RetryPolicy(timeout=1000))
    assert all(later > earlier / 2 for earlier, later in zip(pauses, pauses[1:], strict=False))
    assert 0.25 <= pauses[0] <= 0.5
    assert MAX_PAUSE_SECONDS / 2 <= pauses[-1] <= MAX_PAUSE_SECONDS


@given(st.integers(1, 10_000))
def test_no_pause_is_longer_than_a_minute(failures: int) -> None:
    assert 0.25 <= pause_seconds(failures) <= MAX_PAUSE_SECONDS


def test_the_wish_of_the_endpoint_holds_for_all_its_requests(pauses: list[float]) -> None:
    now = [0.0]
    endpoint = Endpoint(clock=lambda: now[0])
    paused: list[float] = []
    endpoint.pause = lambda seconds: paused.append(seconds)  # type: ignore[method-assign]
    wish = Trouble("rate_limit", "no room", again=True, busy=True, after=7.0)
    assert send(wish, endpoint=endpoint) == 2
    assert paused == [7.0]
    assert 7.0 <= pauses[0] <= 7.75


def test_a_wish_beyond_the_deadline_costs_the_row_at_once(pauses: list[float]) -> None:
    wish = Trouble("rate_limit", "no room", again=True, busy=True, after=3600.0)
    with pytest.raises(GenerationError, match="asks to wait 3.6e.03 s; the deadline is 660 s"):
        send(wish)
    assert pauses == []


def test_refusals_for_load_end_at_the_deadline(pauses: list[float]) -> None:
    with pytest.raises(GenerationError, match="no room") as caught:
        send(*[BUSY] * 1000, policy=RetryPolicy(deadline=100))
    assert caught.value.kind == "rate_limit"
    assert 40 <= sum(pauses) <= 100


def test_an_attempt_ends_after_its_time() -> None:
    async def never(slot: Slot) -> None:
        await asyncio.Event().wait()

    policy = RetryPolicy(max_retries=1, timeout=0.02, deadline=1)

    def explain(error: Exception) -> Trouble:
        return Trouble("timeout", str(error), again=True)

    with pytest.raises(GenerationError, match="no answer within 0.02 s") as caught:
        asyncio.run(send_until_answered(never, explain, Endpoint(), 1, policy))
    assert caught.value.kind == "timeout"


@pytest.mark.parametrize(
    ("trouble", "error"),
    [
        (Trouble("refused", "no"), GenerationError),
        (Trouble("too_long", "no"), PromptTooLongError),
        (Trouble("refused", "no", whole=True), EngineError),
    ],
)
def test_what_is_hopeless_is_not_tried_again(
    trouble: Trouble, error: type, pauses: list[float]
) -> None:
    with pytest.raises(error, match="no"):
        send(trouble)
    assert pauses == []


def test_an_endpoint_that_is_never_reached_ends_the_run(pauses: list[float]) -> None:
    with pytest.raises(EngineError, match="gave up after 4 attempts"):
        send(*[Trouble("engine", "unreachable", again=True, whole=True)] * 9)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "20", "retry-after": "1"}, 0.02),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:30 GMT"}, 20.0),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:05 GMT"}, 0.0),  # it has passed
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_seconds(headers, now=10.0) == seconds


@given(st.text(max_size=30))
def test_no_header_is_an_error(text: str) -> None:
    seconds = retry_after_seconds({"retry-after": text})
    assert seconds is None or seconds >= 0
