"""Time as the Hub writes it."""

from __future__ import annotations

from datetime import datetime, timezone


def now() -> str:
    """The time in the form that the Hub writes: UTC, milliseconds, `Z`."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
