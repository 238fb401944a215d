"""Fixtures that `tests/conftest.py` imports: `hub`, `hub_client`, `hub_server`."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub.client import patch_client
from tests.hub.server import HubServer

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def hub_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubServer]:
    """One server for the whole session; tests take `hub`."""
    with HubServer(tmp_path_factory.mktemp("hub")) as server:
        yield server


@pytest.fixture
def hub(hub_server: HubServer) -> Iterator[HubServer]:
    """The server with a user and a namespace that no other test has, no faults, an empty log."""
    hub_server.reset(f"user-{next(_numbers)}")
    yield hub_server
    hub_server.clear_faults()


@pytest.fixture
def hub_client(
    hub: HubServer, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Point this process's clients, logged in, to `hub`; the value is their `HF_HOME`."""
    home = tmp_path_factory.mktemp("hf-home")
    patch_client(monkeypatch, hub, home)
    return home
