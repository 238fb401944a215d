"""What all tests share: a run directory of their own, the Hub, one engine, one Flink, one Prism."""

import os
import signal
from typing import Any

import hypothesis
import pytest

from tests.engine_fixtures import tiny_llm, tiny_model_path  # noqa: F401
from tests.flink.fixtures import flink, session_cluster  # noqa: F401
from tests.hub.fixtures import hub, hub_client, hub_server  # noqa: F401
from tests.prism import prism  # noqa: F401

# Workers that start before a test takes `hub_client` need it too: the test Hub doesn't speak Xet.
os.environ["HF_HUB_DISABLE_XET"] = "1"
# vLLM's worker processes don't end by themselves on CPUs; after so many seconds they are made to.
os.environ.setdefault("VLLM_WORKER_SHUTDOWN_TIMEOUT_SECONDS", "1")

# What a shell starts in the background ignores Ctrl-C, and so would the programs that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says something of the host only.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With several test processes, a file stays in one, and so does all that uses the engine."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return "engine" if file.startswith("tests/models/vllm/") else file

    return ByFile(config, log)


@pytest.fixture(autouse=True)
def own_cache_dir(tmp_path, monkeypatch):
    """Runs without an `output_dir` stay inside of the test's folder."""
    monkeypatch.setenv("DISTILABEL_CACHE_DIR", str(tmp_path / "cache"))
