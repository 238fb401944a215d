"""Small files from the web and the Hub, read whole.

The Hub's token goes to the scheme, host and port of `HF_ENDPOINT` and to nowhere else: not to an
address that only begins like it, and not on after a redirect has left it. What is read has a limit,
and so has the time that it takes.
"""

from __future__ import annotations

import http.client
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any, NamedTuple

from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.redaction import hide_secrets
from beam_distilabel.secret_texts import hide_in_url, remember_secret

MAX_BYTES = 10_000_000
"""A pipeline file or a script that is larger is none."""

SILENCE_SECONDS = 30.0
"""How long a server may say nothing."""

DEADLINE_SECONDS = 120.0
"""How long everything may take together."""

MAX_REDIRECTS = 5

_PORTS = {"http": 80, "https": 443}
_REDIRECTS = (301, 302, 303, 307, 308)
_MAY_PASS = (408, 425, 429)
_QUOTED_AS_IT_IS = "/%:=&?~+!$,;'@()*[]-._"
_CHUNK = 65_536

_HUB = re.compile(
    r"(?P<repo>[\w.-]+/[\w.-]+?)"
    r"(?:@(?P<revision>refs/(?:pr|convert)/[^/]+|[^/]+))?(?:/(?P<path>.+))?"
)


class FetchError(DistilabelUserError):
    """An address can't be read.

    Args:
        message: says why.
        may_pass: whether another attempt may succeed: the server was busy, failed or was silent.
    """

    def __init__(self, message: str, may_pass: bool = False) -> None:
        super().__init__(message)
        self.may_pass = may_pass


class Fetched(NamedTuple):
    """What was read.

    Attributes:
        content: the bytes.
        kind: of the content, as the server calls it: "text/html"; empty if it doesn't say.
    """

    content: bytes
    kind: str


class HubFile(NamedTuple):
    """A file in a dataset repository on the Hub.

    Attributes:
        repo_id: `namespace/name`.
        revision: a branch, tag or commit.
        path: of the file in the repository.
    """

    repo_id: str
    revision: str
    path: str

    def url(self) -> str:
        """Where the Hub gives it."""
        from huggingface_hub import constants

        revision = urllib.parse.quote(self.revision, safe="")
        path = urllib.parse.quote(self.path)
        return f"{constants.ENDPOINT}/datasets/{self.repo_id}/resolve/{revision}/{path}"


def is_web(address: str) -> bool:
    """Whether `address` is an http(s) URL."""
    return address.lower().startswith(("http://", "https://"))


def hub_file(address: str, default_path: str) -> HubFile | None:
    """The file on the Hub that is meant by `org/name[@revision]` or by an `hf://datasets/` URL.

    Args:
        address: what the user wrote.
        default_path: the file of a repository where none is named.

    Returns:
        None where `address` has neither form.

    Raises:
        DistilabelUserError: it is an `hf://` URL of something else than a dataset's file.

    Example:
        >>> hub_file("hf://datasets/org/name@v1/a/b.yaml", "pipeline.yaml")
        HubFile(repo_id='org/name', revision='v1', path='a/b.yaml')
        >>> hub_file("org/name", "pipeline.yaml")
        HubFile(repo_id='org/name', revision='main', path='pipeline.yaml')
        >>> hub_file("runs/a/pipeline.yaml", "pipeline.yaml") is None
        True
    """
    prefix = "hf://"
    whole = address.lower().startswith(prefix)
    text = address[len(prefix) :] if whole else address
    if whole:
        kind, _, text = text.partition("/")
        if kind != "datasets":
            raise DistilabelUserError(
                f"{address!r}: expected a file of a dataset on the Hub, "
                "hf://datasets/org/name[@revision]/pipeline.yaml."
            )
    match = _HUB.fullmatch(text)
    path = match["path"] if match else None
    bad_path = path is not None and ".." in path.split("/")
    if match is None or bad_path or (not whole and path is not None):
        if not whole:
            return None
        raise DistilabelUserError(
            f"{address!r}: expected hf://datasets/org/name[@revision]/pipeline.yaml."
        )
    revision = urllib.parse.unquote(match["revision"] or "main")
    return HubFile(match["repo"], revision, path or default_path)


def fetch(url: str, token: str | None = None, max_bytes: int | None = None) -> Fetched:
    """Read an http(s) URL.

    Args:
        url: its address. Redirects are followed, but never from https to http.
        token: of the Hub; default is that of `HF_TOKEN` or `hf auth login`. It is sent where `url`
            is on the Hub, and to nobody else. An empty one: none is sent.
        max_bytes: the most that is read; `MAX_BYTES` if None.

    Raises:
        FetchError: nothing can be read there, or only a web page; says why. No message has
            the token.
    """
    remember_secret(token)
    deadline = time.monotonic() + DEADLINE_SECONDS
    shown = _shown(url)
    url = _checked(url)
    trusted = origin_of(url) == hub_origin()
    for _ in range(MAX_REDIRECTS + 1):
        trusted = trusted and origin_of(url) == hub_origin()
        known = _hub_token(token) if trusted else None
        found = _get(url, known, deadline, shown, max_bytes or MAX_BYTES)
        if isinstance(found, Fetched):
            start = found.content[:512].lstrip().lower()
            if found.kind == "text/html" or start.startswith((b"<!doctype", b"<html")):
                raise FetchError(
                    f"{shown} is a web page. Give the address of the file itself; on the Hub that "
                    "has `/resolve/` in it: .../resolve/main/pipeline.yaml."
                )
            return found
        if url.startswith("https:") and found.startswith("http:"):
            raise FetchError(
                f"{shown} leads from https to http, to {_shown(found)}: that way anyone could "
                "change what is read."
            )
        url = found
    raise FetchError(f"{shown} leads on more than {MAX_REDIRECTS} times.")


