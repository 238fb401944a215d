"""`vLLM(engine="url")`: against vLLM's own server, and against one that fails in many ways."""

from __future__ import annotations

import asyncio
import os
import pickle
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from beam_distilabel.errors import DistilabelUserError, EngineError, GenerationError
from beam_distilabel.models.engine import GenerateRequest
from beam_distilabel.models.remote.retries import RetryPolicy
from beam_distilabel.models.vllm import url, vLLM
from beam_distilabel.models.vllm.url import VLLMUrlEngine
from tests.models.vllm.parity import answers

KEY = "a-long-secret"
CHAT: Any = [{"role": "user", "content": "hi"}]


class Server:
    """Speaks the protocol; answers each completion as `script` says, then as it should."""

    def __init__(self) -> None:
        self.script: list[Any] = []
        self.bodies: list[Any] = []
        self.follows = True
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.base_url = asyncio.run_coroutine_threadsafe(self._start(), self.loop).result()

    async def _start(self) -> str:
        application = web.Application()
        application.router.add_get("/v1/models", self._models)
        application.router.add_post("/v1/chat/completions", self._complete)
        application.router.add_post("/v1/completions", self._follow)
        self.runner = web.AppRunner(application)
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", 0)
        await site.start()
        return f"http://127.0.0.1:{self.runner.addresses[0][1]}/v1"

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self.runner.cleanup(), self.loop).result()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    async def _models(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return web.json_response({"error": f"no key like {KEY}"}, status=401)
        return web.json_response({"data": [{"id": "m", "max_model_len": 64}]})

    async def _follow(self, request: web.Request) -> web.Response:
        """Says the first choice, or ignores what it doesn't know, as servers of old do."""
        body = await request.json()
        self.bodies.append(body)
        text = body["structured_outputs"]["choice"][0] if self.follows else "Hello!"
        return web.json_response(
            {
                "choices": [{"text": text, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 3, "completion_tokens": 1},
            }
        )

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        self.bodies.append(await request.json())
        what = self.script.pop(0) if self.script else None
        if what == "drop":
            assert request.transport is not None
            request.transport.abort()
        if what == "garbage":
            return web.Response(text="<html>")
        if what == "redirect":
            raise web.HTTPTemporaryRedirect("http://elsewhere.example/v1/chat/completions")
        if isinstance(what, dict):
            return web.json_response(**what)
        if isinstance(what, int):
            return web.json_response({"error": {"message": f"status {what}"}}, status=what)
        return web.json_response(
            {
                "choices": [{"message": {"content": "yes"}, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 3, "completion_tokens": 1},
            }
        )


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(url, "POLICY", RetryPolicy(max_retries=3, timeout=20.0, deadline=60.0))
    monkeypatch.setattr("beam_distilabel.models.remote.retries.FIRST_PAUSE_SECONDS", 0.01)
    one = Server()
    yield one
    one.close()


@pytest.fixture
def engine(server: Server) -> Iterator[VLLMUrlEngine]:
    llm = vLLM(model="m", engine="url", base_url=server.base_url, api_key=KEY)
    engine = llm.load_model()
    assert isinstance(engine, VLLMUrlEngine)
    yield engine
    engine.release()


def ask(engine: VLLMUrlEngine, n: int = 1, seed: int | None = None, **kwargs: Any) -> Any:
    return engine.call(engine.generate(GenerateRequest(CHAT, n, kwargs, seed)))


def test_what_may_yet_be_answered_is_asked_again(server: Server, engine: VLLMUrlEngine) -> None:
    server.script = ["drop", 500, "garbage"]
    assert ask(engine)["generations"] == ["yes"]
    assert len(server.bodies) == 4
    server.script = [503] * 4
    with pytest.raises(GenerationError, match="503.*gave up after 4 attempts") as failure:
        ask(engine)
    assert failure.value.kind == "engine"
    server.script = [429] * 5  # no room isn't a failure
    assert ask(engine)["generations"] == ["yes"]
    server.script = [400]
    with pytest.raises(GenerationError, match="status 400") as failure:
        ask(engine)
    assert failure.value.kind == "refused"
    assert ask(engine)["generations"] == ["yes"]


def usage(**more: Any) -> dict[str, Any]:
    return {"usage": {"prompt_tokens": 3, "completion_tokens": 1}, **more}


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"error": {"message": "out of luck"}}, "no choices.*out of luck"),
        (None, "no choices"),
        ([], "no choices"),
        (usage(), "no choices"),
        (usage(choices=[]), "no choices"),
        (usage(choices=[{"finish_reason": "stop"}]), "without a text"),
        (usage(choices=[{"message": {"content": [{"type": "text"}]}}]), "is no text"),
        ({"choices": [{"message": {"content": "yes"}}], "usage": None}, "no token counts"),
    ],
)
def test_an_answer_of_another_protocol_is_asked_for_again(
    server: Server, engine: VLLMUrlEngine, answer: Any, message: str
) -> None:
    server.script = [{"data": answer}]
    assert ask(engine)["generations"] == ["yes"] and len(server.bodies) == 2
    server.script = [{"data": answer}] * 4
    with pytest.raises(GenerationError, match=f"can't be read: .*{message}") as failure:
        ask(engine)
    assert failure.value.kind == "engine"


