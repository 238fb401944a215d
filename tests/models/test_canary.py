"""The canary: engines that follow structures, that ignore them, and that can't tell."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from beam_distilabel.errors import EngineError, GenerationError
from beam_distilabel.models.answer_schema import answer_schema
from beam_distilabel.models.canary import Canary
from beam_distilabel.models.engine import Engine, GenerateRequest
from beam_distilabel.typing import GenerateOutput


class Scripted(Engine):
    """Answers structures with `answer`, and counts.

    Args:
        answer: from the structure to the answer, or an output.
    """

    def __init__(self, answer: Callable[[dict[str, Any]], Any]) -> None:
        super().__init__()
        self._answer = answer
        self.asked = 0

    async def generate(self, request: GenerateRequest) -> GenerateOutput:
        _, structure = request.input
        self.asked += 1
        await asyncio.sleep(0)
        answer = self._answer(structure)  # type: ignore[arg-type]
        if not isinstance(answer, str):
            return answer
        schema = answer_schema(structure)
        assert schema is not None
        problem = schema.problem(answer)
        if problem is None:
            return {"generations": [answer], "finish_reasons": ["stop"]}
        failure = {"kind": "schema", "message": problem, "attempts": 1, "raw_output": answer}
        return {"generations": [None], "failures": [failure], "finish_reasons": ["stop"]}


def obeys(structure: dict[str, Any]) -> str:
    if structure["format"] == "choice":
        return str(structure["schema"][0])
    (name,) = structure["schema"]["required"]
    return json.dumps({name: structure["schema"]["properties"][name]["enum"][0]}, indent=2)


@pytest.mark.parametrize("formats", [("json",), ("json", "choice")])
def test_an_engine_that_follows_is_asked_once_per_life(formats: tuple[str, ...]) -> None:
    engine, canary = Scripted(obeys), Canary(formats)

    async def lives() -> None:
        for life, asked in [(1, 1), (1, 1), (2, 2)]:
            await asyncio.gather(*(canary.prove(engine.generate, "e", life) for _ in range(5)))
            assert engine.asked == asked and canary.proven(life)

    assert not canary.proven(1)
    asyncio.run(lives())


@pytest.mark.parametrize("formats", [("json",), ("json", "choice")])
@pytest.mark.parametrize("answer", ["Hello!", "", '{"word": "hello"}', "Sure! {}"])
def test_an_engine_that_ignores_is_caught(formats: tuple[str, ...], answer: str) -> None:
    engine, canary = Scripted(lambda _: answer), Canary(formats)
    for asked in (1, 2):
        with pytest.raises(EngineError, match="vllm 1.2 ignores structured output: asked.*Use an"):
            asyncio.run(canary.prove(engine.generate, "vllm 1.2"))
        assert engine.asked == asked and not canary.proven()


def test_an_engine_that_takes_no_structure_says_so() -> None:
    def refuses(_: Any) -> Any:
        raise GenerationError("unknown field 'structured_outputs'", "refused")

    with pytest.raises(EngineError, match="e takes no structured output: unknown field"):
        asyncio.run(Canary().prove(Scripted(refuses).generate, "e"))


def test_a_canary_that_was_lost_says_nothing() -> None:
    answers = iter([GenerationError("slow", "timeout")])

    def slow_first(structure: dict[str, Any]) -> str:
        for error in answers:
            raise error
        return obeys(structure)

    canary, engine = Canary(), Scripted(slow_first)
    with pytest.raises(GenerationError, match="slow"):
        asyncio.run(canary.prove(engine.generate, "e"))
    asyncio.run(canary.prove(engine.generate, "e"))
    assert canary.proven() and engine.asked == 2


def test_an_answer_cut_in_reasoning_does_not_tell(caplog: pytest.LogCaptureFixture) -> None:
    output = {"generations": [None], "finish_reasons": ["length"], "reasoning": ["Let me think"]}
    canary = Canary()
    asyncio.run(canary.prove(Scripted(lambda _: output).generate, "e"))
    assert canary.proven() and "could not be told" in caplog.text
