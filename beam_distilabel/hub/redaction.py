"""Nothing secret is published: texts are redacted, a script with a token is refused."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path

from beam_distilabel.errors import DistilabelUserError

_SECRET = re.compile(
    r"hf_[A-Za-z0-9]{20,}"  # Hugging Face
    r"|api_org_[A-Za-z0-9]{20,}"
    r"|sk-[A-Za-z0-9_-]{20,}"  # OpenAI, Anthropic
    r"|AKIA[0-9A-Z]{16}"  # AWS
    r"|AIza[0-9A-Za-z_-]{35}"  # Google
    r"|gh[pousr]_\w{36,}|github_pat_\w{40,}"
    r"|glpat-[\w-]{20,}"
    r"|xox[abprs]-[\w-]{10,}"  # Slack
    r"|eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}"  # a signed JSON web token
    r"|(?<=://)[^\s/:@]+:[^\s/@]+(?=@)"  # user and password in a URL
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
)

HIDDEN = "***"


def redact(text: str, secrets: Iterable[str | None] = ()) -> str:
    """`text` without `secrets`, what else looks like one, and the name of the home folder.

    Example:
        >>> redact("token=hf_" + "a" * 30 + ", password hunter22", ["hunter22"])
        'token=***, password ***'
    """
    for secret in secrets:
        if secret:
            text = text.replace(secret, HIDDEN)
    home = str(Path.home())
    if len(home) > 1:
        text = re.sub(rf"{re.escape(home)}(?![\w.-])", "~", text)
    return _SECRET.sub(HIDDEN, text)


def read_script(secrets: Iterable[str | None] = ()) -> dict[str, str]:
    """The script that this process runs, by its name.

    Raises:
        DistilabelUserError: there is none, or it contains what looks like a secret.
    """
    script = Path(sys.argv[0]) if sys.argv and sys.argv[0] else None
    if script is None or not script.is_file() or script.suffix != ".py":
        raise DistilabelUserError(
            "push_to_hub: include_script=True, but this process doesn't run a .py file."
        )
    text = script.read_text("utf-8", "replace")
    if _SECRET.search(text) or any(secret in text for secret in secrets if secret):
        raise DistilabelUserError(
            f"push_to_hub: {script.name} contains what looks like a token. Read it from "
            "the environment instead, or pass include_script=False."
        )
    return {script.name: text}
