"""Texts without secrets: what goes into files, logs and messages, and what is published."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from beam_distilabel.dumping import names_secret
from beam_distilabel.secret_texts import HIDDEN, SURE_LENGTH, TOKENS, hide_known

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
    """`text` without `secrets`, those that this process knows, and what looks like one.

    Known are those of its Steps, of its models and of the Hub, once they were given or read, and
    the values of variables whose names say secret.

    Example:
        >>> hide_secrets("token=hf_" + "a" * 30 + ", password hunter22", ["hunter22"])
        'token=***, password ***'
    """
    for secret in (*secrets, *_of_environment()):
        if secret:
            text = text.replace(secret, HIDDEN)
    text = TOKENS.sub(HIDDEN, hide_known(text))
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
    for name, value in sorted(os.environ.items(), key=lambda item: -len(item[1])):
        if len(value) >= SURE_LENGTH and names_secret(name) and not os.path.exists(value):
            yield value
