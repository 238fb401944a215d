"""Engines and their registry."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from beam_distilabel.errors import EngineError, PromptTooLongError
from beam_distilabel.models.engine import Engine, GenerateRequest, Registry, answer
from beam_distilabel.typing import GenerateOutput
from tests.fakes import BrokenLLM, FakeLLM, SlotLLM, journal, new_name, no_engine_is_left  # noqa: F401

pytestmark = pytest.mark.usefixtures("no_engine_is_left")


class Counted(Engine):
    """Writes its life into a list."""

    def __init__(self, life: list[str], broken: str = "") -> None:
        super().__init__()
        self._life = life
        self._broken = broken

    async def start(self) -> None:
        self._life.append("start")
        if "start" in self._broken:
            raise EngineError("no memory is left")

    async def stop(self) -> None:
        self._life.append("stop")
        if "stop" in self._broken:
            raise RuntimeError("it was never started")

    async def generate(self, request: GenerateRequest) -> GenerateOutput:
        if request.input == "too long":
            raise PromptTooLongError("9 tokens, 4 fit")
        if request.input == "dead":
            raise EngineError("dead")
        return {"generations": [str(request.input)]}


# ---------------------------------------------------------------------------------- an engine


def test_requests_from_many_threads() -> None:
    engine = Counted([])
    engine.open()

    def ask(n: int) -> Any:
        return engine.call(engine.generate(GenerateRequest(str(n))))["generations"]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(200))) == [[str(n)] for n in range(200)]
    engine.close()


def test_close_ends_the_thread_and_may_be_called_again() -> None:
    life: list[str] = []
    engine = Counted(life)
    engine.open()
    thread = engine._thread
    engine.close()
    engine.close()
    assert not thread.is_alive()
    assert engine.loop.is_closed()
    assert life == ["start", "stop"]


@pytest.mark.parametrize("broken", ["start", "start stop"])
def test_an_engine_that_cannot_start_says_why(broken: str) -> None:
    engine = Counted([], broken)
    with pytest.raises(EngineError, match="no memory is left"):
        engine.open()
    assert not engine._thread.is_alive()


def test_the_thread_ends_where_stopping_fails() -> None:
    engine = Counted([], "stop")
    engine.open()
    with pytest.raises(RuntimeError, match="never started"):
        engine.close()
    assert not engine._thread.is_alive()


def test_answer_gives_the_reason_of_a_request_that_failed_alone() -> None:
    engine = Counted([])

    def of(input: Any) -> Any:
        return asyncio.run(answer(engine, GenerateRequest(input)))

    assert of("a") == {"generations": ["a"]}
    assert of("too long") == {
        "generations": [None],
        "failure": {"kind": "too_long", "message": "9 tokens, 4 fit"},
    }
    with pytest.raises(EngineError, match="dead"):
        of("dead")
    engine.loop.close()


# ---------------------------------------------------------------------------------- the registry


def test_equal_models_share_and_the_last_release_closes() -> None:
    registry, life = Registry(), []  # type: ignore[var-annotated]
    one = registry.acquire("a", lambda: Counted(life))
    assert registry.acquire("a", lambda: Counted(life)) is one
    registry.release(one)
    assert life == ["start"]
    registry.release(one)
    assert life == ["start", "stop"]
    assert not registry._entries
    another = registry.acquire("a", lambda: Counted(life))
    assert another is not one
    registry.release(another)


def test_different_models_do_not_share() -> None:
    registry, life = Registry(), []  # type: ignore[var-annotated]
    one, other = (registry.acquire(name, lambda: Counted(life)) for name in "ab")
    assert one is not other
    registry.release(one)
    assert life == ["start", "start", "stop"]
    registry.close_all()
    assert life.count("stop") == 2


def test_too_many_releases_close_nothing() -> None:
    registry, life = Registry(), []  # type: ignore[var-annotated]
    one = registry.acquire("a", lambda: Counted(life))
    with registry.used_by("a run that has none"):
        registry.release(one)
    assert life == ["start"]
    registry.release(one)
    registry.release(one)
    assert life == ["start", "stop"]


def test_what_a_run_left_behind_is_given_back() -> None:
    registry, life = Registry(), []  # type: ignore[var-annotated]
    outside = registry.acquire("a", lambda: Counted(life))
    with registry.used_by("run"):
        for name in ("a", "a", "b"):
            registry.acquire(name, lambda: Counted(life))
    registry.release_all("run")
    # "b" was the run's alone; "a" is in use outside of it.
    assert list(registry._entries) == ["a"]
    assert life == ["start", "start", "stop"]
    registry.release_all("run")
    registry.release_all("another run")
    assert life == ["start", "start", "stop"]
    registry.release(outside)
    assert not registry._entries


def test_owners_nest() -> None:
    registry, life = Registry(), []  # type: ignore[var-annotated]
    with registry.used_by("outer"):
        with registry.used_by("inner"):
            registry.acquire("a", lambda: Counted(life))
        registry.acquire("a", lambda: Counted(life))
    assert registry._entries["a"].uses == {"inner": 1, "outer": 1}
    registry.close_all()


def test_an_engine_that_cannot_start_is_not_registered_and_may_be_tried_again() -> None:
    registry, life = Registry(), []  # type: ignore[var-annotated]
    for _ in range(2):
        with pytest.raises(EngineError, match="no memory is left"):
            registry.acquire("a", lambda: Counted(life, "start stop"))
        assert not registry._entries
    registry.release(registry.acquire("a", lambda: Counted(life)))
    assert life == ["start", "stop"] * 3


def test_many_threads_get_one_engine_and_the_last_closes_it() -> None:
    registry, life = Registry(), []  # type: ignore[var-annotated]
    together = threading.Barrier(8)
    found = []

    def use() -> None:
        together.wait()
        for _ in range(20):
            engine = registry.acquire("a", lambda: Counted(life))
            found.append(engine.call(engine.generate(GenerateRequest("x")))["generations"])
            registry.release(engine)

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 160
    assert not registry._entries
    assert life.count("start") == life.count("stop")
    # Two are never open at once.
    assert life == ["start", "stop"] * (len(life) // 2)


# ---------------------------------------------------------------------------------- of LLMs


def test_equal_llms_share_an_engine() -> None:
    tag = new_name()
    first = FakeLLM(tag=tag).load_model()
    # Arguments of a call are no part of the engine.
    second = FakeLLM(tag=tag, generation_kwargs={"temperature": 0.5}).load_model()
    other = FakeLLM(tag=tag, answer="another").load_model()
    assert first is second
    assert first is not other
    for engine in (first, second, other):
        engine.release()
    assert journal(f"{tag}/life").events == ["load", "load", "unload", "unload"]


def test_llms_of_different_classes_do_not_share() -> None:
    class Other(FakeLLM):
        pass

    assert FakeLLM(tag="a").fingerprint() != Other(tag="a").fingerprint()
    assert FakeLLM(tag="a").fingerprint() == FakeLLM(tag="a").fingerprint()
    assert SlotLLM(slots=1).fingerprint() != SlotLLM(slots=2).fingerprint()


def test_an_llm_that_cannot_be_loaded_is_not_registered() -> None:
    with pytest.raises(EngineError, match=r"BrokenLLM.load\(\) failed: RuntimeError: no accel"):
        BrokenLLM(tag=new_name()).load_model()


# ---------------------------------------------------------------------------------- ends and starts


class Mortal(Counted):
    """Dead when it is told to be."""

    is_dead = False

    @property
    def dead(self) -> bool:
        return self.is_dead


def test_a_dead_engine_is_replaced_and_closed_by_its_last_user() -> None:
    registry, life = Registry(), []  # type: ignore[var-annotated]
    first = registry.acquire("one", lambda: Mortal(life))
    assert isinstance(first, Mortal)
    first.is_dead = True
    second = registry.acquire("one", lambda: Mortal(life))
    assert second is not first and life == ["start", "start"]
    registry.release(first)
    assert life == ["start", "start", "stop"]
    assert registry.holds("one")
    registry.release(second)
    assert life.count("stop") == 2 and not registry.holds("one")


def test_an_engine_is_gone_before_an_equal_one_starts() -> None:
    registry, life = Registry(), []  # type: ignore[var-annotated]
    closing, go_on = threading.Event(), threading.Event()

    class Slow(Counted):
        async def stop(self) -> None:
            closing.set()
            go_on.wait(30)
            await super().stop()

    first = registry.acquire("one", lambda: Slow(life))
    with ThreadPoolExecutor(2) as pool:
        released = pool.submit(registry.release, first)
        assert closing.wait(30)
        acquired = pool.submit(registry.acquire, "one", lambda: Counted(life))
        go_on.set()
        released.result(30)
        second = acquired.result(30)
    assert life == ["start", "stop", "start"]
    registry.release(second)
    assert life[-1] == "stop" and not registry.holds("one")


def test_a_start_that_hangs_ends_at_its_deadline() -> None:
    go_on, stopped = threading.Event(), threading.Event()

    class Hangs(Engine):
        @property
        def start_seconds(self) -> float:
            return 0.05

        async def start(self) -> None:
            go_on.wait(30)  # as what blocks the loop

        async def stop(self) -> None:
            stopped.set()

    engine = Hangs()
    with pytest.raises(EngineError, match=r"Hangs was not ready after 0.05 s"):
        engine.open()
    engine.close()  # nothing is left to close, and nothing waits
    go_on.set()
    assert stopped.wait(30)  # should it start after all, it is stopped
