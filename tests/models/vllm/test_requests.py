"""What goes with a request: LoRA adapters, reasoning, stop tokens, many turns, Magpie."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from beam_distilabel.errors import DistilabelUserError, EngineError
from beam_distilabel.metadata import METADATA
from beam_distilabel.models.engine import GenerateRequest
from beam_distilabel.models.vllm import vLLM
from beam_distilabel.models.vllm.embedded import VLLMEngine
from beam_distilabel.models.vllm.reasoning import ReasoningSplitter
from beam_distilabel.steps.tasks import ChatGeneration, TextGeneration
from tests.fakes import run, run_with_failures
from tests.tiny_model import make_lora, make_tiny_model

CHAT: Any = [{"role": "user", "content": "fox"}]
GREEDY = {"max_new_tokens": 12, "temperature": 0.0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that can think, and adapters for it."""
    folder = tmp_path_factory.mktemp("adapters")
    make_tiny_model(folder / "model", added_tokens=["<think>", "</think>"])
    make_lora(folder / "one", seed=1)
    make_lora(folder / "two", seed=2)
    make_lora(folder / "large", seed=3, rank=32)
    return folder


@pytest.fixture(scope="module")
def llm(folder: Path) -> Iterator[vLLM]:
    llm = vLLM(
        model=str(folder / "model"),
        use_magpie_template=True,
        magpie_pre_query_template="<|user|>",
        extra_kwargs={
            "max_num_seqs": 16,
            "enable_lora": True,
            "max_lora_rank": 8,
            "max_loras": 2,
            "reasoning_parser": "deepseek_r1",
        },
    )
    llm.load()
    yield llm
    llm.unload()


@pytest.fixture
def engine(llm: vLLM) -> Iterator[VLLMEngine]:
    engine = llm.load_model()
    assert isinstance(engine, VLLMEngine)
    yield engine
    engine.release()


def ask(engine: VLLMEngine, input: Any, n: int = 1, **kwargs: Any) -> Any:
    return engine.call(engine.generate(GenerateRequest(input, n, kwargs, 1)))


def likely(engine: VLLMEngine, token: str) -> dict[str, Any]:
    """Arguments with which the model begins with `token`."""
    (number,) = engine._llm.renderer.get_tokenizer().encode(token, add_special_tokens=False)
    return {"extra_sampling_params": {"logit_bias": {number: 100.0}}}


def with_kwargs(llm: vLLM, **kwargs: Any) -> vLLM:
    copied = llm.copied()
    copied.generation_kwargs = kwargs
    return copied


# ------------------------------------------------------------------------------------- LoRA


def test_tasks_use_adapters_of_their_own_on_one_engine(llm: vLLM, folder: Path) -> None:
    adapters = [None, str(folder / "one"), str(folder / "two")]
    llms = [with_kwargs(llm, lora=lora, **GREEDY) for lora in adapters]
    assert len({one.fingerprint() for one in llms}) == 1
    said = []
    for one in llms:
        rows = run([{"instruction": "fox"}] * 3, TextGeneration(name="ask", llm=one))
        (text,) = {row[METADATA]["reasoning_ask"] for row in rows}
        said.append(text)
    assert len(set(said)) == 3 and None not in said


def test_adapters_and_none_at_once(engine: VLLMEngine, folder: Path) -> None:
    adapters = [None, str(folder / "one"), str(folder / "two")]
    alone = [ask(engine, CHAT, lora=lora, **GREEDY)["reasoning"] for lora in adapters]
    assert len({str(text) for text in alone}) == 3

    async def ask_all() -> list[Any]:
        kwargs = [{"lora": lora, **GREEDY} for lora in adapters * 4]
        requests = [engine.generate(GenerateRequest(CHAT, 1, one, 1)) for one in kwargs]
        return [output["reasoning"] for output in await asyncio.gather(*requests)]

    assert engine.call(ask_all()) == alone * 4


@pytest.mark.parametrize(
    ("lora", "message"), [("large", "rank 32.*max_lora_rank 8"), ("none", "no such folder")]
)
def test_a_wrong_adapter_is_told_and_the_engine_lives(
    engine: VLLMEngine, folder: Path, lora: str, message: str
) -> None:
    processes = engine.process_ids()
    with pytest.raises(EngineError, match=f"LoRA adapter.*{lora}.*{message}"):
        ask(engine, CHAT, lora=str(folder / lora), **GREEDY)
    assert ask(engine, CHAT, lora=str(folder / "one"), **GREEDY)["reasoning"][0]
    assert engine.process_ids() == processes


def test_an_adapter_needs_an_engine_for_it() -> None:
    llm = vLLM(model="some/model", generation_kwargs={"lora": "some/adapter"})
    with pytest.raises(DistilabelUserError, match="lora='some/adapter'.*'enable_lora': True"):
        llm.check_generation_kwargs()
    llm.extra_kwargs = {"enable_lora": True}
    llm.check_generation_kwargs()


# -------------------------------------------------------------------------------- reasoning


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<think>so</think>yes", ("so", "yes")),
        ("so</think>yes", ("so", "yes")),
        ("</think>yes", (None, "yes")),
        ("<think>so", ("so", None)),
        ("<think>so</think>", ("so", None)),
    ],
)
def test_reasoning_is_told_apart(engine: VLLMEngine, text: str, expected: Any) -> None:
    assert engine._reasoning is not None
    assert engine._reasoning.split(text) == expected