def test_a_redirect_is_not_followed(server: Server, engine: VLLMUrlEngine) -> None:
    server.script = ["redirect"]
    with pytest.raises(GenerationError, match="to http://elsewhere.example, which") as failure:
        ask(engine)
    assert failure.value.kind == "refused" and len(server.bodies) == 1


def test_what_is_sent(server: Server, engine: VLLMUrlEngine) -> None:
    output = ask(engine, 2, 7, stop=["x"], extra_sampling_params={"min_tokens": 2})
    assert output["generations"] == ["yes", "yes"]
    assert output["statistics"] == {"input_tokens": [3], "output_tokens": [1, 1]}
    assert sorted(body["seed"] for body in server.bodies) == [7, 8]
    body = server.bodies[0]
    assert body["messages"] == CHAT and body["model"] == "m" and body["max_tokens"] == 128
    assert body["stop"] == ["x"] and body["min_tokens"] == 2 and body["top_k"] == -1
    with pytest.raises(DistilabelUserError, match="Did you mean 'ignore_eos'"):
        ask(engine, extra_sampling_params={"ignore_eoss": True})


def test_structures_are_checked_after_a_canary(server: Server, engine: VLLMUrlEngine) -> None:
    def asked(*choices: str) -> Any:
        structure = {"format": "choice", "schema": list(choices)}
        return engine.call(engine.generate(GenerateRequest((CHAT, structure), 1, {}, 7)))

    server.follows = False
    with pytest.raises(EngineError, match="vllm at http.* ignores structured output"):
        asked("yes")
    server.follows = True
    assert asked("yes", "no")["generations"] == ["yes"]
    other = asked("no")
    assert other["generations"] == [None]
    assert (other["failures"][0]["kind"], other["failures"][0]["raw_output"]) == ("schema", "yes")
    # Two canaries, the first of which was ignored, and the two requests.
    assert [*server.bodies[2]["structured_outputs"].values()] == [["yes", "no"]]
    assert len(server.bodies) == 4


