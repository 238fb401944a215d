"""Engines for LLMs that only define `generate` or `agenerate`."""

import asyncio
import sys
from typing import Any

import pytest
from pydantic import PrivateAttr

from beam_distilabel.errors import EngineError, GenerationError, PromptTooLongError
from beam_distilabel.models.base import LLM, AsyncLLM
from beam_distilabel.models.engine import GenerateRequest
from beam_distilabel.models.user_engine import (
    SyncLLMEngine,
    merge_outputs,
    normalized,
    run_coroutine,
)
from tests.fakes import PATIENCE_SECONDS, FakeLLM, SyncFakeLLM, journal, new_name


def answers(llm: LLM, *requests: GenerateRequest) -> list[Any]:
    """What the LLM's engine answers to requests that are made at once; errors as values."""
    engine = llm.make_engine()
    engine.open()

    async def ask() -> list[Any]:
        return await asyncio.gather(*map(engine.generate, requests), return_exceptions=True)

    try:
        return engine.call(ask())
    finally:
        engine.close()


def chats(*prompts: str, n: int = 1, **kwargs: Any) -> list[GenerateRequest]:
    return [GenerateRequest([{"role": "user", "content": p}], n, kwargs) for p in prompts]


def texts(outputs: list[Any]) -> list[Any]:
    return [o if isinstance(o, BaseException) else o["generations"] for o in outputs]


# ---------------------------------------------------------------------------------- one bad input


@pytest.mark.parametrize("make", [FakeLLM, SyncFakeLLM])
@pytest.mark.parametrize(
    ("prompt", "error", "message"),
    [
        ("[raise]", GenerationError, "ValueError: this prompt is refused"),
        ("[too long]", PromptTooLongError, "the prompt has 10 tokens"),
        ("[nothing]", GenerationError, "the LLM returned 'NoneType' for an input; expected a dict"),
        ("[no list]", GenerationError, "'generations' of type 'NoneType'"),
    ],
)
def test_one_bad_input_costs_one_answer(make: Any, prompt: str, error: type, message: str) -> None:
    found = texts(answers(make(tag=new_name()), *chats("a", prompt, "b")))
    assert [found[0], found[2]] == [["a"], ["b"]]
    assert type(found[1]) is error
    assert message in str(found[1])


@pytest.mark.parametrize("make", [FakeLLM, SyncFakeLLM])
def test_forms_of_answers(make: Any) -> None:
    requests = chats("a", "[list]", "[few]", "[none]", n=2)
    assert texts(answers(make(tag=new_name()), *requests)) == [
        ["a", "a"],
        ["[list]", "[list]"],
        [None, None],  # none for a generation that is missing
        [None, None],
    ]


# ---------------------------------------------------------------------------------- batches


def test_a_batch_with_an_output_too_few_is_asked_one_by_one() -> None:
    tag = new_name()
    found = texts(answers(SyncFakeLLM(tag=tag), *chats("a", "[one too few]", "b")))
    assert [found[0], found[2]] == [["a"], ["b"]]
    assert "SyncFakeLLM.generate returned 0 outputs for 1 inputs" in str(found[1])
    assert journal(f"{tag}/batches").events == [3, 1, 1, 1]


def test_requests_that_came_together_are_a_batch() -> None:
    tag = new_name()
    answers(SyncFakeLLM(tag=tag), *chats(*map(str, range(50))))
    assert sum(journal(f"{tag}/batches").events) == 50
    assert max(journal(f"{tag}/batches").events) > 1


def test_one_bad_output_is_no_reason_to_ask_the_others_again() -> None:
    tag = new_name()
    answers(SyncFakeLLM(tag=tag), *chats("a", "[nothing]", "b"))
    assert sum(journal(f"{tag}/batches").events) == 3


def test_requests_with_other_arguments_are_another_batch() -> None:
    class Shows(LLM):
        @property
        def model_name(self) -> str:
            return "shows"

        def generate(  # type: ignore[override]
            self, inputs: list[Any], num_generations: int = 1, top_k: int = 0
        ) -> list[Any]:
            return [{"generations": [f"{top_k}"] * num_generations} for _ in inputs]

    requests = [*chats("a", top_k=1), *chats("b", top_k=2), *chats("c", n=2)]
    assert texts(answers(Shows(), *requests)) == [["1"], ["2"], ["0", "0"]]


