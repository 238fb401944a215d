"""Users, tokens, and who may read or write a repository."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from aiohttp import web

from tests.hub.errors import HubError, forbidden, gated, repo_not_found
from tests.hub.storage import Repo, Store


@dataclass(frozen=True)
class User:
    """Who has a token; writes to its own namespace and to `orgs` (with role "read": nowhere)."""

    name: str
    orgs: tuple[str, ...] = ()
    role: str = "write"

    def owns(self, namespace: str) -> bool:
        return namespace == self.name or namespace in self.orgs


class Access:
    """The tokens that are valid, and the checks that every route begins with."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._users: dict[str, User] = {}
        self._granted: set[tuple[str, str, str]] = set()  # (user, repo type, repo id)

    def add_user(self, user: User) -> str:
        """Make a token for the user."""
        token = f"hf_{secrets.token_hex(16)}"
        self._users[token] = user
        return token

    def revoke(self, token: str) -> None:
        del self._users[token]

    def grant(self, user_name: str, repo: Repo) -> None:
        """Let a user who doesn't own it read the files of a private or gated repository."""
        self._granted.add((user_name, repo.type, repo.id))

    def user(self, request: web.Request) -> User | None:
        """Who asks: None without a token; 401 for a token that isn't valid."""
        header = request.headers.get("Authorization")
        if header is None:
            return None
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer" or token not in self._users:
            raise HubError(401, None, "Invalid credentials in Authorization header")
        return self._users[token]

    def require_user(self, request: web.Request) -> User:
        user = self.user(request)
        if user is None:
            raise HubError(401, None, "Invalid username or password.")
        return user

    def _sees(self, user: User | None, repo: Repo) -> bool:
        if user is None:
            return False
        return user.owns(repo.id.split("/")[0]) or (user.name, repo.type, repo.id) in self._granted

    def read(self, request: web.Request, repo_id: str, repo_type: str) -> Repo:
        """The repository, if the one who asks may know of it."""
        user = self.user(request)
        repo = self._store.get(repo_id, repo_type)
        if repo is None or (repo.private and not self._sees(user, repo)):
            raise repo_not_found(authenticated=user is not None)
        return repo

    def read_files(self, request: web.Request, repo_id: str, repo_type: str) -> Repo:
        """As `read`, and 401 or 403 `GatedRepo` where only metadata is open."""
        repo = self.read(request, repo_id, repo_type)
        user = self.user(request)
        if repo.gated and not self._sees(user, repo):
            raise gated(repo.id, authenticated=user is not None)
        return repo

    def write(
        self, request: web.Request, repo_id: str, repo_type: str, *, as_pull_request: bool = False
    ) -> tuple[User, Repo]:
        """The user and the repository to write to; a pull request needs the right to read only."""
        repo = self.read(request, repo_id, repo_type)
        user = self.require_user(request)
        self._require_write_token(user)
        if not as_pull_request and not user.owns(repo.id.split("/")[0]):
            raise forbidden(f"{user.name} has no right to write to {repo.id}")
        return user, repo

    def write_namespace(self, request: web.Request, namespace: str | None) -> tuple[User, str]:
        user = self.require_user(request)
        self._require_write_token(user)
        namespace = namespace or user.name
        if not user.owns(namespace):
            raise forbidden(f"{user.name} has no right to create a repository below {namespace}")
        return user, namespace

    @staticmethod
    def _require_write_token(user: User) -> None:
        if user.role != "write":
            raise forbidden("This token may only read: a token with the role 'write' is needed.")
