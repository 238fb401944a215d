"""`OpenAILLM` and its kin: the real SDK over HTTP against a server that fails and counts."""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import pickle
import threading
from pathlib import Path
from typing import Any

import pytest
from apache_beam.ml.inference.base import RunInference
from pydantic import BaseModel, SecretStr, ValidationError

from beam_distilabel.errors import DistilabelUserError, EngineError, PromptTooLongError
from beam_distilabel.inference import ContinuousRunInference
from beam_distilabel.models.engine import GenerateRequest
from beam_distilabel.models.llms import (
    AnyscaleLLM,
    AzureOpenAILLM,
    ClientvLLM,
    OpenAILLM,
    TogetherLLM,
)
from beam_distilabel.models.vllm import vLLM
from beam_distilabel.pipeline import Pipeline
from beam_distilabel.steps.tasks import TextGeneration
from tests.fakes import no_engine_is_left, open_engines, run  # noqa: F401
from tests.openai_server import Chaos, Fault, OpenAIServer
from tests.openai_server.fixtures import openai_server  # noqa: F401
from tests.pipeline.running import columns, failures_of, rows_of
from tests.tiny_model import make_tiny_model

pytestmark = pytest.mark.usefixtures("no_engine_is_left")

TROUBLES = ("rate_limit", "error", "slow", "drop", "malformed")


def llm_of(server: OpenAIServer, **fields: Any) -> OpenAILLM:
    """An LLM of the server; its attempts take two seconds at most."""
    given = {"model": "tiny", "base_url": server.url, "api_key": server.key, "timeout": 2.0}
    return OpenAILLM(**{**given, **fields})


def chats(*prompts: str) -> list[Any]:
    return [[{"role": "user", "content": prompt}] for prompt in prompts]


def ask(llm: OpenAILLM, inputs: list[Any], n: int = 1, **kwargs: Any) -> list[Any]:
    """What a loaded LLM answers outside of a pipeline."""
    llm.load()
    try:
        return llm.generate_outputs(inputs, num_generations=n, **kwargs)
    finally:
        llm.unload()


def through_engine(llm: OpenAILLM, *requests: GenerateRequest) -> list[Any]:
    """What its engine answers to requests made at once; errors as values."""
    engine = llm.load_model()
    try:

        async def all_of_them() -> list[Any]:
            return await asyncio.gather(*map(engine.generate, requests), return_exceptions=True)

        return engine.call(all_of_them())
    finally:
        engine.release()


# ---------------------------------------------------------------------------------- the promise


def test_a_third_fails_and_every_row_is_done(
    openai_server: OpenAIServer,  # noqa: F811
    tmp_path: Path,
) -> None:
    """429, 500, timeouts, lost connections and broken answers for a third of the requests."""
    server = openai_server
    # With this seed no prompt fails more often than it is tried.
    server.chaos = Chaos(seed=32, share=1 / 3, kinds=TROUBLES)
    server.latency = 0.02
    limits = {"max_concurrency": 8, "requests_per_minute": 3_000, "tokens_per_minute": 150_000}
    llm = llm_of(server, **limits, generation_kwargs={"max_new_tokens": 30})
    rows = [{"instruction": f"question {i}"} for i in range(300)]
    with Pipeline("third") as pipeline:
        TextGeneration(llm=llm)
    distiset = pipeline.run(dataset=rows, output_dir=tmp_path)
    found = columns(rows_of(distiset), "instruction", "generation")
    assert found == [(f"question {i}", f"answer to question {i}") for i in range(300)]
    assert failures_of(tmp_path) == []
    # A third failed, in every way there is.
    failed = sum(server.fired.values())
    assert 0.32 <= failed / len(server.received) <= 0.35
    assert set(server.fired) == set(TROUBLES)
    # Nobody paid twice: one answer was charged for each prompt, and none asked for after it.
    assert server.charged == server.delivered == {f"question {i}": 1 for i in range(300)}
    assert len(server.received) == 300 + failed
    # The limits, as they arrived here: at once, and in any second and any minute.
    assert 4 <= server.peak <= 8
    burst = 3_000 / 100
    assert server.most_in(1.0) <= 3_000 / 60 + burst + 5
    assert server.most_in(60.0) <= 3_000
    assert server.most_in(60.0, lambda one: one.tokens) <= 150_000


