"""`Checkpoint`: a Task's finished generations, found by their keys and written as they come."""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import Future
from typing import Any

from beam_distilabel.checkpoint.cache import SegmentCache, home_of
from beam_distilabel.checkpoint.documents import seal, unseal
from beam_distilabel.checkpoint.index import KeyIndex
from beam_distilabel.checkpoint.segments import (
    CorruptSegment,
    segment_name,
    write_segment,
)
from beam_distilabel.checkpoint.settings import CheckpointSettings
from beam_distilabel.checkpoint.sorted_keys import Place
from beam_distilabel.errors import CheckpointError
from beam_distilabel.filesystems import persistently

REFRESH_SECONDS = 5.0
"""How often a process looks at most for what others have written."""

REFRESH_SHARE = 0.05
"""The share of its time that it does so at most: where a folder has very many segments, or its
filesystem is slow, it looks more rarely."""

MISSING = object()
"""What `Found.read` returns where a value can't be read after all."""

logger = logging.getLogger(__name__)


class Found:
    """A finished generation that is there.

    Attributes:
        ready: whether `read` fetches nothing, so that it may be called on an event loop.
    """

    __slots__ = ("_key", "_place", "_sealed", "_store", "ready")

    def __init__(
        self, store: Checkpoint, key: bytes, place: Place | None, sealed: bytes | None
    ) -> None:
        self._store = store
        self._key = key
        self._place = place
        self._sealed = sealed
        self.ready = place is None or store._cache.held(place.segment) is not None

    def read(self) -> Any:
        """The value, or MISSING where its segment has gone or is damaged.

        Raises:
            CheckpointError: the folder can't be read.
        """
        if self._place is None:
            assert self._sealed is not None
            return unseal(self._key, self._sealed)
        return self._store._read(self._key, self._place)


class _Batch:
    """What becomes one segment, and who waits for that."""

    __slots__ = ("bytes", "done", "rows", "since", "urgent", "waiting")

    def __init__(self) -> None:
        self.rows: dict[bytes, bytes] = {}
        self.bytes = 0
        self.since = 0.0
        self.urgent = False
        self.done = False
        self.waiting: list[Future[None]] = []

    def release(self, error: BaseException | None) -> None:
        """Let those go on that wait."""
        for one in self.waiting:
            if one.set_running_or_notify_cancel():  # a row that was cancelled waits no more
                one.set_result(None) if error is None else one.set_exception(error)


