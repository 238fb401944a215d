"""Which segment has a key: a sorted index that the processes of a host map, and what came since."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import threading
import uuid
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from filelock import FileLock

from beam_distilabel.checkpoint.segments import (
    KEY_BYTES,
    CorruptSegment,
    list_segments,
    read_segment,
)
from beam_distilabel.host_folder import host_folder

RECENT_KEYS = 100_000
"""How many keys a process holds apart before it merges them into the host's index."""

RECENT_SEGMENTS = 16
"""How many segments may appear at once without being merged."""

READERS = 16
"""How many segments are read at once; reads of object stores take long and cost nothing here."""

_KEY = np.dtype(f"S{KEY_BYTES}")
_PLACE = np.dtype([("segment", "<u4"), ("row", "<u4")])

logger = logging.getLogger(__name__)


class Place(NamedTuple):
    """Where a finished generation is."""

    segment: str
    row: int


class KeyIndex:
    """The keys of all segments of a folder.

    Args:
        folder: the folder of the segments.
        name: what the index of that folder is called on this host.
    """

    def __init__(self, folder: str, name: str) -> None:
        self._folder = folder
        self._path = host_folder("checkpoints", name)
        self._merged = _Merged.empty()
        self._recent: dict[bytes, Place] = {}
        self._known: set[str] = set()
        self._unusable: set[str] = set()
        self._lock = threading.Lock()

    def find(self, key: bytes) -> Place | None:
        """Where the value of `key` is; of several the one that was written first."""
        with self._lock:
            recent = self._recent.get(key)
            merged = self._merged.find(key)
        if merged is None or merged.segment in self._unusable:
            return recent
        return merged if recent is None else min(merged, recent)

    def __len__(self) -> int:
        """How many keys there are; those that two segments have may count twice."""
        return len(self._merged.keys) + len(self._recent)

    def add(self, segment: str, keys: Iterable[bytes]) -> None:
        """Note a segment that this process has written."""
        with self._lock:
            self._known.add(segment)
            self._note(segment, keys)

    def discard(self, segment: str) -> None:
        """Forget a segment that can't be read; its keys count as not found."""
        with self._lock:
            self._unusable.add(segment)
            self._recent = {k: p for k, p in self._recent.items() if p.segment != segment}

    def refresh(self) -> None:
        """Look which segments others have written, and which have gone.

        Raises:
            OSError: the folder can't be listed.
        """
        names = [name for name in list_segments(self._folder) if name not in self._unusable]
        with self._lock:
            if set(names) == self._known:
                return
            gone = self._known - set(names)
            new = [name for name in names if name not in self._known]
        if not gone and len(new) <= RECENT_SEGMENTS:
            found = self._read(new)
            with self._lock:
                for name, keys in found:
                    self._known.add(name)
                    # numpy leaves zero bytes at the end out.
                    self._note(name, [key.ljust(KEY_BYTES, b"\0") for key in keys.tolist()])
                if len(self._recent) < RECENT_KEYS:
                    return
        merged = self._merge(names)
        with self._lock:
            late: dict[str, list[tuple[bytes, Place]]] = {
                name: [] for name in self._known - set(names) - gone
            }
            for key, place in self._recent.items():
                if place.segment in late:
                    late[place.segment].append((key, place))
            self._merged = merged
            self._known = {*names, *late}
            self._recent = {key: place for pairs in late.values() for key, place in pairs}

    def _note(self, segment: str, keys: Iterable[bytes]) -> None:
        for row, key in enumerate(keys):
            place = Place(segment, row)
            known = self._recent.get(key)
            if known is None or place < known:
                self._recent[key] = place

    def _merge(self, names: Sequence[str]) -> _Merged:
        """The index of all of `names`: what another process of this host has made, or a new one."""
        names = sorted(names)
        lock = FileLock(self._path / "index.lock")
        with lock:
            best = max(
                (known for known in self._stored() if set(known.names) <= set(names)),
                key=lambda known: len(known.keys),
                default=_Merged.empty(),
            )
            missing = sorted(set(names) - set(best.names))
            if not missing:
                return best
            merged = best.joined(self._read(missing))
            return merged.stored(self._path)

    def _stored(self) -> list[_Merged]:
        found = []
        for path in self._path.glob("index-*"):
            try:
                found.append(_Merged.load(path))
            except (OSError, ValueError, KeyError):
                shutil.rmtree(path, ignore_errors=True)
        return found

    def _read(self, names: Sequence[str]) -> list[tuple[str, Any]]:
        """The keys of segments, as arrays; those that can't be read are left out."""
        if not names:
            return []
        with ThreadPoolExecutor(min(READERS, len(names))) as readers:
            found = list(zip(names, readers.map(self._keys, names), strict=True))
        return [(name, keys) for name, keys in found if keys is not None]

    def _keys(self, name: str) -> Any:
        try:
            keys = read_segment(self._folder, name, ["key"]).column("key").combine_chunks()
        except FileNotFoundError:
            return None
        except CorruptSegment as error:
            logger.warning("A part of the checkpoint is unreadable and asked again: %s", error)
            self._unusable.add(name)
            return None
        return key_array(keys)


