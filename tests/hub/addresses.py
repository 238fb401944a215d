"""How repositories are named in addresses."""

from __future__ import annotations

from aiohttp import web

from tests.hub.storage import REPO_TYPES

# A repository's address below /api; the type is checked by the pattern, so an unknown one is a 404.
REPO = "/api/{type:models|datasets|spaces}/{namespace}/{name}"


def repo_type(request: web.Request) -> str:
    """The repository type of a route: `datasets` in its path is type `dataset`."""
    return request.match_info.get("type", "models").removesuffix("s")


def repo_id(request: web.Request) -> str:
    return f"{request.match_info['namespace']}/{request.match_info['name']}"


def web_path(repo_type: str, repo_id: str) -> str:
    """The path of a repository's page, and the prefix of its files."""
    assert repo_type in REPO_TYPES
    return f"/{repo_id}" if repo_type == "model" else f"/{repo_type}s/{repo_id}"
