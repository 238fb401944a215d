"""Which segment has a key: a sorted index that the processes of a host map, and what came since."""

from __future__ import annotations

import contextlib
import logging
import threading
import uuid
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from filelock import FileLock

from beam_distilabel.checkpoint.segments import (
    KEY_BYTES,
    READERS,
    CorruptSegment,
    key_numbers,
    list_segments,
    read_segment,
    written_at,
)
from beam_distilabel.checkpoint.sorted_keys import Place, SortedKeys
from beam_distilabel.filesystems import persistently

RECENT_KEYS = 100_000, 1_000_000
"""How many keys a process holds apart, at least and at most, before it merges them into the host's
index; in between a sixteenth of those that are there."""

logger = logging.getLogger(__name__)


class KeyIndex:
    """The keys of all segments of a folder.

    Args:
        folder: the folder of the segments.
        home: where the host's index of that folder is; None for nowhere.
        since: segments that were begun before that time, in nanoseconds, don't count.
    """

    def __init__(self, folder: str, home: Path | None, since: int = 0) -> None:
        self._folder = folder
        self._since = since
        self._home = home
        self._sorted = SortedKeys()
        self._recent: dict[bytes, tuple[Place, ...]] = {}
        self._recent_keys: dict[str, tuple[Any, Any]] = {}
        self._known: set[str] = set()
        self._gone: set[str] = set()
        self._unusable: set[str | Place] = set()
        self._lock = threading.Lock()

    def find(self, key: bytes) -> Place | None:
        """Where the value of `key` is; of several the one that was written first."""
        with self._lock:
            known, recent = self._sorted, self._recent.get(key, ())
        if not recent and not len(known):  # a run that begins: nothing is there
            return None
        best: Place | None = None
        for place in (*known.find(key), *recent):
            if (best is None or place < best) and not self._is_unusable(place):
                best = place
        return best

    def __len__(self) -> int:
        """How many keys there are; those that two segments have may count twice."""
        return len(self._sorted) + len(self._recent)

    def add(self, segment: str, keys: Sequence[bytes]) -> None:
        """Note a segment that this process has written."""
        numbers = np.frombuffer(b"".join(keys), ">u8").reshape(-1, 2).astype("<u8")
        with self._lock:
            self._known.add(segment)
            self._note(segment, keys, range(len(keys)), (numbers, np.arange(len(keys))))

    def discard(self, what: Place | str) -> None:
        """Forget a value that can't be read, or a segment; keys count as not found there."""
        with self._lock:
            self._unusable.add(what)

    def refresh(self) -> None:
        """Look which segments others have written, and which have gone.

        Raises:
            OSError: the folder can't be listed, or a segment not be read.
        """
        with self._lock:
            known = set(self._known)  # before the folder is listed: nothing else may seem gone
        names = persistently(
            f"Listing the checkpoint {self._folder}", lambda: list_segments(self._folder)
        )
        names = [name for name in names if written_at(name) >= self._since]
        listed = set(names)
        if listed == known and not self._has_many_recent():
            return
        gone = known - listed
        if known:
            found = self._read([name for name in names if name not in self._known])
            with self._lock:
                for name in found.keys() - self._known:
                    numbers, rows = found[name]
                    binary = numbers.astype(">u8").tobytes()
                    keys = [binary[i : i + KEY_BYTES] for i in range(0, len(binary), KEY_BYTES)]
                    self._note(name, keys, rows.tolist(), found[name])
                self._known = (self._known - gone) | listed
                self._gone = (self._gone | gone) - listed
                if not self._has_many_recent():
                    return
        merged = self._merge(names)
        with self._lock:
            self._sorted = merged
            self._known = (self._known - gone) | listed
            late = self._recent_keys.keys() - listed - self._gone - gone
            self._gone = set()
            self._recent_keys = {name: self._recent_keys[name] for name in late}
            self._recent = {
                key: places
                for key, found_at in self._recent.items()
                if (places := tuple(place for place in found_at if place.segment in late))
            }

    def _has_many_recent(self) -> bool:
        least, most = RECENT_KEYS
        return len(self._recent) >= min(max(least, len(self._sorted) // 16), most)

    def _is_unusable(self, place: Place) -> bool:
        bad = self._unusable
        return place.segment in self._gone or (bool(bad) and (place in bad or place.segment in bad))

    def _note(
        self, segment: str, keys: Iterable[bytes], rows: Iterable[int], arrays: tuple[Any, Any]
    ) -> None:
        for key, row in zip(keys, rows, strict=True):
            known = self._recent.get(key)
            place = Place(segment, row)
            self._recent[key] = (place,) if known is None else (*known, place)
        self._recent_keys[segment] = arrays

    def _merge(self, names: Sequence[str]) -> SortedKeys:
        """The index of all of `names`: what another process of this host has made, or a new one."""
        if self._home is None:
            return self._joined(self._sorted, names)
        try:
            with FileLock(self._home / "index.lock"):
                best = self._sorted
                for path in self._home.glob("index-*.arrow"):
                    with contextlib.suppress(OSError, ValueError, KeyError, pa.ArrowException):
                        best = max(best, SortedKeys.load(path), key=lambda one: _use(one, names))
                if list(best.names) == list(names):
                    return best
                merged = self._joined(best, names)
                earlier = list(self._home.glob("index-*.arrow"))
                path = self._home / f"index-{uuid.uuid4().hex}.arrow"
                merged.save(path)
                for old in earlier:  # who has one mapped goes on reading it
                    old.unlink(missing_ok=True)
                return SortedKeys.load(path)
        except _Unreadable:
            raise
        except (OSError, ValueError, NotImplementedError, pa.ArrowException) as error:
            logger.warning("The checkpoint's index is kept in memory: %s", error)
            self._home = None
            return self._joined(self._sorted, names)

    def _joined(self, index: SortedKeys, names: Sequence[str]) -> SortedKeys:
        missing = set(names).difference(index.names)
        with self._lock:
            own = {name: self._recent_keys[name] for name in missing & self._recent_keys.keys()}
        return index.having(names, {**own, **self._read(sorted(missing - own.keys()))})

    def _read(self, names: Sequence[str]) -> dict[str, tuple[Any, Any]]:
        """The keys of segments and their rows; of those that can't be used there are none."""
        if not names:
            return {}
        with ThreadPoolExecutor(min(READERS, len(names))) as readers:
            return dict(zip(names, readers.map(self._keys, names), strict=True))

    def _keys(self, name: str) -> tuple[Any, Any]:
        try:
            column = persistently(
                f"Reading the checkpoint {self._folder}",
                lambda: read_segment(self._folder, name, ["key"]).column("key"),
            )
        except FileNotFoundError:  # merged with others by a run that was started meanwhile
            column = None
        except CorruptSegment as error:
            logger.warning("A part of the checkpoint is unreadable and asked again: %s", error)
            column = None
        except OSError as error:
            raise _Unreadable(str(error)) from error
        if column is None:
            return np.empty((0, 2), np.uint64), np.empty(0, np.int64)
        rows = np.flatnonzero(column.is_valid().to_numpy())
        return key_numbers(column.drop_null()), rows


class _Unreadable(OSError):
    """The checkpoint itself can't be read, not what the host has of it."""


def _use(index: SortedKeys, names: Sequence[str]) -> int:
    """How many of `names` an index has."""
    return len(set(names).intersection(index.names))
