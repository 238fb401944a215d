"""What holds for the LLMs of all providers: each one's real SDK against its protocol."""

from __future__ import annotations

import asyncio
import json
import logging
import pickle
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from beam_distilabel.errors import DistilabelUserError, EngineError, GenerationError
from beam_distilabel.models.engine import GenerateRequest
from beam_distilabel.pipeline import Pipeline
from beam_distilabel.steps.tasks import TextGeneration
from tests.fakes import no_engine_is_left  # noqa: F401
from tests.json_server import Answer, JsonServer
from tests.openai_server import Chaos, Fault, OpenAIServer
from tests.pipeline.running import columns, failures_of, rows_of
from tests.provider_servers import Provider
from tests.provider_servers.fixtures import provider, server  # noqa: F401

pytestmark = pytest.mark.usefixtures("no_engine_is_left")

TROUBLES = ("rate_limit", "error", "slow", "drop", "malformed")
IMAGE = "data:image/png;base64,aGVsbG8="


class Person(BaseModel):
    name: str
    age: int


def chats(*prompts: str) -> list[Any]:
    return [[{"role": "user", "content": prompt}] for prompt in prompts]


def ask(llm: Any, inputs: list[Any], n: int = 1, **kwargs: Any) -> list[Any]:
    """What a loaded LLM answers outside of a pipeline, with its generation arguments."""
    llm.load()
    try:
        given = {**llm.get_generation_kwargs(), **kwargs}
        return llm.generate_outputs(inputs, num_generations=n, **given)
    finally:
        llm.unload()


def through_engine(llm: Any, inputs: list[Any]) -> list[Any]:
    """What its engine answers to requests made at once; errors as values."""
    engine = llm.load_model()
    try:
        requests = [GenerateRequest(one, 1, llm.get_generation_kwargs()) for one in inputs]

        async def all_of_them() -> list[Any]:
            return await asyncio.gather(*map(engine.generate, requests), return_exceptions=True)

        return engine.call(all_of_them())
    finally:
        engine.release()


def test_an_answer_has_text_tokens_and_reason(provider: Provider, server: OpenAIServer) -> None:  # noqa: F811
    llm = provider.make(server)
    whole, cut = (
        ask(llm, chats("one two"))[0],
        ask(llm, chats("one two"), **{provider.length: 2})[0],
    )
    assert whole == {
        "generations": ["answer to one two"],
        "statistics": {"input_tokens": [2], "output_tokens": [4]},
        "finish_reasons": ["stop"],
    }
    assert (cut["generations"], cut["finish_reasons"]) == (["answer to"], ["length"])
    assert cut["statistics"]["output_tokens"] == [2]


def test_a_third_fails_and_every_row_is_done(provider: Provider, server: OpenAIServer) -> None:  # noqa: F811
    """429, 500, timeouts, lost connections and broken answers for a third of the requests."""
    llm = provider.make(server, max_concurrency=8, timeout=2.0)
    ask(provider.make(server), chats("warm up"))  # the first request imports half of the SDK
    server.received.clear()
    server.charged.clear()
    server.delivered.clear()
    # With this seed no prompt fails more often than it is tried.
    server.chaos = Chaos(seed=32, share=1 / 3, kinds=TROUBLES)
    server.latency = 0.01
    outputs = through_engine(llm, chats(*(f"question {i}" for i in range(80))))
    assert [output["generations"] for output in outputs] == [
        [f"answer to question {i}"] for i in range(80)
    ]
    failed = sum(server.fired.values())
    assert set(server.fired) == set(TROUBLES)
    assert 0.28 <= failed / len(server.received) <= 0.4
    # Nobody paid twice, and the SDK made no attempts of its own.
    assert server.charged == server.delivered == {f"question {i}": 1 for i in range(80)}
    assert len(server.received) == 80 + failed
    assert 4 <= server.peak <= 8


def test_retry_after_holds_back_the_endpoint(provider: Provider, server: OpenAIServer) -> None:  # noqa: F811
    server.faults.append(Fault("rate_limit", retry_after="0.4"))
    engine = provider.make(server).load_model()
    try:
        request = GenerateRequest(chats("a")[0], 1, provider.arguments(server))
        assert engine.call(engine.generate(request))["generations"] == ["answer to a"]
        assert 0.4 <= engine.throttled_seconds <= 1.5
    finally:
        engine.release()
    first, second = server.received
    assert 0.4 <= second.at - first.at <= 1.5