def test_no_limit_is_exceeded_by_llms_that_share_an_endpoint(
    openai_server: OpenAIServer,  # noqa: F811
) -> None:
    """Two engines with loops of their own; the stricter limit holds for both."""
    server = openai_server
    server.models = ["tiny", "small"]
    server.latency = 0.01
    requests = [GenerateRequest(chat) for chat in chats(*map(str, range(60)))]
    llms = [
        llm_of(server, max_concurrency=5),
        llm_of(server, max_concurrency=50, model="small"),
    ]
    engines = [llm.load_model() for llm in llms]
    assert engines[0] is not engines[1]

    async def all_of_them(engine: Any) -> list[Any]:
        return await asyncio.gather(*map(engine.generate, requests))

    futures = [engine.submit(all_of_them(engine)) for engine in engines]
    assert [len(future.result(60)) for future in futures] == [60, 60]
    for engine in engines:
        engine.release()
    assert server.peak == 5


def test_tokens_per_minute_hold_in_every_second(
    openai_server: OpenAIServer,  # noqa: F811
) -> None:
    """200 tokens a second and a burst of 120, where each request uses 20: 10 and 6 requests."""
    llm = llm_of(openai_server, tokens_per_minute=12_000)
    prompts = [f"{i} is the first of these ten words as counted" for i in range(40)]
    outputs = ask(llm, chats(*prompts), max_new_tokens=10)
    assert [output["finish_reasons"] for output in outputs] == [["length"]] * 40
    received = openai_server.received
    assert {one.tokens for one in received} == {20}
    assert openai_server.most_in(1.0, lambda one: one.tokens) <= 200 + 120 + 20
    seconds = received[-1].at - received[0].at
    assert 0.9 * (40 * 20 - 120 - 20) / 200 <= seconds <= 10


def test_tokens_per_minute_are_counted_as_used(
    openai_server: OpenAIServer,  # noqa: F811
) -> None:
    """Each request may use 1,000 tokens and uses 6: all that count are those."""
    llm = llm_of(openai_server, tokens_per_minute=6_000)
    prompts = [f"a b {i}" for i in range(40)]
    outputs = ask(llm, chats(*prompts), max_new_tokens=1_000)
    assert [output["generations"] for output in outputs] == [[f"answer to {p}"] for p in prompts]
    assert sum(one.tokens for one in openai_server.received) == 40 * 8
    # Not many were allowed for at a time.
    assert openai_server.peak <= 6


def test_an_answer_that_got_lost_is_not_charged_again_by_a_server_that_knows_keys(
    openai_server: OpenAIServer,  # noqa: F811
) -> None:
    openai_server.honours_keys = True
    openai_server.faults.append(Fault("lost", times=2))
    (output,) = ask(llm_of(openai_server), chats("a"))
    assert output["generations"] == ["answer to a"]
    assert openai_server.charged == {"a": 1}
    assert len(openai_server.received) == 3
    assert [len(keys) for keys in openai_server.keys_by_prompt().values()] == [1]


# ---------------------------------------------------------------------------------- failures


def test_one_bad_prompt_costs_one_row(
    openai_server: OpenAIServer,  # noqa: F811
    tmp_path: Path,
) -> None:
    kinds = {
        "long": ("too_long", "maximum context length is 4096 tokens"),
        "filtered": ("refused", "content filter refused the prompt: The prompt was filtered"),
        "refusing": ("refused", "the model refused: I can't help with that."),
        "busy": ("rate_limit", "(429): Rate limit reached (gave up after"),
        "silent": ("timeout", "no answer within 2 s (gave up after 3 attempts)"),
        "broken": ("engine", "the endpoint failed (500)"),
        "odd": ("refused", "the endpoint refused the request (422): no such parameter"),
    }
    openai_server.faults += [
        Fault("too_long", "long", times=None),
        Fault("content_filter", "filtered", times=None),
        Fault("refusal", "refusing", times=None),
        Fault("rate_limit", "busy", times=None, retry_after="100"),
        Fault("slow", "silent", times=None),
        Fault("error", "broken", times=None),
        Fault("status", "odd", times=None, status=422, message="no such parameter"),
    ]
    llm = llm_of(openai_server, timeout=2.0, max_retries=2, deadline=60.0)
    rows = [{"instruction": name} for name in ("fine", *kinds)]
    with Pipeline("bad") as pipeline:
        TextGeneration(llm=llm, name="ask")
    distiset = pipeline.run(dataset=rows, output_dir=tmp_path)
    generations = columns(rows_of(distiset), "generation")
    assert generations == [("answer to fine",), *[(None,)] * len(kinds)]
    failures = {row["row"]["instruction"]: row for row in failures_of(tmp_path)}
    assert set(failures) == set(kinds)
    for name, (kind, message) in kinds.items():
        assert failures[name]["kind"] == kind, failures[name]
        assert message in failures[name]["message"]
    asked = {name: sum(one.prompt == name for one in openai_server.received) for name in kinds}
    assert asked["long"] == asked["filtered"] == asked["refusing"] == asked["odd"] == 1
    assert asked["silent"] == asked["broken"] == 3
    assert openai_server.charged == {"fine": 1, "refusing": 1}


