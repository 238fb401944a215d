"""The fixtures `provider` (one test for each), and `server` of its protocol."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.openai_server import OpenAIServer
from tests.provider_servers.providers import PROVIDERS, Provider

_VARIABLES = ("ANTHROPIC_", "COHERE_", "CO_API", "GEMINI_", "GOOGLE_", "GROQ_", "MISTRAL_")


@pytest.fixture(params=PROVIDERS, ids=[provider.name for provider in PROVIDERS])
def provider(request: pytest.FixtureRequest) -> Provider:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def server(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIServer]:
    """A server of the test's own; no environment variable leads to another one."""
    clean_environment(monkeypatch)
    with provider.server() as running:
        yield running


def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No keys and addresses of one's own."""
    for name in list(os.environ):
        if name.startswith((*_VARIABLES, "OPENAI_", "HF_TOKEN", "OLLAMA_")):
            monkeypatch.delenv(name)
    # Or it looks for prices in the network when it is imported.
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
