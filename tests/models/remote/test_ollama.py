"""`OllamaLLM`: Ollama's own SDK against a local server that speaks its protocol."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from beam_distilabel.errors import DistilabelUserError, EngineError
from beam_distilabel.models.ollama import OllamaLLM
from tests.json_server import Answer, JsonServer, Request

pytest.importorskip("ollama")

CHAT: Any = [{"role": "user", "content": "Hi"}]
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


def answer(request: Request) -> Answer:
    body = request.body
    if body["model"] != "tiny":
        return Answer({"error": f"model '{body['model']}' not found"}, 404)
    text = "Hello!"
    if isinstance(body.get("format"), dict):
        text = '{"a": 1}'
    elif body.get("format") == "json":
        text = "{}"
    made = {
        "model": "tiny",
        "created_at": "2026-01-01T00:00:00Z",
        "done": True,
        "done_reason": "stop",
        "prompt_eval_count": 7,
        "eval_count": 2,
    }
    if request.path == "/api/generate":
        return Answer({**made, "response": text})
    return Answer({**made, "message": {"role": "assistant", "content": text}})


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("beam_distilabel.models.remote.retries.FIRST_PAUSE_SECONDS", 0.01)


@pytest.fixture
def server() -> Iterator[JsonServer]:
    with JsonServer(answer) as made:
        yield made


def answered(server: JsonServer, *inputs: Any, n: int = 1, **kwargs: Any) -> list[Any]:
    settings = {"model": "tiny", "host": server.url, **kwargs}
    generation_kwargs = settings.pop("arguments", {})
    llm = OllamaLLM(**settings)
    llm.load()
    try:
        return llm.generate_outputs(list(inputs) or [CHAT], n, **generation_kwargs)
    finally:
        llm.unload()


def test_a_chat_is_answered(server: JsonServer) -> None:
    arguments = {"options": {"temperature": 0.5, "num_predict": 9}, "keep_alive": True}
    (output,) = answered(server, n=2, arguments=arguments)
    assert output == {
        "generations": ["Hello!", "Hello!"],
        "statistics": {"input_tokens": [7, 7], "output_tokens": [2, 2]},
        "finish_reasons": ["stop", "stop"],
    }
    assert [request.path for request in server.received] == ["/api/chat"] * 2
    body = server.received[0].body
    assert body["messages"] == CHAT and body["stream"] is False
    assert body["options"] == {"temperature": 0.5, "num_predict": 9}
    assert body["keep_alive"] == -1 and "format" not in body


def test_a_schema_is_sent_and_checked(server: JsonServer) -> None:
    (output,) = answered(server, structured_output={"schema": SCHEMA})
    assert server.received[0].body["format"] == SCHEMA
    assert output["generations"] == ['{"a": 1}']
    server.troubles.append(
        Answer({"message": {"role": "assistant", "content": "no"}, "done": True})
    )
    (output,) = answered(server, (CHAT, {"format": "json", "schema": SCHEMA}))
    assert output["failures"][0]["kind"] == "schema"
    (output,) = answered(server, arguments={"format": "json"})
    assert server.received[-1].body["format"] == "json" and output["generations"] == ["{}"]
    with pytest.raises(ValueError, match="takes 'json'"):
        OllamaLLM(model="tiny", structured_output={"format": "regex", "schema": "a"})


def test_raw_prompts_and_magpie(server: JsonServer, tiny_model_path: Path) -> None:
    magpie = {
        "tokenizer_id": str(tiny_model_path),
        "use_magpie_template": True,
        "magpie_pre_query_template": "<|user|>",
    }
    system = [{"role": "system", "content": "Be kind."}]
    answered(server, "2 + 2 =")
    answered(server, system, **magpie)
    answered(server, CHAT, tokenizer_id=str(tiny_model_path))
    assert [request.path for request in server.received] == ["/api/generate"] * 3
    assert all(request.body["raw"] is True for request in server.received)
    assert [request.body["prompt"] for request in server.received] == [
        "2 + 2 =",
        "<|system|>Be kind.</s><|user|>",
        "<|user|>Hi</s><|assistant|>",
    ]


def test_images_are_beside_the_text(server: JsonServer) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}
    far = {"type": "image_url", "image_url": {"url": "https://example.org/x.png"}}
    text = {"type": "text", "text": "What is this?"}
    outputs = answered(
        server,
        [{"role": "user", "content": [text, image]}],
        [{"role": "user", "content": [text, far]}],
    )
    assert server.received[0].body["messages"] == [
        {"role": "user", "content": "What is this?", "images": ["aGk="]}
    ]
    assert outputs[1]["failures"][0]["kind"] == "refused"


def test_what_fails_is_tried_again_when_the_server_says(server: JsonServer) -> None:
    server.troubles += [
        Answer({"error": "busy"}, 503, {"retry-after": "0.01"}),
        Answer({"error": "slow down"}, 429, {"retry-after": "0.01"}),
        None,
        Answer(b"<html>", 200),
    ]
    (output,) = answered(server)
    assert output["generations"] == ["Hello!"] and len(server.received) == 5


def test_what_stays_unanswered_costs_its_row_or_ends_the_run(server: JsonServer) -> None:
    server.troubles.append(Answer({"error": "prompt is too long: context length 10"}, 400))
    (output,) = answered(server, max_retries=0)
    assert output["failures"][0]["kind"] == "too_long"
    with pytest.raises(EngineError, match="model 'other' not found"):
        answered(server, model="other")
    with pytest.raises(EngineError, match="can't be reached"):
        answered(server, host="http://127.0.0.1:1", max_retries=0)


def test_a_long_wait_is_ended(server: JsonServer) -> None:
    import threading

    release = threading.Event()

    def slow(request: Request) -> Answer:
        release.wait(30)
        return answer(request)

    with JsonServer(slow) as stuck:
        (output,) = answered(stuck, timeout=0.2, max_retries=0)
        release.set()
    assert output["failures"][0]["kind"] == "timeout"


def test_arguments_are_checked_early() -> None:
    with pytest.raises(DistilabelUserError, match="Did you mean 'options'"):
        OllamaLLM(model="x", generation_kwargs={"option": {}}).check_generation_kwargs()
    with pytest.raises(ValueError, match="tokenizer_id"):
        OllamaLLM(model="x", use_magpie_template=True, magpie_pre_query_template="qwen2")
    assert json.dumps(OllamaLLM(model="x").dump())
