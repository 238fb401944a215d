"""The fixture `openai_server`, and this process without keys of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.openai_server.server import OpenAIServer


@pytest.fixture
def openai_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIServer]:
    """A server of the test's own; no environment variable leads to another one."""
    for name in list(os.environ):
        if name.startswith(("OPENAI_", "AZURE_OPENAI_", "TOGETHER_", "ANYSCALE_", "VLLM_API_KEY")):
            monkeypatch.delenv(name)
    with OpenAIServer() as server:
        yield server
