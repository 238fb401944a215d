"""Failures on demand: rules that replace an answer, cut it short or drop the connection."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from aiohttp import web


@dataclass
class Fault:
    """One rule of `HubServer.faults`; the first that matches a request and isn't used up applies.

    Args:
        method: Regular expression that the whole method matches.
        path: Regular expression searched in the path with its query
            (`/api/datasets/a/b/commit/main?create_pr=1`).
        status: Answer with this status.
        headers: Headers of that answer (`Retry-After`, `X-Error-Code`, ...).
        message: Its error text.
        drop: Close the connection without an answer.
        truncate: Send the real answer's headers and this many bytes of its body, then close.
        when: "before" the server does the work, or "after": the work is done and its answer lost.
        times: How many requests it applies to; None is all.
        skip: How many matching requests pass before it begins.
        seen: How many requests it matched so far, those that it let pass included.
        fired: How many it applied to.

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
    when: Literal["before", "after"] = "before"
    times: int | None = 1
    skip: int = 0
    seen: int = field(default=0, init=False)
    fired: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        chosen = [self.status is not None, self.drop, self.truncate is not None]
        if sum(chosen) != 1:
            raise ValueError("Fault: give exactly one of status, drop and truncate")
        if self.truncate is not None:
            self.when = "after"  # there is a body to cut only once the work is done

    def matches(self, method: str, path: str) -> bool:
        """Whether the rule speaks of this request, used up or not."""
        return bool(re.fullmatch(self.method, method) and re.search(self.path, path))


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


async def apply_fault(
    fault: Fault, request: web.Request, answer: web.StreamResponse | None
) -> web.StreamResponse:
    """What to answer in place of `answer` (None: the work was not done)."""
    if fault.status is not None:
        return web.json_response(
            {"error": fault.message}, status=fault.status, headers=dict(fault.headers)
        )
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
