"""Why a run has ended, in words for a person."""

from __future__ import annotations

import re
from collections.abc import Container

from beam_distilabel.errors import DistilabelError, RunCancelled


def was_cancelled(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, RunCancelled):
            return True
        error = error.__cause__ or error.__context__
    return False


_WHERE = re.compile(r" \[while running '(?P<step>[^'/:]+)[^']*'\]")
"""What Beam appends to the text of an error."""


def reason_of(error: BaseException, steps: Container[str]) -> str:
    """Why a run failed: our errors' whole text, of others the last line, with the Step's name."""
    while error.__cause__ is not None and not isinstance(error, DistilabelError):
        error = error.__cause__
    # "None" alone is how Dataflow's client says that it knows no more.
    lines = [line.strip() for line in str(error).splitlines() if line.strip() not in ("", "None")]
    text = lines[-1] if lines else ""
    if isinstance(error, DistilabelError):
        # An engine's own error has several lines, and the cause isn't in the last.
        whole = "\n".join(line for line in lines if not line.startswith(_PYDANTIC_HINT))
        return _WHERE.sub("", whole)[:_MAX_REASON]
    where = _WHERE.search(text)
    if where is not None and where["step"] in steps:
        return f"Step {where['step']!r}: {type(error).__name__}: {_WHERE.sub('', text)}"
    return f"{type(error).__name__}: {text}"


_PYDANTIC_HINT = "For further information visit"
_MAX_REASON = 4_000

__all__ = ["reason_of", "was_cancelled"]
