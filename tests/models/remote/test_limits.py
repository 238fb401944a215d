"""Limits of an endpoint: kept in every minute, first come first served, across threads."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from hypothesis import given, strategies as st

from beam_distilabel.models.remote.limits import Bucket, Endpoint, Limits, Taken, estimated_tokens
from tests.fakes import PATIENCE_SECONDS

limits_of_a_minute = st.integers(1, 10_000)


def most_in_a_minute(taken: list[Taken]) -> float:
    sums = [
        sum(other.amount for other in taken[i:] if other.at < one.at + 60)
        for i, one in enumerate(taken)
    ]
    return max(sums, default=0.0)


# ---------------------------------------------------------------------------------- the bucket


@given(st.data(), limits_of_a_minute)
def test_no_minute_has_more_than_the_limit(data: st.DataObject, per_minute: int) -> None:
    bucket, now, taken = Bucket(per_minute), 0.0, []
    amounts = data.draw(st.lists(st.floats(0.01, 1.0), max_size=60))
    idle = data.draw(st.lists(st.sampled_from([0.0, 0.0, 1.0, 59.0]), min_size=60, max_size=60))
    used = data.draw(st.lists(st.floats(0.0, 1.0), min_size=60, max_size=60))
    for share, pause, part in zip(amounts, idle, used, strict=False):
        amount = share * per_minute
        now += pause
        for _ in range(1000):
            seconds = bucket.seconds_until(amount, now)
            if seconds == 0:
                break
            now += seconds
        assert seconds == 0, "it can never be taken"
        taken.append(bucket.take(amount, now))
        bucket.correct(taken[-1], part * amount)  # less was used than expected
    assert most_in_a_minute(taken) <= per_minute * (1 + 1e-9)


@pytest.mark.parametrize("per_minute", [6, 60, 6_000])
def test_requests_are_spread_and_use_the_limit(per_minute: int) -> None:
    bucket, now, taken = Bucket(per_minute), 0.0, []
    while now < 600:
        seconds = bucket.seconds_until(1, now)
        if seconds == 0:
            taken.append(bucket.take(1, now))
        now += seconds
    burst = max(1, per_minute / 100)
    for one in taken[:: max(1, len(taken) // 50)]:
        in_second = sum(one.at <= other.at < one.at + 1 for other in taken)
        assert in_second <= per_minute / 60 + burst + 1
    assert len(taken) >= 0.97 * per_minute * 10


def test_what_used_more_than_expected_holds_back_the_next() -> None:
    bucket = Bucket(600)
    assert bucket.seconds_until(60, 0.0) == 0
    bucket.correct(bucket.take(60, 0.0), 120)
    assert bucket.seconds_until(60, 0.0) == pytest.approx(12.0)


def test_more_than_the_limit_goes_alone_in_its_minute() -> None:
    bucket = Bucket(100)
    assert bucket.seconds_until(500, 0.0) == 0
    bucket.take(500, 0.0)
    assert 60 <= bucket.seconds_until(1, 0.0) <= 62


@given(st.text(max_size=50))
def test_tokens_are_never_none(text: str) -> None:
    assert estimated_tokens(text) >= 1


# ---------------------------------------------------------------------------------- the endpoint


def test_the_strictest_of_its_members_holds() -> None:
    endpoint = Endpoint()
    loose, strict = Limits(max_concurrency=50), Limits(max_concurrency=3)
    endpoint.join(loose)
    endpoint.join(strict)
    assert peak(endpoint, 20) == 3
    endpoint.leave(strict)
    assert peak(endpoint, 20) == 20


def peak(endpoint: Endpoint, count: int) -> int:
    """The most that are under way of `count` requests at once."""
    most = 0

    async def one() -> None:
        nonlocal most
        async with endpoint.slot(1):
            most = max(most, endpoint.running)
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    async def all_of_them() -> None:
        await asyncio.wait_for(asyncio.gather(*(one() for _ in range(count))), PATIENCE_SECONDS)

    asyncio.run(all_of_them())
    assert endpoint.running == 0
    return most


def test_threads_with_loops_of_their_own_share_the_limit() -> None:
    endpoint = Endpoint()
    endpoint.join(Limits(max_concurrency=4))
    lock = threading.Lock()
    seen: list[int] = []

    async def one() -> None:
        async with endpoint.slot(1):
            with lock:
                seen.append(endpoint.running)
            await asyncio.sleep(0.001)

    async def many() -> None:
        await asyncio.gather(*(one() for _ in range(50)))

    threads = [threading.Thread(target=asyncio.run, args=(many(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    assert len(seen) == 200
    assert max(seen) == 4


def test_first_come_first_served() -> None:
    endpoint = Endpoint()
    endpoint.join(Limits(max_concurrency=1))
    order: list[int] = []

    async def one(number: int) -> None:
        async with endpoint.slot(1):
            order.append(number)
            await asyncio.sleep(0)

    async def all_of_them() -> None:
        await asyncio.gather(*(one(number) for number in range(30)))

    asyncio.run(all_of_them())
    assert order == [*range(30)]


def test_who_gives_up_holds_nobody_back() -> None:
    endpoint = Endpoint()
    endpoint.join(Limits(max_concurrency=1))

    async def scene() -> str:
        async with endpoint.slot(1):
            first = asyncio.create_task(hold())
            second = asyncio.create_task(hold())
            await asyncio.sleep(0)
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
        return await asyncio.wait_for(second, PATIENCE_SECONDS)

    async def hold() -> str:
        async with endpoint.slot(1):
            return "done"

    assert asyncio.run(scene()) == "done"
    assert endpoint.running == 0


def test_a_loop_that_ended_holds_nobody_back() -> None:
    """As an engine's does that is closed while its requests wait."""
    endpoint = Endpoint()
    endpoint.join(Limits(max_concurrency=1))
    loop = asyncio.new_event_loop()

    async def hold(forever: bool = False) -> str:
        async with endpoint.slot(1):
            return "done"

    async def scene() -> str:
        async with endpoint.slot(1):
            # Another loop's request waits, first in the queue, and that loop is closed.
            waiting = loop.create_task(hold())
            await asyncio.to_thread(loop.run_until_complete, asyncio.sleep(0))
            loop.close()
            mine = asyncio.create_task(hold())
            await asyncio.sleep(0)
        waiting.cancelled()  # keeps it from being collected before
        return await asyncio.wait_for(mine, PATIENCE_SECONDS)

    assert asyncio.run(scene()) == "done"


