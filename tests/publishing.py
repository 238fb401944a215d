"""Publishing in tests: quick retries, small shards, and what a repository then holds."""

from __future__ import annotations

import hashlib
import io
import time
import types
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_distilabel.hub import Publication, StoredFile, retrying
from beam_distilabel.hub.publication import digest_of
from beam_distilabel.row import Row
from tests.hub import HubServer


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries of ours and of the client wait for nothing."""
    monkeypatch.setattr(retrying, "FIRST_DELAY", 0.001)
    monkeypatch.setattr(retrying, "MAX_DELAY", 0.002)
    clock = types.SimpleNamespace(sleep=lambda seconds: None, time=time.time)
    monkeypatch.setattr("huggingface_hub.utils._http.time", clock)


def shard(folder: Path, path: str, rows: list[Row]) -> StoredFile:
    """A Parquet file of `rows` in `folder`, to be published at `path`."""
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), target)
    content = target.read_bytes()
    return StoredFile(str(target), path, len(content), hashlib.sha256(content).hexdigest())


def publication(
    files: list[StoredFile], splits: frozenset[str] | None = None, window: str = ""
) -> Publication:
    """A publication of `files`, each config by its folder."""
    configs = {file.path.split("/")[0] for file in files}
    return Publication(
        files=files,
        replaces=dict.fromkeys(configs, splits),
        content=digest_of(files),
        window=window,
        texts={"pipeline.yaml": "pipeline: {}\n"},
        make_card=lambda existing, hide: "# Rows\n",
    )


def titles(hub: HubServer, repo_id: str, revision: str = "main") -> list[str]:
    """The titles of the commits, newest first."""
    return [commit.title for commit in hub.repo(repo_id).history(revision)]


def shards_of(hub: HubServer, repo_id: str, revision: str = "main") -> dict[str, list[Row]]:
    """The Parquet files of a repository and their rows."""
    repo = hub.repo(repo_id)
    return {
        path: pq.read_table(io.BytesIO(repo.read(file))).to_pylist()
        for path, file in sorted(repo.resolve(revision).files.items())
        if path.endswith(".parquet")
    }


def numbers(total: int) -> Iterator[Row]:
    """Rows that tell each other apart."""
    return ({"n": n, "text": f"row {n}"} for n in range(total))
