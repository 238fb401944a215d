"""The commits of a repository, newest first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote


def commits(
    endpoint: str, repo_id: str, revision: str, token: str | None
) -> Iterator[dict[str, Any]]:
    """What the Hub says of the commits up to a revision; a page is asked for when it is needed.

    `HfApi.list_repo_commits` reads them all, however many there are.

    Args:
        endpoint: URL of the Hub.
        repo_id: a dataset.
        revision: a branch, a pull request's ref or a commit.
        token: what opens the repository, if it needs one.
    """
    from huggingface_hub import utils

    url = f"{endpoint}/api/datasets/{repo_id}/commits/{quote(revision, safe='')}"
    headers = utils.build_hf_headers(token=token)  # type: ignore[attr-defined]
    yield from utils.paginate(url, {}, headers)  # type: ignore[attr-defined]
