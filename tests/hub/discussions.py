"""Discussions and pull requests of a repository, as they are kept."""

from __future__ import annotations

import dataclasses
from typing import Any

from tests.hub.clock import now


@dataclasses.dataclass
class Discussion:
    """A discussion or, if it has a `base`, a pull request, whose commits are at its `pull_ref`.

    Attributes:
        num: Its number; discussions and pull requests count together, from 1.
        title: What it is called.
        author: Who opened it.
        created: When.
        status: "draft", "open", "closed" or "merged".
        base: The commit that a pull request begins at; None for a discussion.
        merged: The commit that merged it.
        events: Comments, changes of status and of title, in their order.
    """

    num: int
    title: str
    author: str
    created: str
    status: str
    base: str | None = None
    merged: str | None = None
    events: list[dict[str, Any]] = dataclasses.field(default_factory=list)

    def add_comment(self, author: str, text: str) -> dict[str, Any]:
        data = {"edited": False, "hidden": False, "latest": {"raw": text}}
        return self._add("comment", author, data)

    def set_status(self, author: str, status: str) -> dict[str, Any]:
        self.status = status
        return self._add("status-change", author, {"status": status})

    def set_title(self, author: str, title: str) -> dict[str, Any]:
        data = {"from": self.title, "to": title}
        self.title = title
        return self._add("title-change", author, data)

    def _add(self, kind: str, author: str, data: dict[str, Any]) -> dict[str, Any]:
        event = {
            "id": f"{self.num:012x}{len(self.events):012x}",
            "type": kind,
            "createdAt": now(),
            "author": {"name": author},
            "data": data,
        }
        self.events.append(event)
        return event


def pull_ref(num: int) -> str:
    """The ref that a pull request's commits are at."""
    return f"refs/pr/{num}"
