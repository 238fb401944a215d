"""`InferenceEndpointsLLM`: the Hub's own SDK against a local server that speaks TGI's protocol."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from beam_distilabel.errors import DistilabelUserError, EngineError
from beam_distilabel.models.inference_endpoints import InferenceEndpointsLLM
from beam_distilabel.pipeline import Pipeline
from beam_distilabel.steps import LoadDataFromDicts
from beam_distilabel.steps.tasks import TextGeneration
from tests.json_server import Answer, JsonServer, Request

CHAT: Any = [{"role": "user", "content": "Hi"}]
SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "integer"}},
    "required": ["a"],
    "additionalProperties": False,
}
KEY = "hf_the_key_of_the_test"
ENDPOINT = "/endpoint/me/mine"


def answer(request: Request) -> Answer:
    body = request.body
    if request.path.endswith("/chat/completions"):
        wanted = (body.get("response_format") or {}).get("type")
        texts = {"json_object": '{"a": 1}', "json_schema": '{"a": 1}', "regex": "yes"}
        choice: dict[str, Any] = {
            "index": 0,
            "message": {"role": "assistant", "content": texts.get(wanted, "Hello!")},
            "finish_reason": "length" if body["max_tokens"] == 1 else "stop",
            "logprobs": None,
        }
        if body.get("logprobs"):
            top = [{"token": "Hello", "logprob": -0.5}]
            choice["logprobs"] = {
                "content": [{"token": "Hello", "logprob": -0.5, "top_logprobs": top}]
            }
        usage = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
        return Answer(
            {
                "id": "x",
                "model": body["model"],
                "created": 1,
                "system_fingerprint": "x",
                "choices": [choice],
                "usage": usage,
            }
        )
    grammar = body["parameters"].get("grammar") or {}
    text = {"json": '{"a": 1}', "regex": "yes"}.get(grammar.get("type"), "Hello!")
    details = {"finish_reason": "eos_token", "generated_tokens": 3, "prefill": [], "tokens": []}
    if body["parameters"].get("top_n_tokens"):
        details["top_tokens"] = [[{"id": 1, "text": "Hi", "logprob": -1.0, "special": False}]]
    return Answer([{"generated_text": text, "details": details}])


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("beam_distilabel.models.remote.retries.FIRST_PAUSE_SECONDS", 0.01)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[JsonServer]:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with JsonServer(answer) as made:
        yield made


def answered(server: JsonServer, *inputs: Any, n: int = 1, **kwargs: Any) -> list[Any]:
    arguments = kwargs.pop("arguments", {})
    llm = InferenceEndpointsLLM(**{"base_url": server.url, "api_key": KEY, **kwargs})
    llm.load()
    try:
        return llm.generate_outputs(list(inputs) or [CHAT], n, **arguments)
    finally:
        llm.unload()


def test_a_chat_is_answered(server: JsonServer) -> None:
    arguments = {"max_new_tokens": 9, "stop_sequences": list("abcdef"), "logprobs": True}
    (output,) = answered(server, n=2, arguments=arguments)
    assert output["generations"] == ["Hello!", "Hello!"]
    assert output["statistics"] == {"input_tokens": [7, 7], "output_tokens": [2, 2]}
    assert output["finish_reasons"] == ["stop", "stop"]
    assert output["logprobs"][0] == [[{"token": "Hello", "logprob": -0.5}]]
    first, second = server.received
    assert first.path == "/v1/chat/completions"
    assert first.headers["authorization"] == f"Bearer {KEY}"
    assert first.body["messages"] == CHAT and first.body["max_tokens"] == 9
    assert first.body["stop"] == list("abcd")
    assert first.body["seed"] != second.body["seed"]


def test_a_rendered_chat_goes_to_text_generation(server: JsonServer, tiny_model_path: Path) -> None:
    arguments = {"top_k": 5, "top_n_tokens": 1, "do_sample": True, "seed": 3}
    (output,) = answered(server, tokenizer_id=str(tiny_model_path), arguments=arguments)
    (request,) = server.received
    assert request.path == "/"
    assert request.body["inputs"] == "<|user|>Hi</s><|assistant|>"
    parameters = request.body["parameters"]
    assert [parameters[name] for name in ("top_k", "do_sample", "seed")] == [5, True, 3]
    assert output["generations"] == ["Hello!"] and output["finish_reasons"] == ["stop"]
    assert output["statistics"] == {"input_tokens": [4 + 1], "output_tokens": [3]}
    assert output["logprobs"] == [[[{"token": "Hi", "logprob": -1.0}]]]


def test_raw_prompts_and_magpie(server: JsonServer, tiny_model_path: Path) -> None:
    magpie = {
        "tokenizer_id": str(tiny_model_path),
        "use_magpie_template": True,
        "magpie_pre_query_template": "<|user|>",
    }
    answered(server, "2 + 2 =")
    answered(server, [{"role": "system", "content": "Be kind."}], [], **magpie)
    assert sorted(request.body["inputs"] for request in server.received) == [
        "2 + 2 =",
        "<|system|>Be kind.</s><|user|>",
        "<|user|>",
    ]


@pytest.mark.parametrize("by_text", [True, False])
def test_structures_are_sent_and_checked(
    server: JsonServer, tiny_model_path: Path, by_text: bool
) -> None:
    kwargs = {"tokenizer_id": str(tiny_model_path)} if by_text else {}
    json_output, regex_output = answered(
        server,
        CHAT,
        (CHAT, {"format": "regex", "schema": "yes|no"}),
        structured_output={"format": "json", "schema": SCHEMA},
        **kwargs,
    )
    assert json_output["generations"] == ['{"a": 1}'] and regex_output["generations"] == ["yes"]
    bodies = [request.body for request in server.received]
    sent = [
        (body["parameters"]["grammar"] if by_text else body["response_format"]) for body in bodies
    ]
    by_type = {one["type"]: one["value"] for one in sent}
    assert by_type == {"json" if by_text else "json_object": SCHEMA, "regex": "yes|no"}
    (bad,) = answered(server, (CHAT, {"format": "regex", "schema": "no"}), **kwargs)
    assert bad["failures"][0]["kind"] == "schema"


def test_what_fails_is_tried_again_when_the_server_says(
    server: JsonServer, tiny_model_path: Path
) -> None:
    for kwargs in ({}, {"tokenizer_id": str(tiny_model_path)}):
        server.received.clear()
        server.troubles += [
            Answer({"error": "loading"}, 503, {"retry-after": "0.01"}),
            Answer(
                {"error": "overloaded", "error_type": "overloaded"}, 429, {"retry-after": "0.01"}
            ),
            None,
            Answer({"unexpected": 1}),
        ]
        (output,) = answered(server, **kwargs)
        assert output["generations"] == ["Hello!"] and len(server.received) == 5


def test_what_stays_unanswered_costs_its_row(server: JsonServer, tiny_model_path: Path) -> None:
    too_long = (
        "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8. Given: 9 "
        "`inputs` tokens and 4 `max_new_tokens`"
    )
    for kwargs in ({}, {"tokenizer_id": str(tiny_model_path)}):
        for reply, kind in (
            (Answer({"error": too_long, "error_type": "validation"}, 422), "too_long"),
            (Answer({"error": "no such grammar", "error_type": "validation"}, 422), "refused"),
            (Answer({"error": f"bad key {KEY}"}, 500), "engine"),
        ):
            server.troubles.append(reply)
            (output,) = answered(server, max_retries=0, **kwargs)
            assert output["generations"] == [None]
            assert output["failures"][0]["kind"] == kind
            assert KEY not in output["failures"][0]["message"]


def test_a_wrong_key_ends_the_run(server: JsonServer) -> None:
    server.troubles.append(Answer({"error": f"invalid credentials {KEY}"}, 401))
    with pytest.raises(EngineError, match="401") as caught:
        answered(server)
    assert KEY not in str(caught.value)


def test_a_redirect_is_not_followed(server: JsonServer) -> None:
    with JsonServer(answer) as other:
        server.troubles.append(Answer({}, 307, {"location": other.url}))
        with pytest.raises(EngineError, match=f"redirects .307. to {other.url}"):
            answered(server)
        assert other.received == []


def test_a_saved_token_goes_to_no_foreign_address(
    server: JsonServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.get_token", lambda: "hf_saved")
    monkeypatch.setattr(
        "huggingface_hub.inference._providers.hf_inference.get_token", lambda: "hf_saved"
    )
    answered(server, api_key=None)
    assert "hf_saved" not in str(server.received[0].headers)


def test_a_model_of_the_hub_is_asked_for_by_the_router(
    server: JsonServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub.inference._providers import CONVERSATIONAL_AUTO_ROUTER

    monkeypatch.setattr(CONVERSATIONAL_AUTO_ROUTER, "base_url", server.url)
    (output,) = answered(server, base_url=None, model_id="org/model")
    assert output["generations"] == ["Hello!"]
    assert server.received[0].body["model"] == "org/model"
    with pytest.raises(EngineError, match="(?i)provider 'nobody' not supported"):
        answered(server, base_url=None, model_id="org/model", provider="nobody")


def endpoint_of(url: str, state: str) -> dict[str, Any]:
    moment = "2026-01-01T00:00:00.000Z"
    return {
        "name": "mine",
        "type": "protected",
        "healthRoute": "/health",
        "model": {
            "repository": "org/model",
            "framework": "pytorch",
            "revision": "main",
            "task": "text-generation",
        },
        "status": {
            "state": state,
            "url": url if state == "running" else None,
            "createdAt": moment,
            "updatedAt": moment,
        },
    }


def test_a_dedicated_endpoint_is_woken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def endpoints(request: Request) -> Answer:
        assert request.headers["authorization"] == f"Bearer {KEY}"
        if request.path == ENDPOINT:
            return Answer(endpoint_of(server.url, "scaledToZero"))
        if request.path == f"{ENDPOINT}/resume":
            return Answer(endpoint_of(server.url, "running"))
        if request.path.startswith("/endpoint"):
            return Answer({"error": "not found"}, 404)
        return Answer({}) if request.path == "/health" else answer(request)

    with JsonServer(endpoints) as server:
        monkeypatch.setattr("huggingface_hub.constants.INFERENCE_ENDPOINTS_ENDPOINT", server.url)
        llm = InferenceEndpointsLLM(endpoint_name="mine", endpoint_namespace="me", api_key=KEY)
        llm.load()
        (output,) = llm.generate_outputs([CHAT])
        assert output["generations"] == ["Hello!"]
        assert llm.model_name == llm.copied().model_name == "org/model"
        llm.unload()
        with pytest.raises(EngineError, match="can't use the endpoint 'yours' of 'me'"):
            InferenceEndpointsLLM(
                endpoint_name="yours", endpoint_namespace="me", api_key=KEY
            ).load()


def test_a_pipeline_with_it(server: JsonServer) -> None:
    with Pipeline("endpoints") as pipeline:
        load = LoadDataFromDicts(data=[{"instruction": f"Hi {i}"} for i in range(3)])
        llm = InferenceEndpointsLLM(base_url=server.url, api_key=KEY, model_display_name="tgi")
        load >> TextGeneration(llm=llm)
    (rows,) = pipeline.run(use_cache=False)["default"].values()
    assert {(row["generation"], row["model_name"]) for row in rows} == {("Hello!", "tgi")}
    assert KEY not in json.dumps(pipeline.dump())


@pytest.mark.parametrize(
    "kwargs", [{}, {"model_id": "a", "endpoint_name": "b"}, {"endpoint_namespace": "a"}]
)
def test_one_of_three_says_where_it_is(kwargs: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="needs one of `model_id`"):
        InferenceEndpointsLLM(**kwargs)


def test_the_url_counts_for_nothing_beside_a_model(caplog: pytest.LogCaptureFixture) -> None:
    llm = InferenceEndpointsLLM(model_id="a", base_url="http://localhost", api_key=KEY)
    assert llm.model_name == "a" and "counts for nothing beside model_id" in caplog.text


def test_arguments_are_checked_early(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def checked(**arguments: Any) -> None:
        InferenceEndpointsLLM(
            model_id="a", api_key=KEY, generation_kwargs=arguments
        ).check_generation_kwargs()

    with pytest.raises(DistilabelUserError, match="Did you mean 'temperature'"):
        checked(temprature=1)
    with pytest.raises(DistilabelUserError, match="presence_penalty=3"):
        checked(presence_penalty=3)
    checked(stop_sequences=list("abcde"))
    assert "['e']" in caplog.text
    with pytest.raises(ValueError, match="tokenizer_id"):
        InferenceEndpointsLLM(
            model_id="a", use_magpie_template=True, magpie_pre_query_template="qwen2"
        )
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    with pytest.raises(DistilabelUserError, match="HF_TOKEN"):
        InferenceEndpointsLLM(model_id="a").load()
