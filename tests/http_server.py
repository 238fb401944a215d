"""A local HTTP server whose answers are functions of requests with raw bodies."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any, NamedTuple

from typing_extensions import Self


class Request(NamedTuple):
    """What arrived.

    Attributes:
        method: of HTTP.
        path: with its query.
        headers: with names in lower case.
        body: as it came.
        base: the server's address.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    base: str


class Answer(NamedTuple):
    """What is answered: bytes as they are, or something that becomes JSON."""

    body: Any
    status: int = 200
    headers: Mapping[str, str] = MappingProxyType({})

    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


class HttpServer:
    """Answers every request by `answer`, on a free port; None drops the connection.

    Attributes:
        url: the address, without a path.
    """

    def __init__(self, answer: Callable[[Request], Answer | None]) -> None:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _handle(self) -> None:
                body = self._body()
                headers = {name.lower(): value for name, value in self.headers.items()}
                got = answer(Request(self.command, self.path, headers, body, server.url))
                if got is None:
                    self.close_connection = True
                    return
                content = got.content()
                self.send_response(got.status)
                fixed = {"content-type": "application/json", "content-length": str(len(content))}
                for name, value in {**fixed, **got.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def _body(self) -> bytes:
                if self.headers.get("transfer-encoding", "").lower() != "chunked":
                    return self.rfile.read(int(self.headers.get("content-length") or 0))
                chunks = []
                while size := int(self.rfile.readline().split(b";")[0], 16):
                    chunks.append(self.rfile.read(size))
                    self.rfile.readline()
                self.rfile.readline()
                return b"".join(chunks)

            do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _handle

            def log_message(self, *args: Any) -> None:
                """Nothing is logged."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
