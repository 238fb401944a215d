"""The fixture `google`, for test files that import it."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from beam_distilabel.runners.dataflow import DataflowSettings
from tests.dataflow_server.google import Google


class DataflowOfThisHost(DataflowSettings):
    """Settings for the stand-in, whose jobs see this host's files."""

    @property
    def other_hosts(self) -> bool:
        return False


@pytest.fixture
def google(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Google]:
    """A Google of one test's own; skips where its packages are not installed."""
    if importlib.util.find_spec("google.cloud") is None or not all(
        importlib.util.find_spec(f"google.cloud.{name}") for name in ("dataflow", "storage")
    ):
        pytest.skip("Google's packages are not installed: pip install '.[dataflow]'")
    from apache_beam.internal.gcp import auth
    from apache_beam.runners.dataflow import dataflow_runner
    from google.oauth2.service_account import Credentials

    with Google().running() as google:
        key = tmp_path / "key.json"
        google.write_key(key)
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", google.url)
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key))
        monkeypatch.setattr(auth._Credentials, "_credentials_init", False)
        # Google's login asks a server of its own where this account may be used.
        monkeypatch.setattr(
            Credentials,
            "_is_regional_access_boundary_lookup_required",
            lambda _: False,
            raising=False,
        )
        # Beam looks after a job every five seconds.
        impatient = SimpleNamespace(time=time.time, sleep=lambda _: time.sleep(0.05))
        monkeypatch.setattr(dataflow_runner, "time", impatient)
        yield google
