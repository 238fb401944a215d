"""The Hugging Face Hub: whether it answers, whose token there is, and what it may do."""

from __future__ import annotations

from typing import Any

from pydantic import SecretStr

from beam_distilabel.doctor.check import Finding
from beam_distilabel.hub.retrying import status_of
from beam_distilabel.hub.target import read_token

_LOGIN = "`hf auth login`, or set HF_TOKEN"
_WRITES = frozenset(("repo.write", "repo.content.write"))


def hub_endpoint() -> str | None:
    """The Hub's address; None where this environment is to stay offline (HF_HUB_OFFLINE)."""
    from huggingface_hub import constants

    return None if constants.HF_HUB_OFFLINE else str(constants.ENDPOINT)


def look_at_token(token: SecretStr | None = None) -> Finding:
    """Whose the token is.

    Args:
        token: that is meant; that of HF_TOKEN or `hf auth login` if None.
    """
    found = _whoami(token)
    if isinstance(found, Finding):
        return found
    orgs = ", ".join(org["name"] for org in found.get("orgs", []))
    where = f" at {hub_endpoint()}"
    return Finding("ok", f"{found['name']}{where}{f'; organizations: {orgs}' if orgs else ''}")


def look_at_rights(token: SecretStr | None = None, repo_id: str | None = None) -> Finding:
    """Whether datasets can be published with the token.

    Args:
        token: see `look_at_token`.
        repo_id: the dataset that is to be written; None for any of the user's own.
    """
    found = _whoami(token)
    if isinstance(found, Finding):
        return Finding("skipped", "without a token that works nothing is published")
    access = (found.get("auth") or {}).get("accessToken") or {}
    role = str(access.get("role", "unknown"))
    if repo_id is not None:
        return _look_at_repository(repo_id, read_token(token), role)
    if role == "fineGrained":
        return _look_at_scopes(access.get("fineGrained") or {})
    if role == "read":
        return Finding("warning", "the token has the role 'read'", _WITH_WRITE)
    return Finding("ok", f"the token has the role {role!r}")


_WITH_WRITE = "To publish, make a token with the right to write: huggingface.co/settings/tokens."


def _look_at_scopes(rights: dict[str, Any]) -> Finding:
    scopes = [
        str((scope.get("entity") or {}).get("name", "?"))
        for scope in rights.get("scoped", [])
        if _WRITES & set(scope.get("permissions", []))
    ]
    everywhere = _WRITES & set(rights.get("global", []))
    if not scopes and not everywhere:
        return Finding("warning", "the token is fine-grained and can't write", _WITH_WRITE)
    return Finding("ok", f"the token is fine-grained; it may write to {', '.join(scopes) or 'all'}")


def _look_at_repository(repo_id: str, token: str | None, role: str) -> Finding:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError

    api = HfApi(endpoint=hub_endpoint(), token=token)
    try:
        api.repo_info(repo_id, repo_type="dataset")
    except RepositoryNotFoundError:
        if role == "read":
            return Finding(
                "failed",
                f"the dataset {repo_id!r} doesn't exist, and the token has the role 'read'",
                _WITH_WRITE,
            )
        return Finding(
            "warning",
            f"the dataset {repo_id!r} doesn't exist, or the token doesn't see it",
            f"A run will try to create it. If it exists: use a token that may see it ({_LOGIN}).",
        )
    except Exception as error:
        return Finding("failed", _told(error), _REACH)
    try:
        api.auth_check(repo_id, repo_type="dataset", write=True)
    except Exception as error:
        if status_of(error) in (401, 403, 404):
            return Finding(
                "failed",
                f"the token (role {role!r}) may not write to the dataset {repo_id!r}",
                f"{_WITH_WRITE} Or publish with create_pr=True.",
            )
        return Finding("failed", _told(error), _REACH)
    return Finding("ok", f"the token (role {role!r}) may write to the dataset {repo_id!r}")


_REACH = (
    "Look at the network, the proxy (https_proxy) and HF_ENDPOINT; HF_HUB_OFFLINE=1 works without "
    "the Hub, on what is in the cache."
)


def _whoami(token: SecretStr | None) -> dict[str, Any] | Finding:
    from huggingface_hub import HfApi

    endpoint = hub_endpoint()
    if endpoint is None:
        return Finding("skipped", "HF_HUB_OFFLINE is set: the Hub isn't asked")
    given = read_token(token)
    if given is None:
        return Finding(
            "warning",
            "there is no token: only what is public can be read, and nothing published",
            f"If you need more: {_LOGIN}.",
        )
    try:
        return dict(HfApi(endpoint=endpoint, token=given).whoami())
    except Exception as error:
        if status_of(error) in (401, 403):
            return Finding(
                "failed", f"{endpoint} doesn't accept the token", f"Get a valid one: {_LOGIN}."
            )
        return Finding("failed", f"{endpoint} doesn't answer: {_told(error)}", _REACH)


def _told(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else ''}"


__all__ = ["hub_endpoint", "look_at_rights", "look_at_token"]
