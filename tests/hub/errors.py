"""The errors that the Hub answers with, and the headers from which the client tells them apart."""

from __future__ import annotations

from aiohttp import web

COMMIT_IN_PROGRESS = (
    "Another commit operation is in progress for this repository. Please try again later."
)
HEAD_MOVED = "A commit has happened since. Please refresh and try again."
NO_RIGHT_TO_PUSH = "Forbidden: pass `create_pr=1` as a query parameter to create a Pull Request"


class HubError(Exception):
    """An answer other than success: status, `X-Error-Code` (may be None) and message."""

    def __init__(self, status: int, code: str | None, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message

    def response(self) -> web.Response:
        headers = {"X-Error-Message": " ".join(self.message.split())}
        if self.code is not None:
            headers["X-Error-Code"] = self.code
        return web.json_response({"error": self.message}, status=self.status, headers=headers)


def repo_not_found(*, authenticated: bool) -> HubError:
    # Without a token the Hub doesn't tell a private repository from a missing one: 401 for both.
    return HubError(404 if authenticated else 401, "RepoNotFound", "Repository not found")


def revision_not_found(revision: str) -> HubError:
    return HubError(404, "RevisionNotFound", f"Invalid rev id: {revision}")


def entry_not_found(path: str) -> HubError:
    return HubError(404, "EntryNotFound", f"Entry not found: {path}")


def gated(repo_id: str, *, authenticated: bool) -> HubError:
    message = f"Access to {repo_id} is restricted: ask its owner for access."
    return HubError(403 if authenticated else 401, "GatedRepo", message)


def bad_request(message: str) -> HubError:
    return HubError(400, None, message)


def forbidden(message: str) -> HubError:
    return HubError(403, None, message)


def conflict(message: str) -> HubError:
    return HubError(409, None, message)


def precondition_failed(message: str) -> HubError:
    return HubError(412, None, message)
