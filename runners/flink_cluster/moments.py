"""Waiting for processes that say nothing when they are ready."""

from __future__ import annotations

import time
from collections.abc import Iterator

_POLL_SECONDS = 0.1


def moments(seconds: float) -> Iterator[None]:
    """Moments to look, until `seconds` have passed; the first is now, the last is after them.

    Example:
        >>> len(list(moments(0.0)))
        1
    """
    end = time.monotonic() + seconds
    over = False
    while not over:
        over = time.monotonic() >= end
        yield
        if not over:
            time.sleep(_POLL_SECONDS)