def origin_of(url: str) -> tuple[str, str, int]:
    """Scheme, host and port of a URL.

    Example:
        >>> origin_of("https://Huggingface.co/a") == origin_of("https://huggingface.co:443")
        True
        >>> origin_of("https://huggingface.co.example.org")[1]
        'huggingface.co.example.org'
    """
    parts = urllib.parse.urlsplit(url)
    scheme = parts.scheme.lower()
    host = (parts.hostname or "").lower()
    return scheme, host, parts.port or _PORTS.get(scheme, 0)


def hub_origin() -> tuple[str, str, int]:
    """The one place that the Hub's token is for."""
    from huggingface_hub import constants

    return origin_of(constants.ENDPOINT)


def _hub_token(token: str | None) -> str | None:
    import huggingface_hub
    from huggingface_hub import constants

    if token is None and not constants.HF_HUB_DISABLE_IMPLICIT_TOKEN:
        token = huggingface_hub.get_token()
    remember_secret(token)
    return token.strip() if token else None


def _checked(url: str) -> str:
    """`url` in the form that is sent.

    Raises:
        FetchError: it isn't one, or has a user or password in it.
    """
    shown = _shown(url)
    try:
        parts = urllib.parse.urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port
        ascii_host = host.encode("idna").decode()
    except ValueError:  # UnicodeError is one
        raise FetchError(f"{shown} is no address.") from None
    if "@" in parts.netloc:
        raise FetchError(
            f"{shown} has a user name or password in it, which end up in logs and histories; leave "
            "it out. For the Hub set HF_TOKEN."
        )
    strange = any(character <= " " or character in "\\\x7f" for character in url)
    if parts.scheme.lower() not in _PORTS or not host or strange:
        raise FetchError(f"{shown} is no http(s) address.")
    netloc = f"[{host}]" if ":" in host else ascii_host
    if parts.port is not None:
        netloc += f":{parts.port}"
    path = urllib.parse.quote(parts.path or "/", safe=_QUOTED_AS_IT_IS)
    query = urllib.parse.quote(parts.query, safe=_QUOTED_AS_IT_IS)
    return urllib.parse.urlunsplit((parts.scheme.lower(), netloc, path, query, ""))


class _KeepRedirects(urllib.request.HTTPRedirectHandler):
    """Leaves redirects to us: each is a request of its own, with what may be sent there."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def _get(url: str, token: str | None, deadline: float, shown: str, max_bytes: int) -> Fetched | str:
    """What one request brings: the content, or the address where it is."""
    headers = {"User-Agent": "beam-distilabel", "Accept": "*/*"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(url, headers=headers)
    opener = urllib.request.build_opener(_KeepRedirects)
    try:
        with opener.open(request, timeout=_left(deadline)) as response:
            content = _read(response, deadline, shown, max_bytes)
            return Fetched(content, response.headers.get_content_type())
    except urllib.error.HTTPError as error:
        with error:
            location = error.headers.get("Location")
            if error.code in _REDIRECTS and location:
                return _checked(urllib.parse.urljoin(url, location))
            may_pass = error.code in _MAY_PASS or error.code >= 500
            raise FetchError(_refused(shown, error, url, bool(token)), may_pass) from None
    except (TimeoutError, urllib.error.URLError, http.client.HTTPException, OSError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        if isinstance(reason, TimeoutError):
            reason = "it didn't answer in time"
        said = hide_secrets(str(reason)) or type(reason).__name__
        raise FetchError(f"{shown} can't be read: {said}.", may_pass=True) from None


def _read(response: Any, deadline: float, shown: str, max_bytes: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while part := response.read1(_CHUNK):
        size += len(part)
        parts.append(part)
        if size > max_bytes:
            raise FetchError(f"{shown} has more than {max_bytes:,} bytes, the most that is read.")
        _left(deadline)
    if response.length:  # what the server has announced and not sent
        raise FetchError(f"{shown} broke off after {size:,} bytes; try again.", may_pass=True)
    return b"".join(parts)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return min(SILENCE_SECONDS, left)


def _refused(shown: str, error: urllib.error.HTTPError, url: str, had_token: bool) -> str:
    on_hub = origin_of(url) == hub_origin()
    if error.code in (401, 403) and on_hub:
        remedy = (
            "the token may not read it, or it doesn't exist"
            if had_token
            else "it doesn't exist, or is private: log in with `hf auth login`, set HF_TOKEN, or "
            "pass --token"
        )
        return f"{shown} can't be read ({error.code}): {remedy}."
    if error.code in (404, 410):
        return f"there is nothing at {shown} ({error.code}); check the name."
    if error.code in (401, 403):
        return f"{shown} may not be read ({error.code}). The Hub's token is sent to the Hub only."
    return f"{shown} can't be read: the server answers {error.code} {error.reason}."


def _shown(url: str) -> str:
    """`url` for messages."""
    return hide_secrets(hide_in_url(url))