def test_a_pause_holds_for_all() -> None:
    now = [0.0]
    endpoint = Endpoint(clock=lambda: now[0])
    endpoint.pause(100.0)

    async def scene() -> bool:
        asked = asyncio.create_task(one())
        await asyncio.sleep(0.01)
        held_back = not asked.done()
        now[0] = 101.0
        # Whoever comes after finds that the time is over, and lets the first one go.
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        await asyncio.wait_for(one(), PATIENCE_SECONDS)
        return held_back

    async def one() -> None:
        async with endpoint.slot(1):
            pass

    assert asyncio.run(scene())


def test_what_was_used_up_is_remembered_between_runs() -> None:
    endpoint = Endpoint()
    limits = Limits(requests_per_minute=1)

    async def ask(seconds: float) -> Any:
        async def one() -> str:
            async with endpoint.slot(1):
                return "asked"

        return await asyncio.wait_for(one(), seconds)

    endpoint.join(limits)
    assert asyncio.run(ask(PATIENCE_SECONDS)) == "asked"
    endpoint.leave(limits)
    endpoint.join(limits)
    with pytest.raises((asyncio.TimeoutError, TimeoutError)):
        asyncio.run(ask(0.05))


def test_time_in_which_several_are_held_back_counts_once() -> None:
    now = [0.0]
    endpoint = Endpoint(clock=lambda: now[0])
    with endpoint.held_back():
        now[0] = 2.0
        with endpoint.held_back():
            now[0] = 3.0
            assert endpoint.throttled_seconds == 3.0
        now[0] = 4.0
    now[0] = 9.0
    assert endpoint.throttled_seconds == 4.0
