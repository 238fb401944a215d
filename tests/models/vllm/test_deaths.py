"""What becomes of requests under which engines die; the engine's processes are left out."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

pytest.importorskip("vllm")

from vllm.v1.engine.exceptions import EngineDeadError

from beam_distilabel.errors import EngineError, GenerationError
from beam_distilabel.models.engine import GenerateRequest
from beam_distilabel.models.statistics import EngineStatistics
from beam_distilabel.models.vllm import vLLM
from beam_distilabel.models.vllm.embedded import EmbeddedEngine
from beam_distilabel.models.vllm.liveness import unless_dead


class Mortal:
    """As much of vLLM's `AsyncLLM` as an engine asks besides answers."""

    def __init__(self, *, errored: bool = False) -> None:
        self.errored = errored
        self.dead = asyncio.Event()

    async def get_supported_tasks(self) -> list[str]:
        return ["generate"]


class MortalEngine(EmbeddedEngine):
    """Dies of every request that says so, and all that is under way with it."""

    def __init__(self) -> None:
        super().__init__(vLLM(model="mortal"))
        self.max_in_flight = 8
        self.statistics = EngineStatistics()
        self.asked: list[str] = []

    async def start(self) -> None:
        self._start_llm()

    async def stop(self) -> None:
        self._stopped = True

    def _start_llm(self) -> None:
        self._llm = Mortal()
        self._incarnation += 1

    def _stop_llm(self) -> None:
        self._llm = None

    async def _answer(self, llm: Any, request: GenerateRequest) -> Any:
        prompt = str(request.input)
        self.asked.append(prompt)
        if prompt.startswith("poison"):
            llm.dead.set()
        elif prompt.startswith("slow"):
            for _ in range(20):
                await asyncio.sleep(0)
        await asyncio.sleep(0)
        if llm.dead.is_set():
            llm.errored = True
            raise EngineDeadError()
        return {"generations": [prompt]}


@pytest.fixture
def engine() -> Any:
    one = MortalEngine()
    one.open()
    yield one
    one.close()


def ask_all(engine: MortalEngine, prompts: list[str]) -> list[Any]:
    async def ask() -> list[Any]:
        requests = [engine.generate(GenerateRequest(prompt)) for prompt in prompts]
        return await asyncio.gather(*requests, return_exceptions=True)

    return engine.call(ask())


def test_a_request_that_kills_engines_costs_itself(engine: MortalEngine) -> None:
    prompts = [f"slow {n}" for n in range(6)]
    *answers, poisoned = ask_all(engine, [*prompts, "poison"])
    assert [answer["generations"][0] for answer in answers] == prompts
    assert isinstance(poisoned, GenerationError) and "died 3 times" in str(poisoned)
    assert engine.asked.count("poison") == 3
    assert engine.statistics is not None and engine.statistics.restarts == 3
    # It goes on, for as many more deaths as it has answers in between.
    assert all(isinstance(a, dict) for a in ask_all(engine, [f"fine {n}" for n in range(8)]))
    *answers, poisoned = ask_all(engine, [*prompts, "poison again"])
    assert [answer["generations"][0] for answer in answers] == prompts
    assert isinstance(poisoned, GenerationError)
    assert not engine.dead


def test_an_engine_that_dies_of_everything_is_given_up(engine: MortalEngine) -> None:
    outcomes = ask_all(engine, [f"poison {n}" for n in range(5)])
    kinds = {type(outcome) for outcome in outcomes}
    assert EngineError in kinds and kinds <= {EngineError, GenerationError}
    assert engine.dead
    (after,) = ask_all(engine, ["fine"])
    assert isinstance(after, EngineError)


def test_a_question_to_an_engine_that_has_died_ends() -> None:
    async def ask(errored: bool) -> str:
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        async def question() -> str:
            return await answer

        if not errored:
            asyncio.get_running_loop().call_later(0.3, answer.set_result, "yes")
        return await unless_dead(Mortal(errored=errored), question())

    assert asyncio.run(ask(errored=False)) == "yes"
    with pytest.raises(EngineDeadError):
        asyncio.run(ask(errored=True))
