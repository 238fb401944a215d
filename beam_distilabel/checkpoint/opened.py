"""The checkpoints that this process has open: one per folder, counted by use."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import threading
from collections import Counter
from collections.abc import Iterator

from beam_distilabel.checkpoint.settings import CheckpointSettings
from beam_distilabel.checkpoint.store import Checkpoint
from beam_distilabel.errors import CheckpointError

logger = logging.getLogger(__name__)

_open: dict[str, tuple[Checkpoint, Counter[str | None]]] = {}
_lock = threading.Lock()


def open_checkpoint(
    folder: str, settings: CheckpointSettings, owner: str | None = None, since: int = 0
) -> Checkpoint:
    """The process' `Checkpoint` of a folder; give it back with `close_checkpoint`.

    Args:
        folder: where the segments are.
        settings: how much may be unwritten; those of who opens it first hold.
        owner: the run that uses it, see `close_checkpoints`.
        since: segments that were begun before that time, in nanoseconds, are not used; that of who
            opens it first holds.
    """
    with _lock:
        if folder not in _open:
            _open[folder] = (Checkpoint(folder, settings, since), Counter())
        known, uses = _open[folder]
        uses[owner] += 1
        return known


def close_checkpoint(finished: Checkpoint, owner: str | None = None) -> None:
    """Write what is unwritten; the last user of a `Checkpoint` closes it.

    Raises:
        CheckpointError: a write failed for good.
    """
    if _given_back(finished, owner, 1):
        finished.close()
    else:
        finished.flush()


def close_checkpoints(owner: str | None) -> None:
    """Close what `owner` opened and left open, as a run does that failed.

    What can't be written is asked again in a resumed run, and the log says so: why the run failed
    is more than that.
    """
    with _lock:
        left = [(known, uses[owner]) for known, uses in _open.values() if uses[owner]]
    for known, count in left:
        with _failures_logged():
            if _given_back(known, owner, count):
                known.close()


def flush_checkpoints() -> None:
    """Write what is unwritten of all that is open in this process.

    Raises:
        CheckpointError: a write failed for good.
    """
    with _lock:
        known = [finished for finished, _ in _open.values()]
    for finished in known:
        finished.flush()


@contextlib.contextmanager
def checkpoint(folder: str, settings: CheckpointSettings) -> Iterator[Checkpoint]:
    """`open_checkpoint` for a block."""
    finished = open_checkpoint(folder, settings)
    try:
        yield finished
    finally:
        close_checkpoint(finished)


def _given_back(finished: Checkpoint, owner: str | None, count: int) -> bool:
    """Whether nobody uses `finished` after so many of `owner`'s uses have ended."""
    with _lock:
        known, uses = _open.get(finished.folder, (None, Counter[str | None]()))
        if known is not finished:
            return True
        uses[owner] -= count
        if uses.total() > 0:
            return False
        del _open[finished.folder]
        return True


@contextlib.contextmanager
def _failures_logged() -> Iterator[None]:
    try:
        yield
    except CheckpointError as error:
        logger.warning("Some answers will be asked again in a resumed run: %s", error)


def _close_all() -> None:
    with _lock:
        left = [known for known, _ in _open.values()]
        _open.clear()
    for known in left:
        with _failures_logged():
            known.close()


def _forget() -> None:
    """In a forked process: the threads that write are the parent's."""
    global _lock
    _lock = threading.Lock()
    _open.clear()


atexit.register(_close_all)
os.register_at_fork(after_in_child=_forget)
