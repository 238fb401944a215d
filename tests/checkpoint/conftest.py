"""Every test has a temporary folder of its own for what hosts keep, and doesn't wait long."""

import tempfile

import pytest

from beam_distilabel import filesystems
from beam_distilabel.checkpoint import opened


@pytest.fixture(autouse=True)
def host(tmp_path, monkeypatch):
    """Where this host keeps copies."""
    folder = tmp_path / "host"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """The next attempt follows at once."""
    monkeypatch.setattr(filesystems, "FIRST_DELAY", 0.001)


@pytest.fixture(autouse=True)
def none_is_left_open():
    """Every test closes what it opened."""
    before = set(opened._open)
    yield
    assert set(opened._open) == before
