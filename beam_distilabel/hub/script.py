"""The script that runs, as a file to publish."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.redaction import looks_secret


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
    if looks_secret(text, secrets):
        raise DistilabelUserError(
            f"push_to_hub: {script.name} contains what looks like a token. Read it from "
            "the environment instead, or pass include_script=False."
        )
    return {script.name: text}
