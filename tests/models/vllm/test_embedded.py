"""`vLLM` with the real engine: answers, refusals, death, and what it leaves behind."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import psutil
import pydantic
import pytest
from apache_beam.ml.inference.base import RunInference
from apache_beam.testing.util import assert_that

from beam_distilabel.errors import (
    DistilabelUserError,
    EngineError,
    GenerationError,
    PromptTooLongError,
)
from beam_distilabel.models.engine import GenerateRequest
from beam_distilabel.models.vllm import vLLM
from beam_distilabel.models.vllm.embedded import VLLMEngine
from beam_distilabel.models.vllm.prompts import PromptRenderer

CHAT: Any = [{"role": "user", "content": "how many words does the fox need"}]


@pytest.fixture
def engine(tiny_llm: vLLM) -> Iterator[VLLMEngine]:
    engine = tiny_llm.load_model()
    assert isinstance(engine, VLLMEngine)
    yield engine
    engine.release()


def ask(engine: VLLMEngine, request: GenerateRequest) -> Any:
    return engine.call(engine.generate(request))


def texts(engine: VLLMEngine, seed: int | None, n: int = 1, **kwargs: Any) -> Any:
    return ask(engine, GenerateRequest(CHAT, n, {"max_new_tokens": 16, **kwargs}, seed))[
        "generations"
    ]


def test_answers_have_tokens_and_finish_reasons(tiny_llm: vLLM) -> None:
    (output,) = tiny_llm.generate_outputs(
        [CHAT], num_generations=2, max_new_tokens=7, extra_sampling_params={"ignore_eos": True}
    )
    assert len(output["generations"]) == 2
    assert output["statistics"]["output_tokens"] == [7, 7]
    assert output["finish_reasons"] == ["length", "length"]
    rendered = "<|user|>how many words does the fox need</s><|assistant|>"
    (raw,) = tiny_llm.generate_outputs([rendered], max_new_tokens=1)
    assert output["statistics"]["input_tokens"] == raw["statistics"]["input_tokens"]


def test_a_prompt_that_is_too_long_fails_alone(engine: VLLMEngine) -> None:
    long: Any = [{"role": "user", "content": "fox " * 2000}]

    async def answer_all() -> list[Any]:
        chats = [CHAT, long, CHAT]
        requests = [GenerateRequest(chat, 1, {"max_new_tokens": 4}) for chat in chats]
        return list(await asyncio.gather(*map(engine.generate, requests), return_exceptions=True))

    first, failure, last = engine.call(answer_all())
    assert first["generations"][0] is not None and last["generations"][0] is not None
    assert isinstance(failure, PromptTooLongError) and failure.kind == "too_long"
    # "fox " is "fox" and " " before the next, joined to " fox": 2,000 of them and the roles.
    length, limit = map(int, re.findall(r"\d+", str(failure)))
    assert limit == 1024 and 2000 <= length <= 4010


def test_the_answer_gets_what_the_context_has_left(tiny_llm: vLLM) -> None:
    chat: Any = [{"role": "user", "content": " fox" * 1000}]
    (output,) = tiny_llm.generate_outputs(
        [chat], max_new_tokens=500, extra_sampling_params={"ignore_eos": True}
    )
    statistics = output["statistics"]
    assert statistics["input_tokens"][0] > 1000
    assert statistics["output_tokens"][0] == 1024 - statistics["input_tokens"][0]
    assert output["finish_reasons"] == ["length"]


def test_seeds(engine: VLLMEngine) -> None:
    assert texts(engine, 7) == texts(engine, 7)
    assert texts(engine, 7) != texts(engine, 8)
    three = texts(engine, 7, n=3)
    assert len(set(three)) == 3
    assert three == texts(engine, 7, n=3)
    assert three[0] == texts(engine, 7)[0]
    assert texts(engine, None) != texts(engine, None)


def test_greedy_answers_are_alike_whatever_the_seed(engine: VLLMEngine) -> None:
    alike = texts(engine, 1, n=3, temperature=0.0) + texts(engine, 2, temperature=0.0)
    assert len(alike) == 4 and len(set(alike)) == 1


def test_echo_and_stop(engine: VLLMEngine) -> None:
    plain = texts(engine, 3)[0]
    (echoed,) = texts(engine, 3, echo=True)
    assert echoed == "<|user|>how many words does the fox need</s><|assistant|>" + plain
    stop = plain[3:6]
    assert texts(engine, 3, stop=[stop])[0] == plain[: plain.index(stop)]
    kept = texts(engine, 3, stop=stop, include_stop_str_in_output=True)[0]
    assert kept == plain[: plain.index(stop)] + stop


def test_logprobs(engine: VLLMEngine) -> None:
    output = ask(engine, GenerateRequest(CHAT, 2, {"max_new_tokens": 5, "logprobs": 3}, 1))
    for tokens, count in zip(
        output["logprobs"], output["statistics"]["output_tokens"], strict=True
    ):
        assert len(tokens) == count
        for candidates in tokens:
            # The sampled token is reported on top when it isn't among the likeliest.
            assert 3 <= len(candidates) <= 4
            assert all(candidate["logprob"] <= 0 for candidate in candidates)
            assert all(isinstance(candidate["token"], str) for candidate in candidates)


class Person(pydantic.BaseModel):
    age: int
    adult: bool


def test_structured_output(tiny_llm: vLLM, tiny_model_path: Path) -> None:
    (output,) = tiny_llm.generate_outputs([(CHAT, {"format": "regex", "schema": "[0-9]{5}"})])
    assert re.fullmatch("[0-9]{5}", output["generations"][0] or "")

    # Another structure needs no other engine.
    llm = tiny_llm.model_copy()
    llm.structured_output = {"format": "json", "schema": Person}
    assert llm.fingerprint() == tiny_llm.fingerprint() and llm.identity() != tiny_llm.identity()
    kwargs = llm.get_generation_kwargs()
    assert json.loads(json.dumps(kwargs)) == kwargs
    llm._engine = None
    llm.load()
    try:
        (output,) = llm.generate_outputs([CHAT], max_new_tokens=200, **kwargs)
    finally:
        llm.unload()
    if output["finish_reasons"] == ["stop"]:  # random weights may write endless numbers
        Person.model_validate_json(output["generations"][0] or "")
    assert re.match(r'\s*\{\s*"age"', output["generations"][0] or "")


@pytest.mark.parametrize(
    ("prompt", "kwargs", "kind", "message"),
    [
        ([{"role": "tool", "content": "x"}], {}, "render", "no role tool"),
        ([{"content": "x"}], {}, "render", "role"),
        (CHAT, {"top_p": 3.0}, "refused", "top_p"),
        ("", {}, "refused", "empty"),
        ((CHAT, {"format": "regex", "schema": "["}), {}, "refused", "no regular expression"),
    ],
)
def test_a_refused_request_fails_alone(
    engine: VLLMEngine, prompt: Any, kwargs: dict[str, Any], kind: str, message: str
) -> None:
    with pytest.raises(GenerationError, match=message) as failure:
        ask(engine, GenerateRequest(prompt, 1, kwargs))
    assert failure.value.kind == kind
    assert texts(engine, 1)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"max_new_token": 3}, "max_new_token.*Did you mean 'max_new_tokens'"),
        ({"max_new_tokens": "many"}, "max_new_tokens='many'"),
        ({"logits_processors": [min]}, "logits_processors"),
        ({"extra_sampling_params": {"ignore_eoss": True}}, "Did you mean 'ignore_eos'"),
        ({"extra_sampling_params": {"n": 2}}, "'n'"),
        ({"extra_sampling_params": {"temperature": 0}}, "'temperature'.*argument of its own"),
    ],
)
def test_wrong_generation_arguments(
    engine: VLLMEngine, kwargs: dict[str, Any], message: str
) -> None:
    with pytest.raises(DistilabelUserError, match=message):
        ask(engine, GenerateRequest(CHAT, 1, kwargs))


def test_generation_arguments_are_checked_without_an_engine() -> None:
    llm = vLLM(model="some/model", generation_kwargs={"temperature": -1.0})
    with pytest.raises(DistilabelUserError, match="temperature=-1.0"):
        llm.check_generation_kwargs()
    with pytest.raises(DistilabelUserError, match="load"):
        vLLM(model="some/model").generate_outputs([CHAT])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"use_magpie_template": True}, "magpie_pre_query_template"),
        ({"skip_tokenizer_init": True}, "skip_tokenizer_init"),
        ({"structured_output": {"format": "regex", "schema": 3}}, "structured_output"),
        ({"structured_output": {"format": "json"}}, "schema"),
        ({"structured_output": {"format": "grammar", "schema": "start: ("}}, "grammar.*parse"),
        ({"structured_output": {"format": "grammar", "schema": "start: nothing"}}, "nothing"),
    ],
)
def test_wrong_fields(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        vLLM(model="some/model", **fields)


def fails_to_start(error: type[Exception], message: str, **fields: Any) -> str:
    with pytest.raises(error, match=message) as failure:
        vLLM(**fields).load()
    return str(failure.value)


def test_wrong_engine_arguments(tiny_model_path: Path) -> None:
    model = str(tiny_model_path)
    fails_to_start(
        DistilabelUserError,
        "Did you mean 'max_model_len'",
        model=model,
        extra_kwargs={"max_model_length": 8},
    )
    fails_to_start(DistilabelUserError, "'seed'", model=model, extra_kwargs={"seed": 8})
    fails_to_start(EngineError, "/no/such/model", model="/no/such/model")
    fails_to_start(EngineError, "neither", model=model, chat_template="template.jinja")
    fails_to_start(EngineError, "line 1", model=model, chat_template="{% for %}")
    # vLLM's own text, from before its processes start.
    fails_to_start(EngineError, "4096", model=model, extra_kwargs={"max_model_len": 4096})


def test_an_engine_that_fails_in_its_own_process_says_why(
    tiny_model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "pipeline.log"
    monkeypatch.setenv("BEAM_DISTILABEL_ENGINE_LOG", str(log))
    children = set(psutil.Process().children(recursive=True))
    text = fails_to_start(
        EngineError,
        "memory for the cache blocks",
        model=str(tiny_model_path),
        extra_kwargs={"kv_cache_memory_bytes": 2**16},
    )
    assert str(tiny_model_path) in text
    assert "memory for the cache blocks" in log.read_text(encoding="utf-8")
    assert_no_engine_process_besides(children)


def test_an_engine_has_to_be_ready_in_time(
    tiny_model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BEAM_DISTILABEL_ENGINE_READY_SECONDS", "0.5")
    children = set(psutil.Process().children(recursive=True))
    fails_to_start(
        EngineError,
        "not ready after 0.5 s .BEAM_DISTILABEL_ENGINE_READY_SECONDS",
        model=str(tiny_model_path),
        extra_kwargs={"max_num_seqs": 3},
    )
    assert_no_engine_process_besides(children)


def test_an_engine_dies_with_its_host(tmp_path: Path) -> None:
    # The process stands for the engine's: started in the same way, by a host that is then killed.
    script = tmp_path / "host.py"
    script.write_text(
        "import os, sys, time\n"
        "from beam_distilabel.models.vllm.process import ProcessOutput\n"
        "code = 'import time; print(1, flush=True); time.sleep(600)'\n"
        "pid = ProcessOutput().spawn(sys.executable, [sys.executable, '-c', code], [])\n"
        "print(pid, flush=True)\n"
        "time.sleep(600)\n",
        encoding="utf-8",
    )
    with subprocess.Popen(
        [sys.executable, script],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as host:
        assert host.stdout is not None
        engine = psutil.Process(int(host.stdout.readline()))
        assert engine.is_running()
        host.kill()
    psutil.wait_procs([engine], timeout=30)
    assert not engine.is_running() or engine.status() == psutil.STATUS_ZOMBIE


def test_prompts(engine: VLLMEngine) -> None:
    def rendered(prompt: Any, template: str | None, pre_query: str | None) -> str:
        renderer, config = engine._llm.renderer, engine._llm.model_config
        prompts = PromptRenderer(renderer, config, template, pre_query)
        engine_input, length = engine.call(prompts.render(prompt))
        assert length == len(engine_input["prompt_token_ids"])
        return prompts.text(engine_input)

    system: Any = {"role": "system", "content": "be kind"}
    user: Any = {"role": "user", "content": "hi"}
    assert (
        rendered([system, user], None, None) == "<|system|>be kind</s><|user|>hi</s><|assistant|>"
    )
    assert rendered("as it is", None, None) == "as it is"
    # Magpie: the model writes the user's turn, where that is next.
    assert rendered([system], None, "<|user|>") == "<|system|>be kind</s><|user|>"
    assert rendered([], None, "<|user|>") == "<|user|>"
    assert rendered([], None, "qwen2") == "<|im_start|>user\n"
    assert rendered([user], None, "<|user|>") == "<|user|>hi</s><|assistant|>"
    template = "{{ messages[0]['content'] }}/{{ messages[1]['content'] }}"
    assert rendered([system, user], template, None) == "be kind/hi"


def assert_no_engine_process_besides(children: set[psutil.Process]) -> None:
    new = [
        process
        for process in set(psutil.Process().children(recursive=True)) - children
        if not any("resource_tracker" in part for part in process.cmdline())
    ]
    assert new == []


def test_another_chat_template_is_another_engine(tiny_model_path: Path) -> None:
    model = str(tiny_model_path)
    one, two = vLLM(model=model), vLLM(model=model, chat_template="{{ messages }}")
    assert one.fingerprint() != two.fingerprint()
    assert one.fingerprint() == vLLM(model=model, generation_kwargs={"top_k": 1}).fingerprint()


def test_in_plain_beam(tiny_llm: vLLM) -> None:
    prompts = [CHAT, "pack my box", [{"role": "user", "content": "fox " * 2000}]]

    def check(results: list[Any]) -> None:
        by_kind = {
            (result.inference.get("failure") or {}).get("kind"): result for result in results
        }
        assert len(results) == 3 and set(by_kind) == {None, "too_long"}
        for result in results:
            assert result.model_id == tiny_llm.model
            if result is not by_kind["too_long"]:
                assert result.inference["statistics"]["output_tokens"][0] > 0

    with beam.Pipeline() as pipeline:
        answers = pipeline | beam.Create(prompts, reshuffle=False) | RunInference(tiny_llm)
        assert_that(answers, check)


def test_a_model_without_chat_template(engine: VLLMEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    renderer = engine._llm.renderer
    monkeypatch.setattr(renderer.get_tokenizer(), "chat_template", None)
    prompts = PromptRenderer(renderer, engine._llm.model_config, None, None)
    with pytest.raises(EngineError, match=r"no chat template.*chat_template="):
        engine.call(prompts.render(CHAT))
    _, length = engine.call(prompts.render("pack my"))
    assert length > 0


def test_a_dead_engine_is_started_anew_and_leaves_its_host_as_it_was(engine: VLLMEngine) -> None:
    def host() -> list[Any]:
        handlers = list(logging.getLogger().handlers)
        interrupt = signal.getsignal(signal.SIGINT)
        return [dict(os.environ), logging.getLogRecordFactory(), handlers, interrupt]

    before, as_it_was = texts(engine, 5), host()
    processes = [psutil.Process(pid) for pid in engine.process_ids()]
    pending = engine.submit(
        engine.generate(
            GenerateRequest(
                CHAT,
                1,
                {"max_new_tokens": 900, "extra_sampling_params": {"ignore_eos": True}},
                5,
            )
        )
    )
    os.kill(processes[0].pid, signal.SIGKILL)
    assert pending.result()["statistics"]["output_tokens"] == [900]
    assert not {process.pid for process in processes} & set(engine.process_ids())
    assert not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in processes)
    assert texts(engine, 5) == before
    assert host() == as_it_was
