"""Failures on demand: rules that replace an answer, cut it short, hold it back or lose it."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from aiohttp import web

from tests.hub.errors import COMMIT_IN_PROGRESS, HEAD_MOVED

_POLL_SECONDS = 0.01


@dataclass
class Fault:
    """One rule of `HubServer.faults`; the first that matches a request and isn't used up applies.

    A 409 of the real Hub means that another commit is being made and the head has not moved
    (`commit_in_progress`); its 412 that the head has moved away from `parent_commit`, for which
    `head_moved` lets someone else commit first. How long `huggingface_hub` waits for a slow reply:
    `HF_HUB_DOWNLOAD_TIMEOUT` seconds for downloads and `HF_HUB_ETAG_TIMEOUT` for `HEAD`, for ever
    for all that writes, unless `huggingface_hub.set_client_factory` gives it another client.

    Args:
        method: Regular expression that the whole method matches.
        path: Regular expression searched in the path with its query
            (`/api/datasets/a/b/commit/main?create_pr=1`).
        status: Answer with this status.
        headers: Headers of that answer (`Retry-After`, `X-Error-Code`, ...).
        message: Its error text.
        drop: Close the connection without an answer.
        truncate: Send the real answer's headers and this many bytes of its body, then close.
        delay: Seconds to wait before the work or, with `when="after"`, between the work and its
            answer; `release` ends the wait. The work is done though the client may be gone.
        call: Something to do while the request waits, such as committing to the repository,
            ending a process or a token; the request then goes on as if nothing were.
        when: "before" the server does the work, or "after": the work is done and its answer lost.
        times: How many requests it applies to; None is all.
        skip: How many matching requests pass before it begins.
        seen: How many requests it matched so far, those that it let pass included.
        fired: How many it applied to.
        worked: Set when the work of a request that `delay` or `call` held has been done.

    Example:
        >>> Fault("POST", r"/commit/", status=503).matches("POST", "/api/datasets/a/b/commit/main")
        True
    """

    method: str
    path: str
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    message: str = "injected fault"
    drop: bool = False
    truncate: int | None = None
    delay: float | None = None
    call: Callable[[], object] | None = None
    when: Literal["before", "after"] = "before"
    times: int | None = 1
    skip: int = 0
    seen: int = field(default=0, init=False)
    fired: int = field(default=0, init=False)
    worked: threading.Event = field(default_factory=threading.Event, init=False, repr=False)
    _released: threading.Event = field(default_factory=threading.Event, init=False, repr=False)

    def __post_init__(self) -> None:
        chosen = (self.status, self.drop or None, self.truncate, self.delay, self.call)
        if sum(choice is not None for choice in chosen) != 1:
            raise ValueError("Fault: give exactly one of status, drop, truncate, delay and call")
        if self.truncate is not None:
            self.when = "after"  # there is a body to cut only once the work is done

    @classmethod
    def commit_in_progress(cls, *, times: int | None = 1) -> Fault:
        """409 to commits, as the Hub answers while it makes another commit to the repository."""
        return cls("POST", r"/commit/", status=409, message=COMMIT_IN_PROGRESS, times=times)

    @classmethod
    def head_moved(cls, commit: Callable[[], object], *, times: int | None = 1) -> Fault:
        """Someone else commits just before a commit is made: 412 if it names its parent.

        Args:
            commit: Makes that commit, for example with `HubServer.add_files`.
            times: To how many commits it happens.
        """
        return cls("POST", r"/commit/", call=commit, times=times)

    @classmethod
    def precondition_failed(cls, *, times: int | None = 1) -> Fault:
        """412 to commits though the head has not moved."""
        return cls("POST", r"/commit/", status=412, message=HEAD_MOVED, times=times)

    @classmethod
    def rate_limited(
        cls,
        method: str,
        path: str,
        *,
        retry_after_seconds: int | None = None,
        reset_seconds: int | None = None,
        times: int | None = 1,
    ) -> Fault:
        """429 with `Retry-After`, or with the `RateLimit` headers, which the client prefers.

        The client waits a second more than it is told.
        """
        headers = {}
        if retry_after_seconds is not None:
            headers["Retry-After"] = str(retry_after_seconds)
        if reset_seconds is not None:
            headers["RateLimit"] = f'"api";r=0;t={reset_seconds}'
            headers["RateLimit-Policy"] = '"fixed window";"api";q=1000;w=300'
        message = "You hit the quota of 1000 api requests per 5 minutes period."
        return cls(method, path, status=429, headers=headers, message=message, times=times)

    def release(self) -> None:
        """End the wait of a `delay`, now and for requests to come."""
        self._released.set()

    def matches(self, method: str, path: str) -> bool:
        """Whether the rule speaks of this request, used up or not."""
        return bool(re.fullmatch(self.method, method) and re.search(self.path, path))

    @property
    def answers(self) -> bool:
        """Whether the client gets something else than the real answer."""
        return self.delay is None and self.call is None


def take_fault(faults: list[Fault], method: str, path: str) -> Fault | None:
    """The rule that applies to this request, counted as used."""
    for fault in faults:
        if fault.times is not None and fault.fired >= fault.times:
            continue
        if fault.matches(method, path):
            fault.seen += 1
            if fault.seen <= fault.skip:
                continue
            fault.fired += 1
            return fault
    return None


async def hold(fault: Fault) -> None:
    """Wait as a `delay` says, or do what a `call` says."""
    if fault.call is not None:
        await asyncio.to_thread(fault.call)  # it may ask this server itself
        return
    assert fault.delay is not None
    end = time.monotonic() + fault.delay
    while not fault._released.is_set() and (left := end - time.monotonic()) > 0:
        await asyncio.sleep(min(left, _POLL_SECONDS))


async def apply_fault(
    fault: Fault, request: web.Request, answer: web.StreamResponse | None
) -> web.StreamResponse:
    """What to answer in place of `answer` (None: the work was not done)."""
    if fault.status is not None:
        headers = {"X-Error-Message": fault.message, **fault.headers}
        return web.json_response({"error": fault.message}, status=fault.status, headers=headers)
    transport = request.transport
    assert transport is not None
    if fault.truncate is not None:
        assert isinstance(answer, web.Response) and isinstance(answer.body, bytes)
        cut = web.StreamResponse(status=answer.status, headers=answer.headers)
        cut.content_length = len(answer.body)
        await cut.prepare(request)
        await cut.write(answer.body[: fault.truncate])
        transport.close()  # sends what is buffered; the client then misses the rest
        return cut
    transport.abort()
    return web.Response(status=500)  # never sent: the connection is gone