@pytest.mark.parametrize(
    ("fault", "fields", "message"),
    [
        (None, {"api_key": "sk-a-wrong-key-of-mine"}, r"refused the request \(401\): Incorrect"),
        (None, {"model": "huge"}, r"\(404\): no model 'huge'"),
        (Fault("no_credit", times=None), {}, r"\(429\): You exceeded your current quota"),
        (None, {"base_url": "http://127.0.0.1:9/v1", "max_retries": 1}, "can't be reached"),
    ],
)
def test_an_endpoint_that_can_answer_nobody_ends_the_run(
    openai_server: OpenAIServer,  # noqa: F811
    fault: Fault | None,
    fields: dict[str, Any],
    message: str,
) -> None:
    openai_server.faults += [fault] if fault else []
    with pytest.raises(EngineError, match=message) as caught:
        ask(llm_of(openai_server, **fields), chats("a", "b"))
    assert "sk-" not in str(caught.value)


def test_after_the_first_answer_it_costs_rows(
    openai_server: OpenAIServer,  # noqa: F811
) -> None:
    llm = llm_of(openai_server, max_concurrency=1)
    llm.load()
    llm.generate_outputs(chats("a"))
    openai_server.faults.append(Fault("no_credit", "b", times=None))
    (b, c) = llm.generate_outputs(chats("b", "c"))
    llm.unload()
    assert (b["generations"], c["generations"]) == ([None], ["answer to c"])
    assert b["failures"][0]["kind"] == "rate_limit"
    assert len(openai_server.received) == 3


def test_retry_after_is_honoured(openai_server: OpenAIServer) -> None:  # noqa: F811
    openai_server.faults.append(Fault("rate_limit", retry_after="0.4"))
    ask(llm_of(openai_server), chats("a"))
    first, second = openai_server.received
    assert 0.4 <= second.at - first.at <= 1.5


def test_each_request_fails_alone_in_an_engine(
    openai_server: OpenAIServer,  # noqa: F811
) -> None:
    openai_server.faults.append(Fault("too_long", "b", times=None))
    requests = [GenerateRequest(chat) for chat in chats("a", "b", "c")]
    a, b, c = through_engine(llm_of(openai_server), *requests)
    assert isinstance(b, PromptTooLongError)
    assert (a["generations"], c["generations"]) == (["answer to a"], ["answer to c"])


# ---------------------------------------------------------------------------------- requests


def test_the_request_and_the_output(openai_server: OpenAIServer) -> None:  # noqa: F811
    llm = llm_of(openai_server, default_headers={"X-Team": "data"})
    (output,) = ask(
        llm,
        chats("one two"),
        n=2,
        max_new_tokens=5,
        temperature=0.5,
        top_p=0.9,
        frequency_penalty=0.1,
        presence_penalty=0.2,
        stop=["END"],
        top_logprobs=2,
        response_format={"type": "json_object"},
        extra_body={"seed": 7},
    )
    (received,) = openai_server.received
    assert received.body == {
        "model": "tiny",
        "messages": [{"role": "user", "content": "one two"}],
        "n": 2,
        "max_tokens": 5,
        "temperature": 0.5,
        "top_p": 0.9,
        "frequency_penalty": 0.1,
        "presence_penalty": 0.2,
        "stop": ["END"],
        "logprobs": True,
        "top_logprobs": 2,
        "response_format": {"type": "json_object"},
        "seed": 7,
    }
    assert received.path == "/v1/chat/completions"
    assert received.headers["x-team"] == "data"
    logprobs = output.pop("logprobs")
    assert output == {
        "generations": ["answer to one two", "answer to one two #1"],
        "statistics": {"input_tokens": [2], "output_tokens": [4, 5]},
        "finish_reasons": ["stop", "stop"],
    }
    assert [len(one) for one in logprobs] == [4, 5]
    assert logprobs[0][0] == [
        {"token": "answer0", "logprob": -1.0},
        {"token": "answer1", "logprob": -2.0},
    ]


