"""Discussions and pull requests: list, read, open, comment, rename, close, merge."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiohttp import web

from tests.hub.addresses import REPO, repo_id, repo_type
from tests.hub.clock import now
from tests.hub.context import Context
from tests.hub.discussions import Discussion, pull_ref
from tests.hub.errors import HubError, bad_request, conflict
from tests.hub.storage import MAIN, Commit, File, Repo

_PAGE_SIZE = 10
_ONE = REPO + "/discussions/{num:\\d+}"


class DiscussionRoutes:
    """What `HfApi` uses; no diffs (`DiscussionWithDetails.diff` is None)."""

    def __init__(self, context: Context) -> None:
        self._access = context.access

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get(REPO + "/discussions", self.listing),
            web.post(REPO + "/discussions", self.open),
            web.get(_ONE, self.details),
            web.post(_ONE + "/comment", self.comment),
            web.post(_ONE + "/title", self.rename),
            web.post(_ONE + "/status", self.change_status),
            web.post(_ONE + "/merge", self.merge),
        ]

    def _read(self, request: web.Request) -> Repo:
        return self._access.read(request, repo_id(request), repo_type(request))

    # -- reading -----------------------------------------------------------------------------

    async def listing(self, request: web.Request) -> web.Response:
        repo = self._read(request)
        query = request.query
        found = [
            item
            for item in reversed(repo.discussions().values())
            if query.get("type", "all") in ("all", _type(item))
            and query.get("status", "all") in ("all", _open_or_closed(item))
            and query.get("author", item.author) == item.author
        ]
        start = int(query.get("p", "0")) * _PAGE_SIZE
        page = found[start : start + _PAGE_SIZE]
        answer = {
            "discussions": [_summary(repo, item) for item in page],
            "count": len(found),
            "start": start,
        }
        return web.json_response(answer)

    async def details(self, request: web.Request) -> web.Response:
        repo = self._read(request)
        return web.json_response(_details(repo, _find(repo, request)))

    # -- writing -----------------------------------------------------------------------------

    async def open(self, request: web.Request) -> web.Response:
        user, repo = self._access.discuss(request)
        body = await request.json()
        with repo.lock:
            num = 1 + len(repo.discussions())
            opened = Discussion(num, body["title"], user.name, now(), "open")
            if body.get("pullRequest"):
                opened.status = "draft"
                opened.base = repo.refs()[MAIN]
                repo.set_ref(pull_ref(num), opened.base)
            if body.get("description"):
                opened.add_comment(user.name, body["description"])
            repo.save_discussion(opened)
        return web.json_response(_details(repo, opened))

    async def comment(self, request: web.Request) -> web.Response:
        user, repo = self._access.discuss(request)
        text = (await request.json())["comment"]
        return self._change(
            repo, request, "newMessage", lambda found: found.add_comment(user.name, text)
        )

    async def rename(self, request: web.Request) -> web.Response:
        user, repo = self._access.discuss(request)
        self._require_author_or_owner(request, repo)
        title = (await request.json())["title"]
        return self._change(
            repo, request, "newTitle", lambda found: found.set_title(user.name, title)
        )

    async def change_status(self, request: web.Request) -> web.Response:
        user, repo = self._access.discuss(request)
        self._require_author_or_owner(request, repo)
        body = await request.json()
        if body["status"] not in ("open", "closed"):
            raise bad_request(f"status={body['status']!r}: expected open or closed")

        def change(found: Discussion) -> dict[str, Any]:
            if found.status == "merged":
                raise bad_request("A merged pull request stays merged")
            if body.get("comment"):
                found.add_comment(user.name, body["comment"])
            return found.set_status(user.name, body["status"])

        return self._change(repo, request, "newStatus", change)

    async def merge(self, request: web.Request) -> web.Response:
        user, repo = self._access.write(request, repo_id(request), repo_type(request))

        def change(found: Discussion) -> dict[str, Any]:
            if found.base is None or found.status not in ("open", "draft"):
                raise bad_request(f"There is no open pull request {found.num}")
            conflicts = _conflicts(repo, found)
            if conflicts:
                raise conflict(f"Files with conflicts: {', '.join(conflicts)}")
            changed = _changes(repo.load(found.base), repo.resolve(pull_ref(found.num)))

            def merged(files: dict[str, File]) -> dict[str, File]:
                return {
                    path: file for path, file in {**files, **changed}.items() if file is not None
                }

            title = f"{found.title} (#{found.num})"
            found.merged = repo.commit(MAIN, merged, author=user.name, title=title).id
            return found.set_status(user.name, "merged")

        return self._change(repo, request, "newStatus", change)

    def _require_author_or_owner(self, request: web.Request, repo: Repo) -> None:
        user = self._access.require_user(request)
        if _find(repo, request).author != user.name:
            self._access.write(request, repo_id(request), repo_type(request))

    @staticmethod
    def _change(
        repo: Repo, request: web.Request, key: str, change: Callable[[Discussion], dict[str, Any]]
    ) -> web.Response:
        with repo.lock:
            found = _find(repo, request)
            event = change(found)
            repo.save_discussion(found)
        return web.json_response({key: event})


def _find(repo: Repo, request: web.Request) -> Discussion:
    num = int(request.match_info["num"])
    found = repo.discussions().get(num)
    if found is None:
        raise HubError(404, None, f"There is no discussion {num}")
    return found


def _type(item: Discussion) -> str:
    return "discussion" if item.base is None else "pull_request"


def _open_or_closed(item: Discussion) -> str:
    return "open" if item.status in ("open", "draft") else "closed"


def _summary(repo: Repo, item: Discussion) -> dict[str, Any]:
    return {
        "num": item.num,
        "title": item.title,
        "author": {"name": item.author},
        "createdAt": item.created,
        "status": item.status,
        "repo": {"name": repo.id, "type": repo.type},
        "isPullRequest": item.base is not None,
    }


def _details(repo: Repo, item: Discussion) -> dict[str, Any]:
    answer = {**_summary(repo, item), "events": item.events}
    if item.base is None:
        return answer
    commits = [_commit_event(commit) for commit in _commits(repo, item)]
    events = sorted([*item.events, *commits], key=lambda event: event["createdAt"])
    changes: dict[str, Any] = {"base": MAIN}
    if item.merged is not None:
        changes["mergeCommitId"] = item.merged
    conflicts = _conflicts(repo, item) if _open_or_closed(item) == "open" else []
    return {**answer, "events": events, "changes": changes, "filesWithConflicts": conflicts}


def _commits(repo: Repo, item: Discussion) -> list[Commit]:
    """The pull request's own commits, oldest first."""
    commits = []
    for commit in repo.history(pull_ref(item.num)):
        if commit.id == item.base:
            break
        commits.append(commit)
    return commits[::-1]


def _commit_event(commit: Commit) -> dict[str, Any]:
    return {
        "id": commit.id[:24],
        "type": "commit",
        "createdAt": commit.date,
        "author": {"name": commit.author},
        "data": {"subject": commit.title, "oid": commit.id},
    }


def _changes(base: Commit, head: Commit) -> dict[str, File | None]:
    """Path to what a file became; None: it was deleted."""
    paths = {*base.files, *head.files}
    return {
        path: head.files.get(path)
        for path in sorted(paths)
        if head.files.get(path) != base.files.get(path)
    }


def _conflicts(repo: Repo, item: Discussion) -> list[str]:
    """Files that the pull request and the main branch changed in different ways."""
    assert item.base is not None
    base = repo.load(item.base)
    ours = _changes(base, repo.resolve(MAIN))
    theirs = _changes(base, repo.resolve(pull_ref(item.num)))
    return [path for path in theirs if path in ours and ours[path] != theirs[path]]