def test_a_refused_row_costs_that_row(
    provider: Provider,  # noqa: F811
    server: OpenAIServer,  # noqa: F811
    tmp_path: Path,
) -> None:
    server.faults += [
        Fault("status", "odd", times=None, status=400, message="This can't be."),
        Fault("too_long", "long", times=None),
        Fault("refusal", "refusing", times=None),
    ]
    kinds = {"odd": "refused", "long": "too_long"}
    if provider.refuses:
        kinds["refusing"] = "refused"
    with Pipeline("bad") as pipeline:
        TextGeneration(llm=provider.make(server, max_retries=1), name="ask")
    rows = [{"instruction": name} for name in ("fine", *kinds)]
    distiset = pipeline.run(dataset=rows, output_dir=tmp_path)
    generations = columns(rows_of(distiset), "generation")
    assert generations == [("answer to fine",), *[(None,)] * len(kinds)]
    failures = {row["row"]["instruction"]: row["kind"] for row in failures_of(tmp_path)}
    assert failures == kinds
    assert len(server.received) == len(rows)


@pytest.mark.parametrize(
    ("fault", "key", "message"),
    [
        (None, "sk-a-wrong-key-of-mine", r"\(401\): "),
        (Fault("status", times=None, status=404, message="no model 'huge'"), "", "no model 'huge'"),
        (Fault("no_credit", times=None, retry_after=None), "", "credit|quota"),
    ],
)
def test_an_endpoint_that_can_answer_nobody_ends_the_run(
    provider: Provider,  # noqa: F811
    server: OpenAIServer,  # noqa: F811
    fault: Fault | None,
    key: str,
    message: str,
) -> None:
    if key and provider.key is None:
        pytest.skip("has no key")
    if fault is not None:
        fault.fired = 0
        server.faults.append(fault)
    fields = {str(provider.key): key} if key else {}
    with pytest.raises(EngineError, match=message) as caught:
        ask(provider.make(server, **fields), chats("a", "b"))
    assert "sk-" not in str(caught.value)


def test_redirects_are_not_followed(
    provider: Provider,  # noqa: F811
    server: OpenAIServer,  # noqa: F811
) -> None:
    """Neither the key nor the prompt gets to another host; before an answer or after one."""
    with JsonServer(lambda request: Answer({})) as other:
        away = Answer({}, 307, {"location": f"{other.url}/v1/elsewhere"})
        with JsonServer(lambda request: away) as given:
            here: Any = SimpleNamespace(url=f"{given.url}/v1", origin=given.url, key="sk-mine")
            with pytest.raises(EngineError, match=f"redirects .307. to {other.url}"):
                ask(provider.make(here), chats("a"))
            llm = provider.make(here)
            llm.load()
            llm._answered = True
            (output,) = llm.generate_outputs(chats("a"), **llm.get_generation_kwargs())
            llm.unload()
        assert output["failures"][0]["kind"] == "refused"
        assert len(given.received) == 2, "no attempt more"
        assert other.received == []


def test_what_is_paid_for_is_kept_when_a_generation_fails(
    provider: Provider,  # noqa: F811
    server: OpenAIServer,  # noqa: F811
) -> None:
    server.max_choices = 1
    (output,) = ask(provider.make(server), chats("a"), n=3)
    assert output["generations"] == ["answer to a"] * 3
    assert output["statistics"]["output_tokens"] == [3, 3, 3]
    assert output["finish_reasons"] == ["stop"] * 3
    assert len(server.received) == 3


def test_system_messages_and_images(provider: Provider, server: OpenAIServer) -> None:  # noqa: F811
    parts = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": IMAGE}},
    ]
    chat = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": parts},
    ]
    server.answer = lambda body, index: "a cat"
    (output,) = ask(provider.make(server), [chat])
    assert output["generations"] == ["a cat"]
    (received,) = server.received
    assert provider.system(received.body) == "Be kind."
    assert provider.image(received.body) == IMAGE