def test_a_text_is_a_raw_prompt(openai_server: OpenAIServer) -> None:  # noqa: F811
    (output,) = ask(llm_of(openai_server), ["Once "], echo=True, logprobs=True, max_new_tokens=2)
    (received,) = openai_server.received
    assert received.path == "/v1/completions"
    assert (received.body["prompt"], received.body["logprobs"]) == ("Once ", 1)
    assert output["generations"] == ["Once answer to"]
    assert output["finish_reasons"] == ["length"]
    assert output["logprobs"] == [
        [[{"token": "answer0", "logprob": -1.0}], [{"token": "to0", "logprob": -1.0}]]
    ]


def test_servers_that_make_one_answer_at_a_time(
    openai_server: OpenAIServer,  # noqa: F811
) -> None:
    openai_server.max_choices = 1
    (output,) = ask(llm_of(openai_server), chats("a"), n=3)
    assert output["generations"] == ["answer to a"] * 3
    assert output["statistics"] == {"input_tokens": [3], "output_tokens": [3, 3, 3]}
    assert [one.body.get("n") for one in openai_server.received] == [3, 2, None]
    assert len(openai_server.keys_by_prompt()["a"]) == 3


def test_what_came_is_kept_where_a_later_request_fails(
    openai_server: OpenAIServer,  # noqa: F811
) -> None:
    openai_server.max_choices = 1

    def refuse_from_now_on(body: dict[str, Any], index: int) -> str:
        openai_server.faults.append(Fault("content_filter", times=None))
        return "the first"

    openai_server.answer = refuse_from_now_on
    (output,) = ask(llm_of(openai_server), chats("a"), n=3)
    assert output["generations"] == ["the first", None, None]
    first, *others = output["failures"]
    assert first is None and [one["kind"] for one in others] == ["refused"] * 2
    assert output["finish_reasons"] == ["stop", None, None]
    assert output["statistics"]["output_tokens"][1:] == [0, 0]


def test_a_failure_says_how_often_it_was_tried(
    openai_server: OpenAIServer,  # noqa: F811
    tmp_path: Path,
) -> None:
    openai_server.faults.append(Fault("error", "^b$", times=None, retry_after=None))
    llm = llm_of(openai_server, max_retries=1)
    (output,) = ask(llm, chats("b"))
    assert output["failures"][0]["attempts"] == 2
    with Pipeline("tried") as pipeline:
        TextGeneration(llm=llm, name="ask")
    pipeline.run(dataset=[{"instruction": "a"}, {"instruction": "b"}], output_dir=tmp_path / "run")
    (failure,) = failures_of(tmp_path / "run")
    assert (failure["row"]["instruction"], failure["attempts"]) == ("b", 2)


def test_models_that_call_the_length_otherwise(
    openai_server: OpenAIServer,  # noqa: F811
) -> None:
    openai_server.faults.append(
        Fault(
            "status",
            times=2,
            status=400,
            message="Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.",
            extra={"param": "max_tokens", "code": "unsupported_parameter"},
        )
    )
    outputs = ask(llm_of(openai_server), chats("a", "b"), max_new_tokens=3)
    assert [output["generations"] for output in outputs] == [["answer to a"], ["answer to b"]]
    last = openai_server.received[-1].body
    assert "max_tokens" not in last and last["max_completion_tokens"] == 3


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"temperature": -1}, "temperature=-1: Input should be greater"),
        ({"response_format": {"type": "yaml"}}, "has to be 'text'"),
        ({"extra_body": {"model": "x"}}, "extra_body can't hold 'model'"),
        ({"max_tokens": 3}, "no generation argument 'max_tokens'"),
    ],
)
def test_wrong_arguments_are_found_before_the_run(kwargs: dict[str, Any], message: str) -> None:
    llm = OpenAILLM(model="m", api_key="k", generation_kwargs=kwargs)
    with pytest.raises(DistilabelUserError, match=message):
        llm.check_generation_kwargs()


# ---------------------------------------------------------------------------------- structure


class Person(BaseModel):
    name: str
    age: int


