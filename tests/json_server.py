"""A local HTTP server that answers JSON by rules, for the SDKs of providers."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


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
    headers: dict[str, str]
    body: Any


class Reply(NamedTuple):
    """What is answered.

    Attributes:
        body: becomes JSON, unless it is bytes.
        status: of HTTP.
        headers: besides the necessary ones.
    """

    body: Any
    status: int = 200
    headers: dict[str, str] = {}


class JsonServer:
    """Answers every request by `answer`; tests put replies that come first into `troubles`.

    Args:
        answer: what a request is answered with.

    Attributes:
        url: the address, without a path.
        received: every request, in the order of arrival.
        troubles: replies to the next requests, in place of `answer`'s; None drops the connection.

    Example:
        >>> import urllib.request
        >>> with JsonServer(lambda request: Reply({"path": request.path})) as server:
        ...     json.load(urllib.request.urlopen(server.url + "/x"))
        {'path': '/x'}
    """

    def __init__(self, answer: Callable[[Request], Reply]) -> None:
        self.received: list[Request] = []
        self.troubles: deque[Reply | None] = deque()
        self._lock = threading.Lock()
        self._answer = answer
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _handle(self) -> None:
                length = int(self.headers.get("content-length") or 0)
                raw = self.rfile.read(length)
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = Request(
                    self.command, self.path, headers, json.loads(raw) if raw else None
                )
                reply = server._reply(request)
                if reply is None:
                    self.close_connection = True
                    return
                body = (
                    reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
                )
                self.send_response(reply.status)
                fixed = {"content-type": "application/json", "content-length": str(len(body))}
                for name, value in {**fixed, **reply.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PUT = _handle

            def log_message(self, *args: Any) -> None:
                """Nothing is logged."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def _reply(self, request: Request) -> Reply | None:
        with self._lock:
            self.received.append(request)
            if self.troubles:
                return self.troubles.popleft()
        return self._answer(request)

    def __enter__(self) -> JsonServer:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
