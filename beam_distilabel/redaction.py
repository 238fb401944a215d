"""Texts without secrets: what goes into files, logs and messages, and what is published."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from beam_distilabel.dumping import names_secret

HIDDEN = "***"

_MIN_LENGTH = 8  # shorter values of secret variables are words that texts have anyway

_TOKENS = re.compile(
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
_IN_URL = re.compile(r"(?<=://)[^\s/@\"'<>]*(?::[^\s@\"'<>]*)?(?=@[\w.-])")
"""User and password, or a token alone, before a host."""

_NAMED = re.compile(
    r"""(?x)
    (?P<name>
      [?&](?:signature|sig|x-amz-(?:signature|credential|security-token)|x-goog-signature
            |access_token|token|api_key|key)=                            # in an address
      |\bbearer\s+                                                       # in a header
      |\b[A-Z0-9_]*(?:SECRET|TOKEN|PASSWORD|API_KEY|ACCESS_KEY)[A-Z0-9_]*["']?\s*[=:]\s*["']?
      |\baws_secret_access_key["']?\s*[=:]\s*["']?
    )
    (?P<value>(?=[^\s&"']*\d)[A-Za-z0-9%/+_.~=-]{12,})
    """,
    re.IGNORECASE,
)


def hide_secrets(text: str, secrets: Iterable[str | None] = ()) -> str:
    """`text` without `secrets`, those in this process' environment, and what looks like one.

    Example:
        >>> hide_secrets("token=hf_" + "a" * 30 + ", password hunter22", ["hunter22"])
        'token=***, password ***'
    """
    for secret in (*secrets, *_of_environment()):
        if secret:
            text = text.replace(secret, HIDDEN)
    text = _TOKENS.sub(HIDDEN, text)
    text = _IN_URL.sub(lambda match: HIDDEN if match[0] else "", text)
    return _NAMED.sub(lambda match: f"{match['name']}{HIDDEN}", text)


def redact(text: str, secrets: Iterable[str | None] = ()) -> str:
    """`hide_secrets`, and the home folder of whoever runs this as `~`."""
    text = hide_secrets(text, secrets)
    home = str(Path.home()).rstrip("/")
    if home:
        text = re.sub(rf"(?<![\w/.:-]){re.escape(home)}(?![\w.-])", "~", text)
    return text


def looks_secret(text: str, secrets: Iterable[str | None] = ()) -> bool:
    """Whether `hide_secrets` would hide something of `text`."""
    return hide_secrets(text, secrets) != text


def _of_environment() -> Iterator[str]:
    for name, value in os.environ.items():
        if len(value) >= _MIN_LENGTH and names_secret(name) and not os.path.exists(value):
            yield value