def answer_people(body: dict[str, Any], index: int) -> str:
    content = body["messages"][-1]["content"]
    return json.dumps({"name": content, "age": "old" if content == "bad" else 36})


def test_structured_output_is_asked_for_and_checked(
    openai_server: OpenAIServer,  # noqa: F811
    tmp_path: Path,
) -> None:
    openai_server.answer = answer_people
    llm = llm_of(openai_server, structured_output={"schema": Person})
    with Pipeline("people") as pipeline:
        TextGeneration(llm=llm, name="ask")
    rows = [{"instruction": "Ada"}, {"instruction": "bad"}]
    distiset = pipeline.run(dataset=rows, output_dir=tmp_path)
    assert columns(rows_of(distiset), "generation") == [('{"name": "Ada", "age": 36}',), (None,)]
    (failure,) = failures_of(tmp_path)
    assert (failure["kind"], failure["raw_output"]) == ("schema", '{"name": "bad", "age": "old"}')
    assert '$.age: "old" is not of type "integer"' in failure["message"]
    asked = openai_server.received[0].body["response_format"]
    assert asked["type"] == "json_schema"
    assert (asked["json_schema"]["name"], asked["json_schema"]["strict"]) == ("Person", True)
    assert openai_server.charged == {"Ada": 1, "bad": 1}, "what was bad is paid for once as well"


def test_an_input_brings_its_own_structure(openai_server: OpenAIServer) -> None:  # noqa: F811
    openai_server.answer = answer_people
    (chat,) = chats("Ada")
    llm = llm_of(openai_server, structured_output={"schema": Person})
    own = {"format": "json", "schema": {"title": "Own", "type": "array"}}
    (with_own, without) = ask(llm, [(chat, own), (chat, None)])
    assert without["generations"] == ['{"name": "Ada", "age": 36}']
    assert with_own["generations"] == [None]
    assert with_own["failures"][0]["kind"] == "schema"
    names = {one.body["response_format"]["json_schema"]["name"] for one in openai_server.received}
    assert names == {"Own", "Person"}


def test_an_answer_that_was_cut_says_so_itself(openai_server: OpenAIServer) -> None:  # noqa: F811
    openai_server.answer = answer_people
    llm = llm_of(openai_server, structured_output={"schema": Person})
    (output,) = ask(llm, chats("Ada"), max_new_tokens=2)
    assert (output["generations"], output["finish_reasons"]) == (['{"name": "Ada",'], ["length"])


def test_of_several_answers_the_bad_one_is_left_out(
    openai_server: OpenAIServer,  # noqa: F811
    tmp_path: Path,
) -> None:
    openai_server.answer = lambda body, index: "[]" if index != 1 else "{"
    llm = llm_of(openai_server, structured_output={"schema": {"type": "array"}})
    with Pipeline("several") as pipeline:
        TextGeneration(llm=llm, num_generations=3, group_generations=True, name="ask")
    distiset = pipeline.run(dataset=[{"instruction": "a"}], output_dir=tmp_path)
    assert columns(rows_of(distiset), "generation") == [(["[]", None, "[]"],)]
    assert [failure["kind"] for failure in failures_of(tmp_path)] == ["schema"]


def test_openai_takes_no_regular_expression() -> None:
    with pytest.raises(ValidationError, match="has the format 'regex'; this LLM takes 'json'"):
        OpenAILLM(model="m", api_key="k", structured_output={"format": "regex", "schema": "a"})


# ---------------------------------------------------------------------------------- secrets