@pytest.mark.parametrize("make", [FakeLLM, SyncFakeLLM])
@pytest.mark.parametrize(("prompt", "error"), [("[exit]", "SystemExit"), ("[cancel]", "Cancelled")])
def test_code_that_ends_more_than_a_request_ends_one_request(
    make: Any, prompt: str, error: str
) -> None:
    """Or the engine would be waited for forever."""
    found = texts(answers(make(tag=new_name()), *chats("a", prompt, "b")))
    assert [found[0], found[2]] == [["a"], ["b"]]
    assert type(found[1]) is GenerationError and error in str(found[1])


@pytest.mark.parametrize("error", [SystemExit, asyncio.CancelledError])
def test_one_of_several_calls_that_ends_more_than_a_request(error: type[BaseException]) -> None:
    class Ends(OneAtATime):
        async def agenerate(self, input: Any) -> Any:  # type: ignore[override]
            if "[end]" in input[-1]["content"]:
                raise error
            return ["fine"]

    found = texts(answers(Ends(tag=new_name()), *chats("a", "[end]", n=2)))
    assert found[0] == ["fine", "fine"]
    assert type(found[1]) is GenerationError and error.__name__ in str(found[1])


def test_a_request_that_is_cancelled_is_no_failed_request() -> None:
    class Waits(FakeLLM):
        async def agenerate(self, input: Any, num_generations: int = 1) -> Any:  # type: ignore[override]
            started.set()
            await asyncio.Event().wait()

    engine = Waits(tag=new_name()).make_engine()
    engine.open()
    started = asyncio.Event()

    async def cancel() -> list[Any]:
        task = asyncio.ensure_future(engine.generate(chats("a")[0]))
        await started.wait()
        task.cancel()
        return await asyncio.gather(task, return_exceptions=True)

    try:
        [error] = engine.call(cancel())
    finally:
        engine.close()
    if sys.version_info >= (3, 11):  # older ones can't tell who cancelled
        assert type(error) is asyncio.CancelledError


@pytest.mark.parametrize("error", [SystemExit, asyncio.CancelledError])
@pytest.mark.parametrize("base", [FakeLLM, SyncFakeLLM])
def test_a_load_that_ends_more_than_itself(base: Any, error: type[BaseException]) -> None:
    class Ends(base):  # type: ignore[misc]
        def load(self) -> None:
            raise error

    with pytest.raises(EngineError, match=f"load\\(\\) failed: {error.__name__}"):
        answers(Ends())


@pytest.mark.parametrize(
    ("returned", "kind"), [(None, "NoneType"), ({"generations": ["a"]}, "dict"), ("a", "str")]
)
def test_a_batch_that_gets_no_list(returned: Any, kind: str) -> None:
    class Wrong(SyncFakeLLM):
        def generate(self, inputs: list[Any], num_generations: int = 1) -> Any:  # type: ignore[override]
            return returned

    for error in answers(Wrong(tag=new_name()), *chats("a", "b")):
        assert type(error) is GenerationError
        assert f"Wrong.generate returned '{kind}'; it has to return a list" in str(error)


def test_nobody_waits_for_an_engine_that_has_ended() -> None:
    class Broken(SyncLLMEngine):
        def _answer(self, requests: Any) -> Any:
            raise OSError("no more threads")

    engine = Broken(SyncFakeLLM(tag=new_name()))
    engine.open()

    async def ask() -> list[Any]:
        first = await asyncio.gather(
            *map(engine.generate, chats("a", "b", n=2)), return_exceptions=True
        )
        return [*first, *await asyncio.gather(engine.generate(*chats("c")), return_exceptions=True)]

    try:
        errors = engine.call(ask())
    finally:
        engine.close()
    for error in errors:
        assert type(error) is EngineError
        assert str(error) == "SyncFakeLLM answers no more: OSError: no more threads"


def test_nobody_waits_for_an_engine_that_was_stopped() -> None:
    class Blocks(SyncFakeLLM):
        def generate(self, inputs: list[Any], num_generations: int = 1) -> Any:  # type: ignore[override]
            journal(self.tag).released.wait(PATIENCE_SECONDS)
            return [["a"]] * len(inputs)

    tag = new_name()
    engine = Blocks(tag=tag).make_engine()
    engine.open()

    async def stop() -> list[Any]:
        waiting = asyncio.gather(*map(engine.generate, chats("a", "b")), return_exceptions=True)
        await asyncio.sleep(0)  # lets the requests be made
        await engine.stop()
        return await waiting

    try:
        errors = engine.call(stop())
    finally:
        journal(tag).released.set()
        engine.close()
    assert [str(error) for error in errors] == [
        "Blocks answers no more: the engine was stopped"
    ] * 2


