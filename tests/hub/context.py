"""What every route needs: the repositories, the tokens, the addresses and the page sizes."""

from __future__ import annotations

import hmac
import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from aiohttp import web

from tests.hub.access import Access
from tests.hub.errors import HubError
from tests.hub.storage import Store

T = TypeVar("T")


@dataclass
class Traffic:
    """Bytes of file contents that came and went, by SHA-256."""

    uploaded: Counter[str] = field(default_factory=Counter)
    downloaded: Counter[str] = field(default_factory=Counter)

    def clear(self) -> None:
        self.uploaded.clear()
        self.downloaded.clear()


@dataclass
class Context:
    """Shared by all routes of one server."""

    store: Store
    access: Access
    uploads: Path
    url: str = ""
    storage_url: str = ""
    tree_page_size: int = 1000
    commits_page_size: int = 50
    lfs_part_size: int = 8 * 1024 * 1024
    traffic: Traffic = field(default_factory=Traffic)
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(32))

    def sign(self, base: str, path: str) -> str:
        """An address that needs no token, as object stores give out."""
        return f"{base}{path}?signature={self._signature(path)}"

    def check_signature(self, request: web.Request) -> None:
        if "Authorization" in request.headers:
            # Object stores refuse it too; and a client that sends its token to one leaks it.
            raise HubError(
                400, "InvalidRequest", "Only one auth mechanism allowed: signature and token"
            )
        if not hmac.compare_digest(
            request.query.get("signature", ""), self._signature(request.path)
        ):
            raise HubError(
                403, "SignatureDoesNotMatch", "The signature of this address is not valid"
            )

    def _signature(self, path: str) -> str:
        return hmac.new(self.secret, path.encode(), "sha256").hexdigest()


def flag(value: Any) -> bool:
    return str(value).lower() in ("1", "true")


def paged(
    request: web.Request, items: Sequence[T], size: int
) -> tuple[Sequence[T], dict[str, str]]:
    """One page of `items`, and the `Link` header to the next one."""
    start = int(request.query.get("cursor", "0"))
    page = items[start : start + size]
    if start + size >= len(items):
        return page, {}
    following = request.url.update_query(cursor=str(start + size))
    return page, {"Link": f'<{following}>; rel="next"'}