def test_an_unknown_parser(engine: VLLMEngine) -> None:
    with pytest.raises(DistilabelUserError, match="Did you mean 'qwen3'"):
        ReasoningSplitter("qwen33", engine._llm.renderer.get_tokenizer(), None)


def test_reasoning_goes_into_the_metadata(llm: vLLM, engine: VLLMEngine) -> None:
    kwargs = {"max_new_tokens": 5, "extra_sampling_params": {"ignore_eos": True}}
    step = TextGeneration(name="ask", llm=with_kwargs(llm, **kwargs))
    (row,), (failure,) = run_with_failures([{"instruction": "fox"}], step)
    assert row["generation"] is None and row[METADATA]["reasoning_ask"]
    assert failure.kind == "parse" and "still reasoning" in failure.message
    assert failure.raw_output == row[METADATA]["reasoning_ask"]

    kwargs = {
        "max_new_tokens": 8,
        "structured_output": {"format": "choice", "schema": ["yes"]},
        **likely(engine, "</think>"),
    }
    step = TextGeneration(
        name="ask", llm=with_kwargs(llm, **kwargs), num_generations=2, group_generations=True
    )
    (row,) = run([{"instruction": "fox"}], step)
    assert row["generation"] == ["yes", "yes"]
    assert row[METADATA]["reasoning_ask"] == [None, None]


def test_a_structure_holds_for_what_follows_the_reasoning(engine: VLLMEngine) -> None:
    structure = {"format": "choice", "schema": ["yes", "no"]}
    output = ask(engine, (CHAT, structure), 4, max_new_tokens=8, **likely(engine, "</think>"))
    assert set(output["generations"]) <= {"yes", "no"} and "failures" not in output
    # The canary, too, gets by a model that thinks for long.
    assert engine._canary.proven(1)


# ----------------------------------------------------------------------------- other things


@pytest.fixture
def tiny(tiny_llm: vLLM) -> Iterator[VLLMEngine]:
    engine = tiny_llm.load_model()
    assert isinstance(engine, VLLMEngine)
    yield engine
    engine.release()


def test_stop_tokens(tiny: VLLMEngine) -> None:
    kwargs: dict[str, Any] = {
        "max_new_tokens": 20,
        "temperature": 0.0,
        "extra_sampling_params": {"ignore_eos": True},
    }
    (positions,) = ask(tiny, CHAT, **kwargs, logprobs=1)["logprobs"]
    said = [position[0]["token"] for position in positions]
    word = next(text for text in said[1:] if text.strip().isascii() and text != said[0])
    tokenizer = tiny._llm.renderer.get_tokenizer()
    tokens = [i for i in range(len(tokenizer)) if tokenizer.decode([i]) == word]
    output = ask(tiny, CHAT, **kwargs, stop_token_ids=tokens)
    assert output["finish_reasons"] == ["stop"]
    assert output["statistics"]["output_tokens"] == [said.index(word) + 1]


def test_penalties_and_cuts_reach_the_engine(tiny: VLLMEngine) -> None:
    endless = {"max_new_tokens": 30, "extra_sampling_params": {"ignore_eos": True}}
    greedy = ask(tiny, CHAT, temperature=0.0, **endless)["generations"]
    for cut in ({"top_k": 1}, {"min_p": 1.0}, {"top_p": 1e-6}):
        assert ask(tiny, CHAT, **cut, **endless)["generations"] == greedy
    for penalty in ("presence_penalty", "frequency_penalty", "repetition_penalty"):
        other = ask(tiny, CHAT, temperature=0.0, **{penalty: 2.0}, **endless)["generations"]
        assert other != greedy


def test_many_turns(tiny_llm: vLLM, tiny: VLLMEngine) -> None:
    turns: list[Any] = [
        {"role": "system", "content": "be kind"},
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "hello"},
        {"role": "user", "content": "who?"},
    ]
    llm = with_kwargs(tiny_llm, max_new_tokens=3, echo=True)
    (row,) = run([{"messages": turns}], ChatGeneration(name="ask", llm=llm))
    rendered = (
        "<|system|>be kind</s><|user|>hi</s><|assistant|>hello</s><|user|>who?</s><|assistant|>"
    )
    assert row["generation"].startswith(rendered)
    # Text in parts goes the way of images, to the same prompt.
    parts = [{**turn, "content": [{"type": "text", "text": turn["content"]}]} for turn in turns]
    (inputs,) = ask(tiny, parts, max_new_tokens=3)["statistics"]["input_tokens"]
    assert inputs == ask(tiny, turns, max_new_tokens=3)["statistics"]["input_tokens"][0]


def test_magpie(engine: VLLMEngine) -> None:
    """Where the user's turn is next, the model is made to write it."""
    kwargs = {"max_new_tokens": 40, "echo": True, **likely(engine, "</think>")}
    for chat, expected in [
        ([{"role": "system", "content": "be kind"}], "<|system|>be kind</s><|user|>"),
        ([], "<|user|>"),
        (CHAT, "<|user|>fox</s><|assistant|>"),
        ([*CHAT, {"role": "assistant", "content": "a"}], "</s><|assistant|>a</s><|user|>"),
    ]:
        # What follows is what the model wrote after "</think>".
        (text,) = ask(engine, (chat, {"format": "choice", "schema": ["!"]}), **kwargs)[
            "generations"
        ]
        assert text.endswith(f"{expected}!")
