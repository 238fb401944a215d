"""Users, tokens, and who may read or write a repository."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from aiohttp import web

from tests.hub.addresses import repo_id, repo_type
from tests.hub.discussions import pull_ref
from tests.hub.errors import NO_RIGHT_TO_PUSH, HubError, forbidden, gated, repo_not_found
from tests.hub.storage import Repo, Store

READ_CONTENT, WRITE_REPO, WRITE_DISCUSSION = "repo.content.read", "repo.write", "discussion.write"
TOKEN_NAME = "test"
PR_ONLY = (READ_CONTENT, WRITE_DISCUSSION)


@dataclass(frozen=True)
class User:
    """Who has a token, and what the token may do.

    Args:
        name: The account; repositories below this name are its own.
        orgs: Organizations that the account may write to.
        role: "write"; "read": no writing anywhere; "fineGrained": what `permissions` say.
        permissions: Of a fine-grained token, for the account's own namespace and for discussions
            everywhere: `repo.content.read`, `repo.write`, `discussion.write`.
        endless_412: See `HubServer.add_pr_only_token`.
    """

    name: str
    orgs: tuple[str, ...] = ()
    role: str = "write"
    permissions: tuple[str, ...] = ()
    endless_412: bool = False

    def may(self, permission: str) -> bool:
        """Whether the token, aside from its account, has a right."""
        if self.role == "fineGrained":
            implied = permission == READ_CONTENT and WRITE_REPO in self.permissions
            return implied or permission in self.permissions
        return self.role == "write" or permission == READ_CONTENT

    def owns(self, namespace: str) -> bool:
        return namespace == self.name or namespace in self.orgs


class Access:
    """The tokens that are valid, and the checks that every route begins with."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._users: dict[str, User] = {}
        self._expired: set[str] = set()
        self._granted: set[tuple[str, str, str]] = set()  # (user, repo type, repo id)

    def add_user(self, user: User) -> str:
        """Make a token for the user."""
        token = f"hf_{secrets.token_hex(16)}"
        self._users[token] = user
        return token

    def revoke(self, token: str) -> None:
        del self._users[token]

    def expire(self, token: str) -> None:
        if token not in self._users:
            raise KeyError("no such token")
        self._expired.add(token)

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
        if token in self._expired:
            raise HubError(401, None, f'User Access Token "{TOKEN_NAME}" is expired')
        return self._users[token]

    def require_user(self, request: web.Request) -> User:
        user = self.user(request)
        if user is None:
            raise HubError(401, None, "Invalid username or password.")
        return user

    def _sees(self, user: User | None, repo: Repo) -> bool:
        if user is None or not user.may(READ_CONTENT):
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

    def write(self, request: web.Request, repo_id: str, repo_type: str) -> tuple[User, Repo]:
        """The user and the repository whose branches, tags and settings it may change."""
        repo = self.read(request, repo_id, repo_type)
        user = self.require_user(request)
        if not self._may_write(user, repo):
            raise forbidden(NO_RIGHT_TO_PUSH)
        return user, repo

    def push(self, request: web.Request, revision: str | None) -> tuple[User, Repo]:
        """As `write`, to one revision; None is a new pull request, which readers may open.

        The author of a pull request may push to it.
        """
        repo = self.read_files(request, repo_id(request), repo_type(request))
        user = self.require_user(request)
        if revision is None or self.owns_pull(user, repo, revision):
            if not user.may(WRITE_DISCUSSION) and not self._may_write(user, repo):
                raise forbidden("This token may not open pull requests.")
        elif not user.endless_412 and not self._may_write(user, repo):
            raise forbidden(NO_RIGHT_TO_PUSH)
        return user, repo

    def discuss(self, request: web.Request) -> tuple[User, Repo]:
        """The user and the repository whose discussions it may take part in."""
        repo = self.read(request, repo_id(request), repo_type(request))
        user = self.require_user(request)
        if not user.may(WRITE_DISCUSSION):
            raise forbidden("This token may not write in discussions.")
        return user, repo

    def owns_pull(self, user: User, repo: Repo, ref: str) -> bool:
        """Whether the ref is that of a pull request which the user opened."""
        return any(
            ref == pull_ref(number) and discussion.author == user.name
            for number, discussion in repo.discussions().items()
        )

    def write_namespace(
        self, request: web.Request, namespace: str | None, kind: str
    ) -> tuple[User, str]:
        user = self.require_user(request)
        namespace = namespace or user.name
        if not user.may(WRITE_REPO) or not user.owns(namespace):
            raise forbidden(
                f'You don\'t have the rights to create a {kind} under the namespace "{namespace}"'
            )
        return user, namespace

    @staticmethod
    def _may_write(user: User, repo: Repo) -> bool:
        return user.may(WRITE_REPO) and user.owns(repo.id.split("/")[0])
