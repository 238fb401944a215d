"""Texts that are secrets: those that this process has learned, and what looks like one.

Imports nothing of this package, so that its errors can use it too.
"""

from __future__ import annotations

import json
import re
import threading
import urllib.parse

HIDDEN = "***"

SURE_LENGTH = 8
"""Shorter values of variables with telling names are words that texts have anyway."""

_KNOWN_LENGTH = 6
"""A shorter secret stands in other texts by chance."""

_PLACEHOLDERS = frozenset(
    "api-key api_key apikey default dummy-key password secret secrets unused".split()
)
"""What stands where a key is expected and none is needed, and in texts anyway."""

TOKENS = re.compile(
    r"(?<![A-Za-z0-9_-])(?:"
    r"hf_(?:oauth_)?[A-Za-z0-9]{20,}|api_org_[A-Za-z0-9]{20,}"  # Hugging Face
    r"|sk-[A-Za-z0-9_-]{20,}"  # OpenAI, Anthropic
    r"|gsk_[A-Za-z0-9]{20,}|nvapi-[A-Za-z0-9_-]{20,}"  # Groq, NVIDIA
    r"|AKIA[0-9A-Z]{16}|AIza[0-9A-Za-z_-]{35}"  # AWS, Google
    r"|gh[pousr]_\w{36,}|github_pat_\w{40,}|glpat-[\w-]{20,}"
    r"|xox[abprs]-[\w-]{10,}"  # Slack
    r"|eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}"  # a signed JSON web token
    r")"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
)
"""Tokens that their form gives away."""

_SCHEME = re.compile(r"(?:bearer|basic|token)\s+(?=\S)", re.IGNORECASE)
_AUTHORIZATION = re.compile(r"(?:bearer|basic)\s+(?P<token>\S{6,})", re.IGNORECASE)
_PASSWORD = re.compile(r"(?<=://)[^\s/?#:]*:[^\s/?#]+(?=@)")
_PARAMETER = re.compile(
    r"(?P<name>[?&](?:[\w.-]*(?:api[_-]?key|auth|credential|passw(?:or)?d|secret|signature|token)"
    r"|key|pwd|sig|x-(?:amz|goog)-(?:credential|signature|security-token))=)(?P<value>[^&#\s]+)",
    re.IGNORECASE,
)


class _Known:
    """The secrets of this process, and what finds them all at once."""

    def __init__(self) -> None:
        self.texts: frozenset[str] = frozenset()
        self.pattern: re.Pattern[str] | None = None
        self._lock = threading.Lock()

    def add(self, texts: set[str]) -> None:
        if texts <= self.texts:
            return
        with self._lock:
            known = self.texts | texts
            # Longest first: one may be a part of another.
            forms = {form for text in known for form in _forms(text)}
            ordered = sorted(forms, key=lambda form: (-len(form), form))
            self.pattern = re.compile("|".join(map(re.escape, ordered)))
            self.texts = known


_known = _Known()


def remember_secret(secret: str | bytes | None) -> None:
    """Have `hide_known` hide a text from now on, wherever it is said in this process.

    Args:
        secret: as it is; of a header's "Bearer KEY" the key is hidden too. Texts of less than six
            characters are in others by chance, and aren't noted.

    Example:
        >>> remember_secret("Bearer tok-1a2b3c")
        >>> hide_known("bad key tok-1a2b3c")
        'bad key ***'
    """
    if not secret:
        return
    text = (secret.decode(errors="replace") if isinstance(secret, bytes) else secret).strip()
    texts = {text, _SCHEME.sub("", text, count=1)}
    _known.add({one for one in texts if len(one) >= _KNOWN_LENGTH and one not in _PLACEHOLDERS})


def known_secrets() -> frozenset[str]:
    """The secrets that this process has learned."""
    return _known.texts


def hide_known(text: str) -> str:
    """`text` without the secrets that this process has learned."""
    return _known.pattern.sub(HIDDEN, text) if _known.pattern is not None else text


def is_authorization(text: str) -> bool:
    """Whether a header's value, of whatever name, holds a key.

    Example:
        >>> is_authorization("Bearer tok-1a2b3c"), is_authorization("Basic skills")
        (True, False)
    """
    match = _AUTHORIZATION.fullmatch(text.strip())
    return match is not None and any(not c.islower() for c in match["token"])


def hide_in_url(text: str) -> str:
    """`text`, without what is secret in it if it is an address.

    Example:
        >>> hide_in_url("https://me:pw@host/v1?api_key=k&v=1")
        'https://***@host/v1?api_key=***&v=1'
    """
    if "://" not in text or len(text.split()) != 1:
        return text
    hidden = _PASSWORD.sub(HIDDEN, text)
    return _PARAMETER.sub(lambda match: f"{match['name']}{HIDDEN}", hidden)


def secrets_in_url(text: str) -> list[str]:
    """What `hide_in_url` hides."""
    if hide_in_url(text) == text:
        return []
    passwords = [match[0].partition(":")[2] for match in _PASSWORD.finditer(text)]
    return passwords + [match["value"] for match in _PARAMETER.finditer(text)]


def _forms(text: str) -> set[str]:
    """How messages write `text`."""
    return {text, json.dumps(text)[1:-1], repr(text)[1:-1], urllib.parse.quote(text, safe="")}


__all__ = [
    "HIDDEN",
    "SURE_LENGTH",
    "TOKENS",
    "hide_in_url",
    "hide_known",
    "is_authorization",
    "known_secrets",
    "remember_secret",
    "secrets_in_url",
]