def test_the_key_is_in_no_dump_log_or_message(
    openai_server: OpenAIServer,  # noqa: F811
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Also where the server repeats what it was sent."""
    secret = "sk-a-secret-that-nobody-sees"
    header = "Bearer another-secret-that-nobody-sees"
    openai_server.faults.append(
        Fault("status", "b", times=None, status=400, message=f"{header} and {secret} sent")
    )
    openai_server.key = secret
    llm = llm_of(openai_server, api_key=secret, default_headers={"X-Gateway-Token": header})
    with caplog.at_level(logging.DEBUG), Pipeline("secret") as pipeline:
        TextGeneration(llm=llm, name="ask")
    with caplog.at_level(logging.DEBUG):
        pipeline.run(
            dataset=[{"instruction": "a"}, {"instruction": "b"}], output_dir=tmp_path / "run"
        )
    (failure,) = failures_of(tmp_path / "run")
    assert "*** and *** sent" in failure["message"]
    texts = {
        "repr": repr(llm),
        "dump": json.dumps(llm.dump()),
        "log": caplog.text,
        **{
            str(file): file.read_bytes().decode("latin-1")
            for file in (tmp_path / "run").rglob("*")
            if file.is_file()
        },
    }
    assert [name for name, text in texts.items() if secret in text] == []
    assert [name for name, text in texts.items() if "another-secret" in text] == []
    openai_server.key = "sk-changed"
    with pytest.raises(EngineError) as caught:
        ask(llm, chats("a"))
    assert secret not in str(caught.value) and "***" in str(caught.value)


def test_a_password_in_the_address_is_refused_and_not_shown() -> None:
    with pytest.raises(ValidationError, match="has a user or a password in it") as caught:
        OpenAILLM(model="m", api_key="k", base_url="https://me:hunter22@example.com/v1")
    assert "hunter22" not in str(caught.value)


@pytest.mark.parametrize("name", ["api_key", "api-key", "access_token", "key"])
def test_a_key_in_the_query_is_refused_and_not_shown(name: str) -> None:
    url = f"https://example.com/v1?api-version=1&{name}=hunter22"
    for make in (OpenAILLM, functools.partial(vLLM, engine="url")):
        with pytest.raises(ValidationError, match=f"has '{name}' in its query") as caught:
            make(model="m", api_key="k", base_url=url)
        assert "hunter22" not in str(caught.value)
    assert OpenAILLM(model="m", api_key="k", base_url="https://a/v1?api-version=1")


@pytest.mark.parametrize("fields", [{"apikey": "sk-mine"}, {"api_key": ["sk-mine"]}])
def test_no_model_shows_a_key_in_an_error_about_a_field(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(fields))) as caught:
        vLLM(model="m", **fields)
    assert "sk-mine" not in str(caught.value)


@pytest.mark.parametrize("fields", [{"timeout": -1}, {"modle": "m"}, {"structured_output": {}}])
def test_the_key_is_in_no_error_about_a_field(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        OpenAILLM(**{"api_key": "sk-mine", "max_retries": "x", **fields})
    assert "sk-mine" not in str(caught.value)


def test_dump_and_load(openai_server: OpenAIServer, tmp_path: Path) -> None:  # noqa: F811
    llm = llm_of(
        openai_server,
        structured_output={"schema": Person},
        requests_per_minute=10_000,
        default_headers={"X-Team": "data", "Authorization": "secret"},
        generation_kwargs={"temperature": 0.5},
    )
    with Pipeline("dumped") as pipeline:
        TextGeneration(llm=llm, name="ask")
    pipeline.save(str(tmp_path / "pipeline.yaml"), format="yaml")
    loaded = Pipeline.from_yaml(str(tmp_path / "pipeline.yaml")).graph.get("ask").llm
    assert type(loaded) is OpenAILLM
    assert loaded.dump() == llm.dump()
    assert loaded.api_key is None
    assert loaded.requests_per_minute == 10_000
    assert llm.dump()["default_headers"] == {"X-Team": "data"}


def test_a_loaded_llm_pickles(openai_server: OpenAIServer) -> None:  # noqa: F811
    llm = llm_of(openai_server)
    ask(llm, chats("a"))
    llm.load()
    copy = pickle.loads(pickle.dumps(llm))
    llm.unload()
    assert ask(copy, chats("b"))[0]["generations"] == ["answer to b"]


# ---------------------------------------------------------------------------------- engines


def test_equal_llms_share_an_engine_and_others_do_not(
    openai_server: OpenAIServer,  # noqa: F811
) -> None:
    same = [llm_of(openai_server), llm_of(openai_server, generation_kwargs={"temperature": 0})]
    others = [
        llm_of(openai_server, api_key="sk-another"),
        llm_of(openai_server, timeout=9),
        llm_of(openai_server, max_concurrency=3),
        llm_of(openai_server, use_offline_batch_generation=True),
        llm_of(openai_server, model="other"),
    ]
    engines = [llm.load_model() for llm in [*same, *others]]
    assert engines[0] is engines[1]
    assert len({id(engine) for engine in engines}) == 6
    for engine in engines:
        engine.release()
    # Neither the key nor the limits change what is answered.
    assert len({json.dumps(llm.identity()) for llm in [*same, *others[:4]]}) == 1


def test_a_loaded_llm_and_its_engine_leave_each_other_alone(
    openai_server: OpenAIServer,  # noqa: F811
) -> None:
    llm = llm_of(openai_server, max_concurrency=1)
    llm.load()
    (output,) = through_engine(llm, GenerateRequest(chats("a")[0]))
    assert output["generations"] == ["answer to a"]
    assert llm.generate_outputs(chats("b"))[0]["generations"] == ["answer to b"]
    llm.unload()


def test_plain_beam(openai_server: OpenAIServer) -> None:  # noqa: F811
    llm = llm_of(openai_server)
    for transform in (RunInference(llm), ContinuousRunInference(llm)):
        results = run(chats("a", "b"), transform)
        found = sorted(result.inference["generations"][0] for result in results)
        assert found == ["answer to a", "answer to b"]
        assert {result.model_id for result in results} == {"tiny"}
    engine = llm.load_model()
    while llm.fingerprint() in open_engines():  # Beam's own transform never gives its model back
        engine.release()


def test_agenerate_on_loops_of_ones_own(openai_server: OpenAIServer) -> None:  # noqa: F811
    llm = llm_of(openai_server)
    llm.load()

    async def one(prompt: str) -> Any:
        try:
            return (await llm.agenerate(chats(prompt)[0]))["generations"][0]
        finally:
            await llm.aclose()

    found: list[str] = []
    threads = [
        threading.Thread(target=lambda i=i: found.append(asyncio.run(one(f"{i}"))))
        for i in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    llm.unload()
    assert sorted(found) == [f"answer to {i}" for i in range(4)]


def test_users_own_subclasses_are_asked(openai_server: OpenAIServer) -> None:  # noqa: F811
    class Polite(OpenAILLM):
        async def agenerate(self, input: Any, num_generations: int = 1, **kwargs: Any) -> Any:
            return await super().agenerate([*input, *chats("please")[0]], num_generations, **kwargs)

    fields = {"model": "tiny", "base_url": openai_server.url, "api_key": openai_server.key}
    (output,) = through_engine(Polite(**fields), GenerateRequest(chats("a")[0]))
    assert output["generations"] == ["answer to please"]


# ---------------------------------------------------------------------------------- environment


@pytest.mark.parametrize(
    ("cls", "key", "url", "default"),
    [
        (OpenAILLM, "OPENAI_API_KEY", "OPENAI_BASE_URL", "https://api.openai.com/v1"),
        (TogetherLLM, "TOGETHER_API_KEY", "TOGETHER_BASE_URL", "https://api.together.xyz/v1"),
        (
            AnyscaleLLM,
            "ANYSCALE_API_KEY",
            "ANYSCALE_BASE_URL",
            "https://api.endpoints.anyscale.com/v1",
        ),
        (AzureOpenAILLM, "AZURE_OPENAI_API_KEY", "AZURE_OPENAI_ENDPOINT", None),
        (ClientvLLM, "VLLM_API_KEY", "OPENAI_BASE_URL", "http://localhost:8000/v1"),
    ],
)
def test_environment_variables(
    openai_server: OpenAIServer,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    cls: type[OpenAILLM],
    key: str,
    url: str,
    default: str | None,
) -> None:
    assert cls(model="m").base_url == default
    if cls is not ClientvLLM:
        assert cls(model="m").api_key is None
        with pytest.raises(DistilabelUserError, match=f"{key}|{url}"):
            cls(model="m").load()
    address = openai_server.origin if cls is AzureOpenAILLM else openai_server.url
    monkeypatch.setenv(key, openai_server.key)
    monkeypatch.setenv(url, address)
    monkeypatch.setenv("OPENAI_API_VERSION", "2024-10-21")
    llm = cls(model="tiny")
    assert llm.base_url == address
    assert llm.api_key == SecretStr(openai_server.key)
    assert ask(llm, chats("a"))[0]["generations"] == ["answer to a"]
    if cls is AzureOpenAILLM:
        (received,) = openai_server.received
        path = "/openai/deployments/tiny/chat/completions?api-version=2024-10-21"
        assert received.path == path
        assert received.headers["api-key"] == openai_server.key


def test_runtime_parameters(openai_server: OpenAIServer, tmp_path: Path) -> None:  # noqa: F811
    with Pipeline("late") as pipeline:
        TextGeneration(llm=OpenAILLM(model="tiny"), name="ask")
    given = {"base_url": openai_server.url, "api_key": openai_server.key, "max_concurrency": 2}
    distiset = pipeline.run(
        {"ask": {"llm": {**given, "generation_kwargs": {"max_new_tokens": 2}}}},
        dataset=[{"instruction": "a"}],
        output_dir=tmp_path,
    )
    assert columns(rows_of(distiset), "generation") == [("answer to",)]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"base_url": "localhost:8000"}, "has to begin with http://"),
        ({"api_key": None}, "set the environment variable OPENAI_API_KEY"),
    ],
)
def test_what_cannot_work_is_said_at_load(
    openai_server: OpenAIServer,  # noqa: F811
    fields: dict[str, Any],
    message: str,
) -> None:
    with pytest.raises(DistilabelUserError, match=message):
        llm_of(openai_server, **fields).load()


# ---------------------------------------------------------------------------------- vLLM's client


def test_the_client_of_vllm_finds_the_models_name(
    openai_server: OpenAIServer,  # noqa: F811
    tmp_path: Path,
) -> None:
    openai_server.key = "EMPTY"  # a server without a key takes any
    openai_server.models = ["org/served"]
    with Pipeline("served") as pipeline:
        TextGeneration(llm=ClientvLLM(base_url=openai_server.url), name="ask")
    rows = [{"instruction": f"{i}"} for i in range(20)]
    distiset = pipeline.run(dataset=rows, output_dir=tmp_path)
    assert {row["model_name"] for row in rows_of(distiset)} == {"org/served"}
    assert {one.body["model"] for one in openai_server.received} == {"org/served"}
    assert openai_server.asked_for_models <= 2


def test_the_client_of_vllm_without_a_server() -> None:
    llm = ClientvLLM(base_url="http://127.0.0.1:9/v1", max_retries=0)
    with pytest.raises(EngineError, match="can't ask http://127.0.0.1:9/v1 for its model"):
        ask(llm, chats("a"))
    llm.unload()


def test_the_client_of_vllm_sends_no_openai_key(
    openai_server: OpenAIServer,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-for-openai-only")
    openai_server.key = "EMPTY"
    ask(ClientvLLM(base_url=openai_server.url), chats("a"))
    assert "sk-for" not in str([one.headers for one in openai_server.received])


@pytest.mark.parametrize(
    ("kind", "schema", "follows"),
    [
        ("regex", "answer to [ab]", False),
        ("choice", ["answer to a", "answer to b"], False),
        ("grammar", 'root ::= "answer to " [ab]', True),  # isn't checked
    ],
)
def test_other_structures_go_to_vllm(
    openai_server: OpenAIServer,  # noqa: F811
    kind: str,
    schema: Any,
    follows: bool,
) -> None:
    structure = {"format": kind, "schema": schema}
    llm = ClientvLLM(
        model="tiny",
        base_url=openai_server.url,
        api_key=openai_server.key,
        structured_output=structure,
    )
    (a, c) = ask(llm, chats("a", "c"))
    assert a["generations"] == ["answer to a"]
    assert follows == ("failures" not in c)
    assert follows or c["failures"][0]["kind"] == "schema"
    bodies = [one.body["structured_outputs"] for one in openai_server.received]
    assert bodies == [{kind: schema}] * 2


def test_a_tokenizer_of_ones_own_renders_chats(
    openai_server: OpenAIServer,  # noqa: F811
    tmp_path: Path,
) -> None:
    pytest.importorskip("transformers")
    pytest.importorskip("torch")
    folder = make_tiny_model(tmp_path / "tiny")
    fields = {"model": "tiny", "base_url": openai_server.url, "api_key": openai_server.key}
    ask(ClientvLLM(**fields, tokenizer=str(folder)), chats("hello"))
    (received,) = openai_server.received
    assert received.path == "/v1/completions"
    assert "hello" in received.prompt and received.prompt != "hello"
    magpie = ClientvLLM(
        **fields,
        tokenizer=str(folder),
        use_magpie_template=True,
        magpie_pre_query_template="qwen2",
    )
    ask(magpie, [[], chats("hello")[0]])
    prompts = {one.prompt for one in openai_server.received[1:]}
    assert prompts == {"<|im_start|>user\n", received.prompt}


def test_magpie_needs_a_tokenizer() -> None:
    with pytest.raises(ValidationError, match="needs `tokenizer`"):
        ClientvLLM(use_magpie_template=True, magpie_pre_query_template="qwen2")
