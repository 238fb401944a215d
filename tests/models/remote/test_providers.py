"""What single providers' LLMs do that others don't."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from pydantic import BaseModel

from beam_distilabel.errors import DistilabelUserError, EngineError, GenerationError
from beam_distilabel.models.llms import (
    AnthropicLLM,
    CohereLLM,
    GroqLLM,
    LiteLLM,
    MistralLLM,
    VertexAILLM,
)
from beam_distilabel.models.remote.errors import safe_message
from beam_distilabel.models.remote.messages import parts_of
from beam_distilabel.models.user_engine import merge_outputs
from tests.openai_server import Fault
from tests.provider_servers import PROVIDERS, Provider
from tests.provider_servers.anthropic import AnthropicServer
from tests.provider_servers.fixtures import clean_environment
from tests.provider_servers.google import VertexServer
from tests.provider_servers.mistral import MistralServer

_BY_NAME = {provider.name: provider for provider in PROVIDERS}


class Person(BaseModel):
    name: str
    age: int


@pytest.fixture(autouse=True)
def no_keys_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    clean_environment(monkeypatch)


def named(name: str) -> Provider:
    return _BY_NAME[name]


def ask(llm: Any, *prompts: str, n: int = 1) -> list[Any]:
    llm.load()
    try:
        chats = [[{"role": "user", "content": prompt}] for prompt in prompts]
        return llm.generate_outputs(chats, num_generations=n, **llm.get_generation_kwargs())
    finally:
        llm.unload()


@pytest.mark.parametrize(
    ("cls", "variables", "fields"),
    [
        (
            AnthropicLLM,
            {"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": "http://a"},
            {"api_key": "k", "base_url": "http://a"},
        ),
        (
            CohereLLM,
            {"COHERE_API_KEY": "k", "COHERE_BASE_URL": "http://a"},
            {"api_key": "k", "base_url": "http://a"},
        ),
        (
            GroqLLM,
            {"GROQ_API_KEY": "k", "GROQ_BASE_URL": "http://a"},
            {"api_key": "k", "base_url": "http://a"},
        ),
        (MistralLLM, {"MISTRAL_API_KEY": "k"}, {"api_key": "k"}),
        (
            VertexAILLM,
            {"GOOGLE_CLOUD_PROJECT": "p", "GOOGLE_CLOUD_LOCATION": "europe-west1"},
            {"project": "p", "location": "europe-west1"},
        ),
    ],
)
def test_environment_variables(
    cls: type, variables: dict[str, str], fields: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    llm = cls(model="m")
    for name, value in fields.items():
        found = getattr(llm, name)
        assert (found.get_secret_value() if name == "api_key" else found) == value


@pytest.mark.parametrize("cls", [AnthropicLLM, CohereLLM, GroqLLM, MistralLLM])
def test_no_key(cls: type) -> None:
    with pytest.raises(DistilabelUserError, match="has no API key: .*_API_KEY"):
        cls(model="m").load()


@pytest.mark.parametrize("name", ["AnthropicLLM", "GroqLLM"])
def test_one_of_several_generations_that_fails_costs_itself(name: str) -> None:
    provider = named(name)
    with provider.server() as server:
        server.faults.append(Fault("status", times=1, status=400, message="not this one"))
        (output,) = ask(provider.make(server), "a", n=3)
    assert sorted(map(str, output["generations"])) == ["None", "answer to a", "answer to a"]
    failed = output["generations"].index(None)
    assert [failure is not None for failure in output["failures"]] == [
        index == failed for index in range(3)
    ]
    assert output["statistics"]["output_tokens"][failed] == 0
    assert len(output["statistics"]["input_tokens"]) == 3


def test_merged_outputs_keep_positions() -> None:
    failure = {"kind": "refused", "message": "no", "attempts": 1}
    merged = merge_outputs(
        [
            {"generations": ["a"], "statistics": {"output_tokens": [2]}},
            {"generations": [None], "statistics": {}, "failures": [failure]},
        ]
    )
    assert merged["failures"] == [None, failure]
    assert merged["statistics"] == {"output_tokens": [2, 0]}


def test_models_of_anthropic_without_formats_answer_by_a_tool() -> None:
    with AnthropicServer() as server:
        server.knows_formats = False
        server.answer = lambda body, index: '{"name": "Ada", "age": 36}'
        llm = named("AnthropicLLM").make(server, structured_output={"schema": Person})
        (output,) = ask(llm, "a")
    assert json.loads(output["generations"][0]) == {"name": "Ada", "age": 36}
    assert output["finish_reasons"] == ["stop"]
    # What it refused isn't answered here as a message of its own.
    (received,) = server.received
    assert received.body["tools"][0]["input_schema"] == Person.model_json_schema()
    assert received.body["tool_choice"]["name"] == "Person"


def test_anthropic_is_sent_no_default_temperature() -> None:
    """Some of its models take no sampling parameters."""
    with AnthropicServer() as server:
        ask(named("AnthropicLLM").make(server), "a")
        given = {"temperature": 0.5, "top_k": 3, "stop_sequences": ["END"]}
        ask(named("AnthropicLLM").make(server, generation_kwargs=given), "a")
    plain, warm = (received.body for received in server.received)
    assert "temperature" not in plain
    assert (warm["temperature"], warm["top_k"], warm["stop_sequences"]) == (0.5, 3, ["END"])


def test_overload_of_anthropic_is_no_failure_of_the_request() -> None:
    with AnthropicServer() as server:
        server.faults.append(Fault("status", times=3, status=529, message="Overloaded"))
        (output,) = ask(named("AnthropicLLM").make(server, max_retries=0), "a")
    assert output["generations"] == ["answer to a"]


def test_mistral_keeps_distilabels_limit() -> None:
    with MistralServer() as server:
        server.latency = 0.02
        llm = named("MistralLLM").make(server, max_concurrent_requests=3)
        ask(llm, *map(str, range(20)))
    assert server.peak == 3


def test_groq_tells_that_an_answer_has_not_the_form() -> None:
    provider = named("GroqLLM")
    with provider.server() as server:
        server.faults.append(
            Fault(
                "status",
                status=400,
                message="Failed to generate JSON.",
                extra={"code": "json_validate_failed", "failed_generation": "{"},
            )
        )
        (output,) = ask(provider.make(server, structured_output={"schema": Person}), "a")
    assert output["failures"][0]["kind"] == "schema"


def test_litellm_leaves_out_what_the_provider_does_not_take() -> None:
    provider = named("LiteLLM")
    with provider.server() as server:
        server.models.append("o1")
        given = {"temperature": 0.5}
        llm = provider.make(server, model="openai/o1", generation_kwargs=given)
        (output,) = ask(llm, "a")
    assert output["generations"] == ["answer to a"]
    assert "temperature" not in server.received[-1].body


def test_cohere_has_no_raw_prompts_any_more() -> None:
    llm = CohereLLM(model="m", api_key="k", generation_kwargs={"raw_prompting": True})
    with pytest.raises(DistilabelUserError, match="raw_prompting=True isn't possible"):
        llm.check_generation_kwargs()


def service_account(path: Path, token_uri: str) -> Path:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    account = {
        "type": "service_account",
        "project_id": "tests",
        "private_key_id": "1",
        "private_key": pem.decode(),
        "client_email": "tests@tests.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": token_uri,
    }
    path.write_text(json.dumps(account))
    return path


def test_vertex_by_application_default_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with VertexServer() as server:
        file = service_account(tmp_path / "account.json", f"{server.origin}/token")
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
        llm = VertexAILLM(model="tiny", base_url=server.origin, location="europe-west1")
        (output,) = ask(llm, "a")
    assert output["generations"] == ["answer to a"]
    (received,) = server.received
    assert "/projects/tests/locations/europe-west1/publishers/google/models/tiny:" in received.path
    assert received.headers["authorization"] == f"Bearer {server.key}"


def test_vertex_without_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    with pytest.raises(EngineError, match="can't make its client: DefaultCredentialsError"):
        ask(VertexAILLM(model="tiny", project="p"), "a")


@pytest.mark.parametrize(
    "part",
    [
        {"type": "audio", "data": "x"},
        {"type": "image_url", "image_url": {}},
        {"type": "image_url", "image_url": {"url": "file:///etc/passwd"}},
        3,
    ],
)
def test_parts_that_no_message_has(part: Any) -> None:
    with pytest.raises(GenerationError):
        parts_of([part])


@pytest.mark.parametrize("kwargs", [{"api_key": 12345678}, {"model_list": {"api_key": "sk-mine"}}])
def test_no_message_about_a_wrong_argument_shows_a_key(kwargs: dict[str, Any]) -> None:
    llm = LiteLLM(model="openai/m", generation_kwargs=kwargs)
    with pytest.raises(DistilabelUserError, match=f"{next(iter(kwargs))}=") as caught:
        llm.check_generation_kwargs()
    text = str(caught.value)
    assert "***" in text and "12345678" not in text and "sk-mine" not in text


def test_litellm_masks_keys_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "a-key-of-the-environment")
    llm = LiteLLM(model="openai/m")
    trouble = Exception("no such key: a-key-of-the-environment")
    assert safe_message(trouble, llm.secrets()) == "no such key: ***"


def test_litellm_keeps_its_key_out_of_dumps() -> None:
    llm = LiteLLM(model="openai/m", api_key="sk-1", generation_kwargs={"api_key": "sk-2"})
    assert "sk-" not in json.dumps(llm.dump())
    assert llm.secrets()[:2] == ["sk-1", "sk-2"]
