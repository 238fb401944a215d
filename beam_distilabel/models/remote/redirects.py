"""Endpoints that send a request on to another address: it isn't followed.

Prompts and keys are for the address that the user gave. HTTP clients that follow drop the header
`Authorization` on the way to another host, and no other header with a key.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

from beam_distilabel.models.remote.retries import Trouble

C = TypeVar("C")

_DEEPEST = 20  # exceptions can be chained in a circle


class Redirected(Exception):
    """An endpoint answered that the request should go elsewhere.

    Args:
        status: of the answer.
        host: where to, with its scheme.
    """

    def __init__(self, status: int, host: str) -> None:
        super().__init__(
            f"the endpoint redirects ({status}) to {host}, which isn't followed: prompts and keys "
            "go to the given address only. If it is right, give it as the address."
        )


_seen: contextvars.ContextVar[list[Redirected] | None] = contextvars.ContextVar(
    "redirects", default=None
)


def redirected(status: int, url: Any, location: str | None) -> Redirected | None:
    """The error that an answer makes if it is a redirect.

    Example:
        >>> str(redirected(307, "http://a/v1", "https://b.example/v1?key=x"))[:54]
        'the endpoint redirects (307) to https://b.example, whi'
        >>> redirected(200, "http://a/v1", None) is None
        True
    """
    if not 300 <= status < 400 or location is None:
        return None
    target = urlsplit(urljoin(str(url), location))
    return Redirected(status, f"{target.scheme}://{target.netloc.rpartition('@')[2]}")


def redirect_behind(error: BaseException | None) -> Redirected | None:
    """The redirect that an SDK's error was made of, if it was."""
    for _ in range(_DEEPEST):
        if error is None or isinstance(error, Redirected):
            return error
        error = error.__cause__ or error.__context__
    return None


def explain_redirect(error: Redirected, answered: bool) -> Trouble:
    """What a redirect means; `answered` as in `explain_status`."""
    return Trouble("refused", str(error), whole=not answered)


async def refuse(response: Any) -> None:
    """Raise `Redirected` if an answer is a redirect; an event hook of httpx, or httpx2."""
    location = response.headers.get("location")
    error = redirected(response.status_code, response.request.url, location)
    if error is not None:
        known = _seen.get()
        if known is not None:
            known.append(error)
        raise error


@contextlib.contextmanager
def unwrapped() -> Iterator[None]:
    """Raise the redirect that an error within was made of: for SDKs that break the chain."""
    seen: list[Redirected] = []
    token = _seen.set(seen)
    try:
        yield
    except Exception:
        if seen:
            raise seen[0] from None
        raise
    finally:
        _seen.reset(token)


def not_followed(client: C) -> C:
    """`client`, an AsyncClient of httpx or httpx2, that raises `Redirected` now."""
    known: Any = client
    known.follow_redirects = False
    hooks = known.event_hooks
    if refuse not in hooks["response"]:
        known.event_hooks = {**hooks, "response": [*hooks["response"], refuse]}
    return client