def key_array(keys: Any) -> Any:
    """A `pyarrow` column of keys as a numpy array."""
    chunk = keys.chunk(0) if isinstance(keys, pa.ChunkedArray) else keys
    return np.frombuffer(
        chunk.buffers()[1], dtype=_KEY, count=len(chunk), offset=chunk.offset * KEY_BYTES
    )


class _Merged:
    """Keys in order, and the place of each.

    Attributes:
        names: the segments.
        keys: sorted; one of each.
        places: as many, by the segment's number in `names`.
    """

    def __init__(self, names: Sequence[str], keys: Any, places: Any) -> None:
        self.names = names
        self.keys = keys
        self.places = places

    @classmethod
    def empty(cls) -> _Merged:
        return cls((), np.empty(0, _KEY), np.empty(0, _PLACE))

    def find(self, key: bytes) -> Place | None:
        at = int(np.searchsorted(self.keys, np.bytes_(key)))
        # numpy leaves zero bytes at the end out.
        if at == len(self.keys) or self.keys[at] != key.rstrip(b"\0"):
            return None
        segment, row = self.places[at].tolist()
        return Place(self.names[segment], row)

    def joined(self, others: Sequence[tuple[str, Any]]) -> _Merged:
        """This index with further segments."""
        names = sorted({*self.names, *(name for name, _ in others)})
        numbers = {name: number for number, name in enumerate(names)}
        places = np.array(self.places)
        if len(places):
            old = np.array([numbers[name] for name in self.names], "<u4")
            places["segment"] = old[places["segment"]]
        all_keys, all_places = [np.array(self.keys)], [places]
        for name, keys in others:
            own = np.empty(len(keys), _PLACE)
            own["segment"] = numbers[name]
            own["row"] = np.arange(len(keys))
            all_keys.append(keys)
            all_places.append(own)
        keys, places = np.concatenate(all_keys), np.concatenate(all_places)
        order = np.lexsort((places["row"], places["segment"], keys))
        keys, places = keys[order], places[order]
        first = np.ones(len(keys), bool)
        first[1:] = keys[1:] != keys[:-1]
        return _Merged(names, keys[first], places[first])

    def stored(self, folder: Path) -> _Merged:
        """This index mapped from files in `folder`, in place of those that were there."""
        made = folder / f".{uuid.uuid4().hex}.part"
        try:
            made.mkdir()
            np.save(made / "keys.npy", self.keys, allow_pickle=False)
            np.save(made / "places.npy", self.places, allow_pickle=False)
            (made / "names.json").write_text(json.dumps(list(self.names)))
            earlier = list(folder.glob("index-*"))
            path = folder / f"index-{uuid.uuid4().hex}"
            os.replace(made, path)
        except OSError:  # no room there: it is kept in memory
            shutil.rmtree(made, ignore_errors=True)
            return self
        for old in earlier:  # who has one mapped goes on reading it
            with contextlib.suppress(OSError):
                shutil.rmtree(old)
        return self.load(path)

    @classmethod
    def load(cls, path: Path) -> _Merged:
        names = json.loads((path / "names.json").read_text())
        keys = np.load(path / "keys.npy", mmap_mode="r", allow_pickle=False)
        places = np.load(path / "places.npy", mmap_mode="r", allow_pickle=False)
        if keys.dtype != _KEY or places.dtype != _PLACE or len(keys) != len(places):
            raise ValueError(f"{path} is no index")
        return cls(names, keys, places)
