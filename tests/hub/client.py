"""Pointing the unmodified clients at a `HubServer`, in a subprocess or in this process."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

    from tests.hub.server import HubServer

# Read by `huggingface_hub` and `datasets` when they are imported.
_SETTINGS = {
    "HF_HUB_DISABLE_XET": "1",  # the server speaks LFS
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_UPDATE_CHECK": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "HF_UPDATE_DOWNLOAD_COUNTS": "0",  # else `load_dataset` asks a server of the real Hub
    "HF_HUB_OFFLINE": "0",
    "HF_DATASETS_OFFLINE": "0",
    "NO_PROXY": "127.0.0.1,localhost",
    "no_proxy": "127.0.0.1,localhost",
}
# Would override what is set here.
_CLEARED = (
    "HF_HUB_CACHE",
    "HUGGINGFACE_HUB_CACHE",
    "HF_DATASETS_CACHE",
    "HF_TOKEN_PATH",
    "HUGGING_FACE_HUB_TOKEN",
    "HUGGINGFACE_CO_STAGING",
    "TRANSFORMERS_OFFLINE",
)


def client_env(hub: HubServer, home: Path, *, token: bool = True) -> dict[str, str]:
    """The whole environment for a subprocess whose clients use `hub`.

    Args:
        hub: A running server.
        home: An empty folder for caches (`HF_HOME`).
        token: Whether the process is logged in as `hub.namespace`.
    """
    env = {key: value for key, value in os.environ.items() if key not in (*_CLEARED, "HF_TOKEN")}
    env.update(_SETTINGS, HF_ENDPOINT=hub.url, HF_HOME=str(home))
    if token:
        env["HF_TOKEN"] = hub.token
    return env


def patch_client(
    monkeypatch: pytest.MonkeyPatch, hub: HubServer, home: Path, *, token: bool = True
) -> None:
    """Point this process's clients to `hub` until the test ends; see the package's docstring."""
    import datasets
    import huggingface_hub
    from huggingface_hub import constants, hf_api, hf_file_system
    from huggingface_hub.utils import _http

    for name, value in client_env(hub, home, token=token).items():
        monkeypatch.setenv(name, value)
    for name in (*_CLEARED, *(() if token else ("HF_TOKEN",))):
        monkeypatch.delenv(name, raising=False)

    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    # `hf_hub_url` swaps the endpoint in only where the template begins with `ENDPOINT`.
    template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HOME", str(home))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(home / "token"))
    monkeypatch.setattr(constants, "HF_STORED_TOKENS_PATH", str(home / "stored_tokens"))
    # A 401 about a repository means "not found or no access" to the client, if it came over https.
    over_https = _http.REPO_API_REGEX
    monkeypatch.setattr(
        _http,
        "REPO_API_REGEX",
        re.compile(over_https.pattern.replace("^https://", "^https?://"), over_https.flags),
    )
    # `huggingface_hub.create_repo(...)` and its like are methods of this one object.
    monkeypatch.setattr(hf_api.api, "endpoint", hub.url)
    monkeypatch.setattr(hf_file_system.hffs, "endpoint", hub.url)
    monkeypatch.setattr(hf_file_system.hffs._api, "endpoint", hub.url)

    config = datasets.config
    monkeypatch.setattr(config, "HF_ENDPOINT", hub.url)
    monkeypatch.setattr(
        config, "HUB_DATASETS_URL", hub.url + "/datasets/{repo_id}/resolve/{revision}/{path}"
    )
    monkeypatch.setattr(config, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(config, "HF_UPDATE_DOWNLOAD_COUNTS", False)
    monkeypatch.setattr(config, "HF_CACHE_HOME", str(home))
    monkeypatch.setattr(config, "HF_DATASETS_CACHE", home / "datasets")
    monkeypatch.setattr(config, "DOWNLOADED_DATASETS_PATH", home / "datasets" / "downloads")
    monkeypatch.setattr(
        config, "EXTRACTED_DATASETS_PATH", home / "datasets" / "downloads" / "extracted"
    )

    # File systems are cached by endpoint and token, with their listings: none from an earlier test.
    huggingface_hub.HfFileSystem.clear_instance_cache()
    # The session took the proxies from the environment when it was made.
    huggingface_hub.close_session()
