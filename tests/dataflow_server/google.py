"""All of it at one address, and what leads Google's packages there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests.dataflow_server.service import Service
from tests.dataflow_server.storage import Storage
from tests.http_server import Answer, HttpServer, Request

TOKEN = "access-token-of-the-test"


class Google:
    """Cloud Storage, Dataflow and the login.

    Attributes:
        storage: the files.
        service: the jobs.
        strangers: requests that nothing here answers.
        url: the address.
    """

    def __init__(self) -> None:
        self.storage = Storage()
        self.service = Service(self.storage)
        self.strangers: list[str] = []
        self.url = ""

    @property
    def endpoint(self) -> str:
        """For `DataflowSettings.endpoint`: Beam's client speaks HTTP with "localhost" only."""
        return self.url.replace("127.0.0.1", "localhost")

    @contextmanager
    def running(self) -> Iterator[Google]:
        with HttpServer(self._answer) as server:
            self.url = server.url
            yield self

    def _answer(self, request: Request) -> Answer:
        path = urlsplit(request.path).path
        if path == "/token":
            return Answer({"access_token": TOKEN, "expires_in": 3600, "token_type": "Bearer"})
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return Answer({"error": {"code": 401, "message": "log in first"}}, 401)
        got = (self.service if path.startswith("/v1b3/") else self.storage).answer(request)
        if got.status == 404 and "/o/" not in path:
            self.strangers.append(f"{request.method} {request.path}")
        return got

    def write_key(self, path: Path) -> None:
        """Write a service account's key file that leads to the login here."""
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import rsa

        private = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        key = {
            "type": "service_account",
            "project_id": "test-project",
            "private_key_id": "1",
            "private_key": private.decode(),
            "client_email": "tester@test-project.iam.gserviceaccount.com",
            "client_id": "1",
            "token_uri": f"{self.url}/token",
        }
        path.write_text(json.dumps(key))