class Checkpoint:
    """The finished generations in one folder, for all threads of a process; see `checkpoint`.

    Args:
        folder: where the segments are; made when the first is written.
        settings: how much may be unwritten.
        since: segments that were begun before that time, in nanoseconds, are not used.

    Example:
        >>> from beam_distilabel.checkpoint import checkpoint
        >>> with checkpoint("memory://run/checkpoint/task", CheckpointSettings()) as finished:
        ...     finished.put(b"0123456789abcdef", {"generations": ["text"]})
        ...     finished.find(b"0123456789abcdef").read()
        {'generations': ['text']}
    """

    def __init__(self, folder: str, settings: CheckpointSettings, since: int = 0) -> None:
        self.folder = folder
        self._settings = settings
        home = home_of(folder)
        self._index = KeyIndex(folder, home, since)
        self._cache = SegmentCache(folder, home)
        self._state = threading.Condition()
        self._coming = _Batch()
        self._leaving = _Batch()
        self._error: BaseException | None = None
        self._closing = False
        self._refreshing = threading.Lock()
        self._due = 0.0
        self._refuses: set[str] = set()
        self._renewed: set[str] = set()
        self._warned: set[str] = set()
        self._writer = threading.Thread(target=self._write_on, name="checkpoint", daemon=True)
        self._writer.start()

    # -- reading ---------------------------------------------------------------------------------

    def refresh(self, force: bool = False) -> None:
        """Look for what other processes have written, if it is time for that.

        Args:
            force: whether to look in any case, and to fail where the folder can't be read;
                otherwise only some answers of others aren't seen.

        Raises:
            CheckpointError: the folder can't be read, or an earlier write failed for good.
        """
        if self._error is not None:
            raise self._failure()
        if not force and time.monotonic() < self._due:
            return
        if not self._refreshing.acquire(blocking=force):
            return
        began = time.monotonic()
        try:
            self._index.refresh()
        except OSError as error:
            if force:
                raise self._unreadable(error) from error
            logger.warning("What others have finished can't be seen: %s", error)
        finally:
            now = time.monotonic()
            self._due = now + max(REFRESH_SECONDS, (now - began) / REFRESH_SHARE)
            self._refreshing.release()

    def find(self, key: bytes) -> Found | None:
        """What is finished under `key`, None if nothing is."""
        sealed = self._coming.rows.get(key) or self._leaving.rows.get(key)
        if sealed is not None:
            return Found(self, key, None, sealed)
        place = self._index.find(key)
        return None if place is None else Found(self, key, place, None)

    def __len__(self) -> int:
        """How many generations are finished."""
        return len(self._index) + len(self._coming.rows) + len(self._leaving.rows)

    def _read(self, key: bytes, place: Place | None) -> Any:
        while place is not None:
            segment, row = place
            try:
                sealed = self._cache.values(segment)[row].as_py()
                if sealed is not None:
                    return unseal(key, sealed)
                self._index.discard(place)  # its group is damaged, as was said when it was read
            except FileNotFoundError:  # merged with others by a run that was started meanwhile
                self._index.discard(place)
                self.refresh(force=True)
            except CorruptSegment as error:
                self._index.discard(segment)
                self._warn(segment, error)
            except (ValueError, IndexError) as error:
                if segment not in self._renewed:  # the host's copy may be what is damaged
                    self._renewed.add(segment)
                    self._cache.drop(segment)
                    continue
                self._index.discard(place)
                self._warn(segment, error)
            except OSError as error:
                raise self._unreadable(error) from error
            place = self._index.find(key)
        return MISSING

    def _warn(self, segment: str, error: Exception) -> None:
        if segment not in self._warned:
            self._warned.add(segment)
            logger.warning(
                "A part of the checkpoint is unreadable and asked again: %s/%s: %s",
                self.folder,
                segment,
                error,
            )

    def _unreadable(self, error: BaseException) -> CheckpointError:
        return CheckpointError(
            f"the checkpoint {self.folder!r} can't be read: {error}. Mend the filesystem and run "
            "again; with use_cache=False, nothing of it is used."
        )

    # -- writing ---------------------------------------------------------------------------------

    def put(self, key: bytes, value: Any) -> Future[None] | None:
        """Note that `value` is finished.

        Returns:
            None, or where too much is unwritten what has to be waited for before more is begun.

        Raises:
            CheckpointError: an earlier write failed for good.
        """
        try:
            sealed = seal(key, value)
        except (TypeError, ValueError) as error:
            self._refuse(error)
            return None
        with self._state:
            if self._error is not None:
                raise self._failure()
            if self._closing:
                raise CheckpointError(f"the checkpoint {self.folder!r} is closed")
            batch = self._coming
            if key in batch.rows or key in self._leaving.rows:
                return None
            if not batch.rows:
                batch.since = time.monotonic()
            batch.rows[key] = sealed
            batch.bytes += len(sealed)
            written: Future[None] | None = None
            if self._is_full():
                written = Future()
                batch.waiting.append(written)
            # The writer waits for the first without an end.
            if len(batch.rows) == 1 or self._is_due():
                self._state.notify_all()
            return written

    def flush(self) -> None:
        """Write everything, and return when it is written.

        Raises:
            CheckpointError: a write failed for good.
        """
        with self._state:
            batches = [batch for batch in (self._leaving, self._coming) if batch.rows]
            self._coming.urgent = bool(self._coming.rows)
            self._state.notify_all()
            self._state.wait_for(lambda: self._error or all(batch.done for batch in batches))
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
        coming, leaving, settings = self._coming, self._leaving, self._settings
        return (
            len(coming.rows) + len(leaving.rows) >= settings.rows
            or coming.bytes + leaving.bytes >= settings.bytes
        )

    def _is_due(self) -> bool:
        batch, settings = self._coming, self._settings
        return (
            2 * len(batch.rows) >= settings.rows
            or 2 * batch.bytes >= settings.bytes
            or batch.urgent
            or bool(batch.waiting)
            or self._closing
            or time.monotonic() - batch.since >= settings.seconds
        )

    def _write_on(self) -> None:
        while (batch := self._next()) is not None:
            error: Exception | None = None
            name = segment_name()
            rows = batch.rows
            try:
                persistently(
                    f"Writing the checkpoint {self.folder}",
                    lambda: write_segment(self.folder, name, list(rows), list(rows.values())),  # noqa: B023
                )
            except Exception as problem:
                error = problem
            with self._state:
                stuck = [batch]
                if error is None:
                    self._index.add(name, list(rows))
                    self._leaving = _Batch()
                else:
                    self._error = error
                    stuck.append(self._coming)
                batch.done = True
                self._state.notify_all()
            for one in stuck:
                one.release(None if error is None else self._failure())
            if error is not None:
                return

    def _next(self) -> _Batch | None:
        """The next batch to write, when it is due; None where no more comes."""
        with self._state:
            while not self._coming.rows or not self._is_due():
                if self._closing and not self._coming.rows:
                    return None
                left = self._coming.since + self._settings.seconds - time.monotonic()
                self._state.wait(max(left, 0.0) if self._coming.rows else None)
            # In this order: `find` looks at what comes first.
            self._leaving = self._coming
            self._coming = _Batch()
            return self._leaving

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