# ---------------------------------------------------------------------------------- generations


class OneAtATime(AsyncLLM):
    """Takes no `num_generations`."""

    tag: str = "one"

    _num_generations_param_supported: bool = PrivateAttr(False)

    @property
    def model_name(self) -> str:
        return self.tag

    async def agenerate(self, input: Any, prefix: str = "") -> Any:  # type: ignore[override]
        nth = journal(self.tag).add("call")
        if "[none]" in input[-1]["content"] and nth == 2:
            return None
        if "[list]" in input[-1]["content"]:
            return [f"{prefix}{nth}"]
        return {
            "generations": [f"{prefix}{nth}"],
            "statistics": {"input_tokens": [7], "output_tokens": [nth]},
            "finish_reasons": ["stop"],
            "logprobs": [[nth]],
            "provider": "p",
        }


def test_generations_of_an_llm_that_gives_one_at_a_time() -> None:
    llm = OneAtATime(tag=new_name(), generation_kwargs={"prefix": "x"})
    [output] = answers(llm, *chats("a", n=3, prefix="x"))
    assert output == {
        "generations": ["x1", "x2", "x3"],
        "statistics": {"input_tokens": [7, 7, 7], "output_tokens": [1, 2, 3]},
        "finish_reasons": ["stop"] * 3,
        "logprobs": [[1], [2], [3]],
        "provider": "p",
    }
    outside = OneAtATime(tag=new_name())
    [output] = outside.generate_outputs([[{"role": "user", "content": "a"}]], num_generations=2)
    assert output["generations"] == ["1", "2"]


def test_bad_answers_of_an_llm_that_gives_one_at_a_time() -> None:
    assert texts(answers(OneAtATime(tag=new_name()), *chats("[list]", n=2))) == [["1", "2"]]
    [error] = answers(OneAtATime(tag=new_name()), *chats("[none]", n=3))
    assert "returned 'NoneType'" in str(error)


def test_merging() -> None:
    assert merge_outputs([{"generations": ["a"]}]) == {"generations": ["a"]}
    merged = merge_outputs(
        [
            {"generations": ["a"], "statistics": {"output_tokens": [1]}},
            {"generations": ["b"], "statistics": {"output_tokens": [2]}, "logprobs": [1]},
        ]
    )
    assert merged == {
        "generations": ["a", "b"],
        "statistics": {"output_tokens": [1, 2]},
        "logprobs": [1],
    }


def test_normalized_leaves_a_whole_answer_as_it_is() -> None:
    output = {"generations": ["a", None], "statistics": {}}
    assert normalized(output, 2) is output
    assert normalized(["a"], 1) == {"generations": ["a"], "statistics": {}}
    with pytest.raises(GenerationError, match="'str' for an input"):
        normalized("text", 1)


# ---------------------------------------------------------------------------------- life


def test_the_callers_llm_stays_as_it_is() -> None:
    class Client(FakeLLM):
        _client: Any = PrivateAttr(None)

        def load(self) -> None:
            super().load()
            self._client = object()

        async def agenerate(self, input: Any, num_generations: int = 1) -> Any:  # type: ignore[override]
            assert self._client is not None
            return {"generations": ["fine"]}

    llm = Client(tag=new_name())
    assert texts(answers(llm, *chats("a"))) == [["fine"]]
    assert llm._client is None
    assert journal(f"{llm.tag}/life").events == ["load", "unload"]


def test_errors_of_load_keep_their_text() -> None:
    class Own(FakeLLM):
        def load(self) -> None:
            raise EngineError("12 GiB are needed, 8 are free")

    with pytest.raises(EngineError, match="^12 GiB are needed, 8 are free$"):
        answers(Own())


def test_coroutines_run_to_their_end_with_and_without_a_running_loop() -> None:
    async def nested() -> int:
        return run_coroutine(lambda: asyncio.sleep(0, 7))

    async def fails() -> None:
        raise KeyError("inner")

    assert run_coroutine(lambda: asyncio.sleep(0, 7)) == 7
    assert asyncio.run(nested()) == 7

    async def nested_failure() -> None:
        run_coroutine(fails)

    with pytest.raises(KeyError, match="inner"):
        asyncio.run(nested_failure())
