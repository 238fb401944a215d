"""`Checkpoint`: a Task's finished generations, found by their keys and written as they come."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

from beam_distilabel.checkpoint.cache import SegmentCache
from beam_distilabel.checkpoint.index import KeyIndex, Place
from beam_distilabel.checkpoint.segments import (
    CorruptSegment,
    decode,
    encode,
    segment_name,
    write_segment,
)
from beam_distilabel.checkpoint.settings import CheckpointSettings
from beam_distilabel.errors import CheckpointError
from beam_distilabel.row import fingerprint

REFRESH_SECONDS = 5.0
"""How often a process looks at most for what others have written."""

WRITE_ATTEMPTS = 6
FIRST_DELAY = 0.1
"""Seconds before the second attempt at a write; each further one waits twice as long."""

MISSING = object()
"""What `Found.read` returns where a value can't be read after all."""

logger = logging.getLogger(__name__)


class Found:
    """A finished generation that is there.

    Attributes:
        ready: whether `read` fetches nothing, so that it may be called on an event loop.
    """

    __slots__ = ("_data", "_place", "_store", "ready")

    def __init__(self, store: Checkpoint, place: Place | None, data: bytes | None) -> None:
        self._store = store
        self._place = place
        self._data = data
        self.ready = place is None or store._cache.mapped(place.segment) is not None

    def read(self) -> Any:
        """The value, or MISSING where its segment has gone or is damaged."""
        if self._place is None:
            assert self._data is not None
            return decode(self._data)
        return self._store._read(self._place)


