"""A local HTTP server that answers JSON by rules, for the SDKs of providers."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from tests import http_server
from tests.http_server import Answer, HttpServer


class Request(NamedTuple):
    """What arrived.

    Attributes:
        method: of HTTP.
        path: with its query.
        headers: with names in lower case.
        body: the JSON; None if there is none.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any


class JsonServer(HttpServer):
    """Answers every request by `answer`; tests put replies that come first into `troubles`.

    Args:
        answer: what a request is answered with.

    Attributes:
        received: every request, in the order of arrival.
        troubles: answers to the next requests, in place of `answer`'s; None drops the connection.

    Example:
        >>> import urllib.request
        >>> with JsonServer(lambda request: Answer({"path": request.path})) as server:
        ...     json.load(urllib.request.urlopen(server.url + "/x"))
        {'path': '/x'}
    """

    def __init__(self, answer: Callable[[Request], Answer]) -> None:
        self.received: list[Request] = []
        self.troubles: deque[Answer | None] = deque()
        self._lock = threading.Lock()
        self._answer = answer
        super().__init__(self._reply)

    def _reply(self, raw: http_server.Request) -> Answer | None:
        body = json.loads(raw.body) if raw.body else None
        request = Request(raw.method, raw.path, raw.headers, body)
        with self._lock:
            self.received.append(request)
            if self.troubles:
                return self.troubles.popleft()
        return self._answer(request)


__all__ = ["Answer", "JsonServer", "Request"]