def test_an_adapter_is_a_model_of_the_server(server: Server, engine: VLLMUrlEngine) -> None:
    engine.call(engine.generate(GenerateRequest(CHAT, 1, {"lora": "adapter"}, 7)))
    assert server.bodies[-1]["model"] == "adapter"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"api_key": "another-secret"}, "401"),
        ({"model": "other"}, "no model 'other'. It has: 'm'"),
        ({"base_url": "http://127.0.0.1:9/v1"}, "can't be reached"),
    ],
)
def test_a_server_that_cannot_be_asked_ends_the_run(
    server: Server, fields: dict[str, Any], message: str
) -> None:
    fields = {"model": "m", "base_url": server.base_url, "api_key": KEY, **fields}
    with pytest.raises(EngineError, match=message) as failure:
        vLLM(engine="url", **fields).load()
    assert fields["api_key"] not in str(failure.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"engine": "url"}, "base_url=None"),
        ({"engine": "url", "base_url": "localhost:8000"}, "base_url='localhost:8000'"),
        ({"engine": "url", "base_url": "http://me:pw@host/v1"}, "without a user"),
        ({"base_url": "http://localhost/v1"}, "takes no `base_url`"),
        ({"engine": "server", "api_key": "x"}, "takes no `api_key`"),
        (
            {"engine": "url", "base_url": "http://h/v1", "extra_kwargs": {"max_num_seqs": 2}},
            "takes no `extra_kwargs`",
        ),
        ({"engine": "url", "base_url": "http://h/v1", "cuda_devices": [0]}, "`cuda_devices`"),
        ({"engine": "remote"}, "embedded"),
    ],
)
def test_wrong_fields(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        vLLM(model="m", **fields)


def test_the_key_is_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_API_KEY", KEY)
    one = vLLM(model="m", engine="url", base_url="http://h/v1")
    assert one.api_key is not None and one.api_key.get_secret_value() == KEY
    assert KEY not in str(one.dump()) + repr(one) + str(one.identity())
    other = vLLM(model="m", engine="url", base_url="http://h/v1", api_key="another")
    assert other.identity() == one.identity() and other.fingerprint() != one.fingerprint()
    assert vLLM(model="m").api_key is None
    # Wherever a model runs, its answers are worth the same.
    assert vLLM(model="m").identity() == vLLM(model="m", engine="server").identity()
    assert vLLM(model="m").fingerprint() != vLLM(model="m", engine="server").fingerprint()


def test_where_the_engine_is_by_default() -> None:
    llm = vLLM(model="m")
    assert llm.engine is None
    assert llm.place == "embedded"
    assert llm.fingerprint() == vLLM(model="m", engine="embedded").fingerprint()
    before = (llm.identity(), llm.answer_identity(), llm.dump())
    llm.use_default_engine("server")
    assert llm.place == "server"
    assert llm.fingerprint() == vLLM(model="m", engine="server").fingerprint()
    assert (llm.identity(), llm.answer_identity(), llm.dump()) == before
    for copied in (llm.copied(), pickle.loads(pickle.dumps(llm))):
        assert copied.place == "server" and copied.engine is None
    chosen = vLLM(model="m", engine="url", base_url="http://h/v1")
    chosen.use_default_engine("server")
    assert chosen.place == "url"


@pytest.mark.slow
def test_vllms_server_answers_as_the_embedded_engine(
    tiny_llm: vLLM, tiny_model_path: Path, tmp_path: Path, unused_port: int
) -> None:
    log = tmp_path / "server.log"
    with log.open("wb") as output:
        # The command `vllm` of the CPU build can't start: it asks for the version of the GPU build.
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "vllm.entrypoints.openai.api_server"),
                *("--model", str(tiny_model_path), "--port", str(unused_port)),
                *("--host", "127.0.0.1", "--enforce-eager", "--no-enable-chunked-prefill"),
            ],
            env={**os.environ, "VLLM_API_KEY": KEY, "VLLM_CPU_KVCACHE_SPACE": "1"},
            stdout=output,
            stderr=output,
        )
    try:
        base_url = f"http://127.0.0.1:{unused_port}"
        ready = False
        while not ready:
            assert process.poll() is None, log.read_text(encoding="utf-8")
            try:
                ready = urllib.request.urlopen(f"{base_url}/health", timeout=5).status == 200
            except (urllib.error.URLError, TimeoutError, ConnectionError):
                pass
        llm = vLLM(model=str(tiny_model_path), engine="url", base_url=f"{base_url}/v1", api_key=KEY)
        here, there = tiny_llm.load_model(), llm.load_model()
        try:
            assert answers(there, greedy=True) == answers(here, greedy=True)
        finally:
            there.release()
            here.release()
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def unused_port() -> int:
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port