class Checkpoint:
    """The finished generations in one folder; all threads of a process use one, see `checkpoint`.

    Args:
        folder: where the segments are; made when the first is written.
        settings: how much may be unwritten.

    Example:
        >>> with checkpoint("memory://run/checkpoint/task", CheckpointSettings()) as finished:
        ...     finished.put(b"0123456789abcdef", {"generations": ["text"]})
        ...     finished.find(b"0123456789abcdef").read()
        {'generations': ['text']}
    """

    def __init__(self, folder: str, settings: CheckpointSettings) -> None:
        name = fingerprint(folder)
        self.folder = folder
        self._settings = settings
        self._index = KeyIndex(folder, name)
        self._cache = SegmentCache(folder, name)
        self._state = threading.Condition()
        self._pending: dict[bytes, bytes] = {}
        self._writing: dict[bytes, bytes] = {}
        self._bytes = 0
        self._since = 0.0
        self._waiting: list[Future[None]] = []
        self._error: BaseException | None = None
        self._closing = False
        self._refreshing = threading.Lock()
        self._due = 0.0
        self._refuses: set[str] = set()
        self._writer = threading.Thread(target=self._write_on, name="checkpoint", daemon=True)
        self._writer.start()

    # -- reading ---------------------------------------------------------------------------------

    def refresh(self, force: bool = False) -> None:
        """Look for what other processes have written, if it is time for that.

        Raises:
            CheckpointError: the folder can't be read.
        """
        if not force and time.monotonic() < self._due:
            return
        if not self._refreshing.acquire(blocking=force):
            return
        try:
            self._index.refresh()
            self._due = time.monotonic() + REFRESH_SECONDS
        except OSError as error:
            raise CheckpointError(
                f"the checkpoint {self.folder!r} can't be read: {error}"
            ) from error
        finally:
            self._refreshing.release()

    def find(self, key: bytes) -> Found | None:
        """What is finished under `key`, None if nothing is."""
        data = self._pending.get(key) or self._writing.get(key)
        if data is not None:
            return Found(self, None, data)
        place = self._index.find(key)
        return None if place is None else Found(self, place, None)

    def __len__(self) -> int:
        """How many generations are finished."""
        return len(self._index) + len(self._pending) + len(self._writing)

    def _read(self, place: Place) -> Any:
        try:
            return decode(self._cache.values(place.segment)[place.row].as_py())
        except FileNotFoundError:
            pass  # merged with others by a run that was started meanwhile
        except (CorruptSegment, ValueError, IndexError) as error:
            logger.warning("A part of the checkpoint is unreadable and asked again: %s", error)
        except OSError as error:
            raise CheckpointError(
                f"the checkpoint {self.folder!r} can't be read: {error}"
            ) from error
        self._index.discard(place.segment)
        return MISSING

    # -- writing ---------------------------------------------------------------------------------

    def put(self, key: bytes, value: Any) -> Future[None] | None:
        """Note that `value` is finished.

        Returns:
            None, or where too much is unwritten what has to be waited for before more is begun.

        Raises:
            CheckpointError: an earlier write failed for good.
        """
        try:
            data = encode(value)
        except (TypeError, ValueError, OverflowError) as error:
            self._refuse(error)
            return None
        with self._state:
            if self._error is not None:
                raise self._failure()
            if not self._pending:
                self._since = time.monotonic()
            self._pending.setdefault(key, data)
            self._bytes += len(data)
            if not self._is_due():
                if len(self._pending) == 1:
                    self._state.notify_all()  # the writer waits for the first without an end
                return None
            self._state.notify_all()
            if not self._is_full():
                return None
            written: Future[None] = Future()
            self._waiting.append(written)
            return written

    def flush(self) -> None:
        """Write everything, and return when it is written.

        Raises:
            CheckpointError: a write failed for good.
        """
        with self._state:
            self._since = float("-inf")
            self._state.notify_all()
            self._state.wait_for(lambda: self._error or not (self._pending or self._writing))
            if self._error is not None:
                raise self._failure()

    def close(self) -> None:
        """Write everything; nothing can be put any more.

        Raises:
            CheckpointError: a write failed for good.
        """
        with self._state:
            self._closing = True
            self._state.notify_all()
        self._writer.join()
        if self._error is not None:
            raise self._failure()

    def _is_full(self) -> bool:
        settings = self._settings
        rows = len(self._pending) + len(self._writing)
        return rows >= settings.rows or self._bytes >= settings.bytes

    def _is_due(self) -> bool:
        settings = self._settings
        return (
            2 * len(self._pending) >= settings.rows
            or 2 * self._bytes >= settings.bytes
            or self._closing
            or time.monotonic() - self._since >= settings.seconds
        )

    def _write_on(self) -> None:
        while True:
            with self._state:
                while not self._pending or not self._is_due():
                    if self._closing and not self._pending:
                        return
                    left = self._since + self._settings.seconds - time.monotonic()
                    self._state.wait(max(left, 0.0) if self._pending else None)
                self._writing, self._pending = self._pending, {}
                self._bytes = 0
            error: BaseException | None = None
            name = segment_name()
            try:
                self._write(name, self._writing)
            except Exception as problem:
                error = problem
            with self._state:
                if error is None:
                    self._index.add(name, self._writing)
                else:
                    self._error = error
                self._writing = {}
                waiting, self._waiting = self._waiting, []
                self._state.notify_all()
            for one in waiting:
                if error is None:
                    one.set_result(None)
                else:
                    one.set_exception(self._failure())
            if error is not None:
                return

    def _write(self, name: str, rows: dict[bytes, bytes]) -> None:
        delay = FIRST_DELAY
        for attempt in range(1, WRITE_ATTEMPTS + 1):
            try:
                write_segment(self.folder, name, list(rows), list(rows.values()))
                return
            except OSError as error:
                if attempt == WRITE_ATTEMPTS:
                    raise
                logger.warning(
                    "The checkpoint %s can't be written (attempt %d of %d): %s",
                    self.folder,
                    attempt,
                    WRITE_ATTEMPTS,
                    error,
                )
            time.sleep(delay)
            delay *= 2

    def _failure(self) -> CheckpointError:
        return CheckpointError(
            f"the checkpoint {self.folder!r} can't be written: {self._error}. What was written "
            "before is kept: make room or mend the filesystem, and run again."
        )

    def _refuse(self, error: Exception) -> None:
        reason = str(error)
        if reason not in self._refuses and len(self._refuses) < 100:
            self._refuses.add(reason)
            logger.warning(
                "Answers that %s doesn't take will be asked again in a resumed run: %s",
                self.folder,
                reason,
            )


_open: dict[str, tuple[Checkpoint, int]] = {}
_opening = threading.Lock()


def open_checkpoint(folder: str, settings: CheckpointSettings) -> Checkpoint:
    """The process' `Checkpoint` of a folder; give it back with `close_checkpoint`."""
    with _opening:
        known, users = _open.get(folder, (None, 0))
        if known is None:
            known = Checkpoint(folder, settings)
        _open[folder] = (known, users + 1)
    return known


def close_checkpoint(finished: Checkpoint) -> None:
    """Write what is unwritten; the last user of a `Checkpoint` closes it.

    Raises:
        CheckpointError: a write failed for good.
    """
    with _opening:
        known, users = _open.get(finished.folder, (None, 0))
        last = known is not finished or users <= 1
        if not last:
            _open[finished.folder] = (finished, users - 1)
        elif known is finished:
            del _open[finished.folder]
    if last:
        finished.close()
    else:
        finished.flush()


def flush_checkpoints() -> None:
    """Write what is unwritten of all that is open in this process.

    Raises:
        CheckpointError: a write failed for good.
    """
    with _opening:
        known = [finished for finished, _ in _open.values()]
    for finished in known:
        finished.flush()


@contextmanager
def checkpoint(folder: str, settings: CheckpointSettings) -> Iterator[Checkpoint]:
    """`open_checkpoint` for a block."""
    finished = open_checkpoint(folder, settings)
    try:
        yield finished
    finally:
        close_checkpoint(finished)
