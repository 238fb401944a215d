"""`BatchEngine`: sizes of batches, failures, and what it leaves behind."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from beam_distilabel.errors import DistilabelError, EngineError, GenerationError
from beam_distilabel.models.engine import GenerateRequest
from beam_distilabel.models.local.engine import BatchEngine


class Shout:
    """Answers in upper case; the first batch waits for `go`."""

    description = "shout 1"
    batch_size = 4

    def __init__(self) -> None:
        self.go = threading.Event()
        self.begun = threading.Event()
        self.batches: list[list[Any]] = []
        self.threads = {threading.current_thread().name}
        self.closed = False

    def answer(self, requests: Sequence[GenerateRequest]) -> list[Any]:
        self.begun.set()
        self.go.wait(30)
        self.threads.add(threading.current_thread().name)
        texts = [request.input for request in requests]
        self.batches.append(texts)
        if "break" in texts:
            raise ValueError("broken")
        answers: list[Any] = []
        for text in texts:
            if text == "long":
                answers.append(GenerationError("too much", "too_long"))
            else:
                answers.append({"generations": [str(text).upper()]})
        return answers

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def engine() -> Iterator[BatchEngine]:
    made = BatchEngine("Shout", Shout, 4)
    made.open()
    yield made
    made.close()


def backend_of(engine: BatchEngine) -> Shout:
    assert isinstance(engine._backend, Shout)
    return engine._backend


def answers(engine: BatchEngine, *requests: GenerateRequest) -> list[Any]:
    """All answers; the requests after the first one wait while that is under way."""
    backend = backend_of(engine)

    async def ask() -> list[Any]:
        tasks = [asyncio.ensure_future(engine.generate(requests[0]))]
        await asyncio.to_thread(backend.begun.wait, 30)
        tasks += [asyncio.ensure_future(engine.generate(request)) for request in requests[1:]]
        await asyncio.sleep(0)
        backend.go.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        return [
            result if isinstance(result, BaseException) else result["generations"][0]
            for result in results
        ]

    return engine.call(ask())


def test_batches_are_bounded_and_of_equal_arguments(engine: BatchEngine) -> None:
    hot: dict[str, Any] = {"temperature": 1}
    requests = [
        GenerateRequest("a"),
        *(GenerateRequest(text, 1, hot if text in "ce" else {}) for text in "bcdefgh"),
        GenerateRequest("many", 3),
        GenerateRequest("more", 3),
    ]
    got = answers(engine, *requests)
    assert got == [*"ABCDEFGH", "MANY", "MORE"]
    backend = backend_of(engine)
    assert backend.batches[:3] == [["a"], ["b", "d", "f", "g"], ["c", "e"]]
    assert backend.batches[3:] == [["h", "many"], ["more"]]
    assert len(backend.threads) == 1
    assert engine.max_in_flight == 16 and engine.description == "shout 1"


def test_one_bad_input_costs_one_row(engine: BatchEngine) -> None:
    got = answers(engine, *map(GenerateRequest, ["a", "long", "break", "b"]))
    assert [got[0], got[3]] == ["A", "B"]
    assert isinstance(got[1], GenerationError) and got[1].kind == "too_long"
    assert isinstance(got[2], GenerationError) and "ValueError: broken" in str(got[2])


def test_who_waits_when_it_is_closed_is_told() -> None:
    engine = BatchEngine("Shout", Shout, 4)
    engine.open()
    backend = backend_of(engine)
    under_way = engine.submit(engine.generate(GenerateRequest("a")))
    assert backend.begun.wait(30)
    waiting = engine.submit(engine.generate(GenerateRequest("b")))
    engine.call(asyncio.sleep(0))
    closing = threading.Thread(target=engine.close)
    closing.start()
    for future in (under_way, waiting):
        with pytest.raises(EngineError, match="answers no more"):
            future.result(30)
    backend.go.set()
    closing.join(30)
    assert backend.closed


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (ValueError("no weights"), EngineError, "Shout can't start: ValueError: no weights"),
        (GenerationError("as it is"), DistilabelError, "as it is"),
    ],
)
def test_why_it_cannot_start(error: Exception, kind: type[Exception], message: str) -> None:
    def fail() -> Any:
        raise error

    with pytest.raises(kind, match=message):
        BatchEngine("Shout", fail, 1).open()