def test_structured_output_is_asked_for_and_checked(
    provider: Provider,  # noqa: F811
    server: OpenAIServer,  # noqa: F811
) -> None:
    people = iter(['{"name": "Ada", "age": 36}', '{"name": "Bob", "age": "old"}'])
    server.answer = lambda body, index: next(people)
    llm = provider.make(server, structured_output={"schema": Person}, max_concurrency=1)
    good, bad = ask(llm, chats("a", "b"))
    assert good["generations"] == ['{"name": "Ada", "age": 36}']
    assert bad["generations"] == [None]
    assert bad["failures"][0]["kind"] == "schema"
    assert bad["failures"][0]["raw_output"] == '{"name": "Bob", "age": "old"}'
    for received in server.received:
        asked = provider.schema(received.body)
        assert asked["properties"]["age"]["type"] == "integer"
        assert asked["required"] == ["name", "age"]


def test_formats_that_the_provider_lacks_are_refused(provider: Provider) -> None:  # noqa: F811
    structure = {"format": "regex", "schema": "yes|no"}
    if "regex" in provider.llm.structure_formats:
        pytest.skip("has regular expressions")
    with pytest.raises((DistilabelUserError, ValidationError), match="has the format 'regex'"):
        provider.llm(model="m", structured_output=structure)


def test_the_key_is_in_no_dump_log_or_message(
    provider: Provider,  # noqa: F811
    server: OpenAIServer,  # noqa: F811
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Also where the server repeats what it was sent."""
    if provider.key is None:
        pytest.skip("has no key")
    server.key = secret = "sk-a-secret-that-nobody-sees"
    server.faults.append(Fault("status", "b", None, status=400, message=f"{secret} was sent"))
    llm = provider.make(server)
    with caplog.at_level(logging.INFO):
        fine, failed = through_engine(llm, chats("a", "b"))
    assert fine["generations"] == ["answer to a"]
    assert isinstance(failed, GenerationError)
    assert "*** was sent" in str(failed)
    for text in (repr(llm), json.dumps(llm.dump()), caplog.text, llm.fingerprint()):
        assert secret not in text


def test_dumps_of_ours_and_of_distilabel_load(provider: Provider, server: OpenAIServer) -> None:  # noqa: F811
    llm = provider.make(server, requests_per_minute=100)
    with Pipeline("dumped") as pipeline:
        TextGeneration(llm=llm, name="ask")
    loaded = Pipeline.from_dict(pipeline.dump())
    assert loaded.dump() == pipeline.dump()
    module = provider.llm.__module__.split(".")[-1]
    module = {"llm": "openai"}.get(module, module)
    info = {"module": f"distilabel.models.llms.{module}", "name": provider.name}
    data = json.loads(json.dumps(pipeline.dump()))
    (step,) = data["pipeline"]["steps"]
    step["step"]["llm"] = {**provider.dumped, "type_info": info}
    (task,) = Pipeline.from_dict(data).steps
    found = task.llm
    assert type(found) is provider.llm
    for name, value in provider.dumped.items():
        assert getattr(found, name) == value, name


def test_workers_get_it(provider: Provider, server: OpenAIServer) -> None:  # noqa: F811
    llm = provider.make(server)
    llm.load()
    copy = pickle.loads(pickle.dumps(llm))
    llm.unload()
    assert ask(copy, chats("a"))[0]["generations"] == ["answer to a"]
    assert copy.fingerprint() == llm.fingerprint()


def test_a_missing_package_is_named(
    provider: Provider,  # noqa: F811
    server: OpenAIServer,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    llm = provider.make(server)
    monkeypatch.setitem(sys.modules, provider.sdk, None)
    with pytest.raises(EngineError, match=rf"pip install 'beam-distilabel\[{llm.extra}\]'"):
        llm.load()


def test_wrong_arguments_are_found_before_the_run(provider: Provider) -> None:  # noqa: F811
    kwargs = {provider.length: 0}
    llm = provider.llm(model="m", generation_kwargs=kwargs)
    with pytest.raises(DistilabelUserError, match=f"{provider.length}=0"):
        llm.check_generation_kwargs()
