"""Garbage collection while a job runs in this process."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator

YOUNG_OBJECTS = 50_000
"""How many objects may be added before Python looks for cycles among the newest ones."""


@contextlib.contextmanager
def rare_collections() -> Iterator[None]:
    """Look for cyclic garbage less often until the end.

    The rows in flight are thousands of objects. Python's own threshold of 700 makes it look at each
    of them while it is alive, take it for long-lived, and go over the whole heap for that: a third
    of a run's time. Where collection is off, or rare already, nothing is changed.
    """
    thresholds = gc.get_threshold()
    if not gc.isenabled() or not 0 < thresholds[0] < YOUNG_OBJECTS:
        yield
        return
    gc.set_threshold(YOUNG_OBJECTS, *thresholds[1:])
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
