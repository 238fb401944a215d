"""The index against a dict, whatever happens to the folder meanwhile."""

from __future__ import annotations

import os
import threading
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings, strategies as st

from beam_distilabel.checkpoint import index as index_module
from beam_distilabel.checkpoint.cache import home_of
from beam_distilabel.checkpoint.compaction import compact
from beam_distilabel.checkpoint.documents import seal, unseal
from beam_distilabel.checkpoint.index import KeyIndex
from beam_distilabel.checkpoint.segments import (
    CorruptSegment,
    list_segments,
    read_segment,
    segment_name,
    write_segment,
)
from beam_distilabel.checkpoint.sorted_keys import Place, SortedKeys

# Keys whose halves are equal, or end with zeros, or have the highest bit.
KEYS = [bytes(8) + bytes([n]) * 8 for n in range(4)] + [bytes([n]) * 15 + b"\0" for n in (1, 255)]
KEYS += [b"\xff" * 8 + bytes(8), b"\x80" + bytes(15)]


def write(folder: Path, keys: list[bytes], moment: int, number: int = 0) -> str:
    name = f"{moment:020d}-{number:012x}.parquet"
    write_segment(str(folder), name, keys, [seal(key, [name, key]) for key in keys])
    return name


def value_at(folder: Path, place: Place) -> Any:
    return read_segment(str(folder), place.segment)["value"][place.row].as_py()


def truth(folder: Path) -> dict[bytes, Any]:
    """Key to the value that counts, by reading everything."""
    found: dict[bytes, Any] = {}
    for name in list_segments(str(folder)):
        try:
            rows = read_segment(str(folder), name).to_pylist()
        except CorruptSegment:
            continue
        for row in rows:
            if row["key"] is not None:
                found.setdefault(row["key"], unseal(row["key"], row["value"]))
    return found


def check(index: KeyIndex, folder: Path) -> None:
    expected = truth(folder)
    for key in KEYS:
        found = None
        while found is None and (place := index.find(key)) is not None:
            try:
                found = unseal(key, value_at(folder, place))
            except CorruptSegment:  # what was seen whole is damaged now
                index.discard(place.segment)
        assert found == expected.get(key)


@pytest.mark.parametrize("least", [2, 1_000])
@settings(
    max_examples=40,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_against_a_dict(
    data: st.DataObject, least: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Writes of this process and others, refreshes, removals, damage and compaction in any order;
    with and without merging into the host's index each time."""
    monkeypatch.setattr(index_module, "RECENT_KEYS", (least, 1_000_000))
    monkeypatch.setattr("beam_distilabel.checkpoint.compaction.LEAST", 2)
    folder = tmp_path / uuid.uuid4().hex
    folder.mkdir()
    home = home_of(str(folder)) if data.draw(st.booleans()) else None
    indexes = [KeyIndex(str(folder), home) for _ in range(2)]
    for number in range(data.draw(st.integers(1, 10))):
        action = data.draw(st.sampled_from(["add", "add", "other", "remove", "cut", "compact"]))
        keys = data.draw(st.lists(st.sampled_from(KEYS), min_size=1, max_size=4, unique=True))
        names = list_segments(str(folder))
        one = names[data.draw(st.integers(0, 99)) % len(names)] if names else None
        if action in ("add", "other"):
            # Clocks differ: what is written later may count as earlier.
            name = write(folder, keys, data.draw(st.integers(1, 50)), number)
            if action == "add":
                indexes[0].add(name, keys)
        elif action == "remove" and one:
            (folder / one).unlink()
        elif action == "cut" and one:
            os.truncate(folder / one, 20)
        elif action == "compact":
            compact(str(folder))
        if data.draw(st.booleans()):
            for index in indexes:
                index.refresh()
                check(index, folder)
    for index in [*indexes, KeyIndex(str(folder), home)]:
        index.refresh()
        check(index, folder)


def test_the_first_counts_always(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    key = KEYS[0]
    index = KeyIndex(str(folder), home_of(str(folder)))
    late = write(folder, [key], 2)
    index.add(late, [key])
    assert index.find(key) == Place(late, 0)
    early = write(folder, [KEYS[1], key], 1)
    index.refresh()
    assert index.find(key) == Place(early, 1)
    # A value that can't be read gives way to the next one.
    index.discard(Place(early, 1))
    assert index.find(key) == Place(late, 0)
    index.discard(late)
    assert index.find(key) is None


def test_a_host_reads_a_segment_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "run"
    for moment in range(1, 30):
        write(folder, [bytes([moment]) * 16], moment)
    first = KeyIndex(str(folder), home_of(str(folder)))
    first.refresh()
    with monkeypatch.context() as patched:
        patched.setattr(index_module, "read_segment", None)
        second = KeyIndex(str(folder), home_of(str(folder)))
        second.refresh()
        assert second.find(bytes([7]) * 16) == first.find(bytes([7]) * 16) != None  # noqa: E711
    # With one more segment, it alone is read.
    read = []
    keep = read_segment
    monkeypatch.setattr(
        index_module, "read_segment", lambda *args: read.append(args[1]) or keep(*args)
    )
    name = write(folder, [KEYS[0]], 50)
    third = KeyIndex(str(folder), home_of(str(folder)))
    third.refresh()
    assert read == [name]
    assert third.find(KEYS[0]) == Place(name, 0)
    assert len(list(home_of(str(folder)).glob("index-*.arrow"))) == 1  # type: ignore[union-attr]


@pytest.mark.parametrize("damage", ["cut", "zeros", "bit", "text", "empty"])
def test_a_damaged_index_of_the_host_is_made_anew(tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "run"
    keys = [os.urandom(16) for _ in range(1000)]
    name = write(folder, keys, 1)
    home = home_of(str(folder))
    assert home is not None
    KeyIndex(str(folder), home).refresh()
    (file,) = home.glob("index-*.arrow")
    content = bytearray(file.read_bytes())
    if damage == "cut":
        content = content[:5000]
    elif damage == "zeros":
        content[2000:3000] = bytes(1000)
    elif damage == "bit":
        content[4000] ^= 4
    elif damage == "text":
        content = bytearray(b"no index")
    else:
        content = bytearray()
    file.unlink()  # another process may have it mapped
    file.write_bytes(content)
    index = KeyIndex(str(folder), home)
    index.refresh()
    assert [index.find(key) for key in keys] == [Place(name, row) for row in range(1000)]


def test_a_host_without_room_keeps_the_index_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    name = write(folder, [KEYS[0]], 1)

    def full(self: SortedKeys, path: Path) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(SortedKeys, "save", full)
    index = KeyIndex(str(folder), home_of(str(folder)))
    index.refresh()
    assert index.find(KEYS[0]) == Place(name, 0)


def test_many_segments_cost_little(tmp_path: Path) -> None:
    """With nothing new, a refresh lists the folder and reads nothing."""
    folder = tmp_path / "run"
    folder.mkdir()
    index = KeyIndex(str(folder), None)
    empty = np.empty((0, 2), np.uint64), np.empty(0, np.int64)
    names = [segment_name(moment) for moment in range(10_000)]
    for name in names:
        (folder / name).touch()
    index._known = set(names)
    index._read = lambda names: {name: empty for name in names if pytest.fail(name)}  # type: ignore[method-assign]
    index.refresh()
    assert index._known == set(names)


def test_threads_find_while_others_add(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_module, "RECENT_KEYS", (50, 100))
    folder = tmp_path / "run"
    index = KeyIndex(str(folder), home_of(str(folder)))
    written: list[bytes] = []
    lost: list[bytes] = []
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            for key in list(written):
                if index.find(key) is None:
                    lost.append(key)

    readers = [threading.Thread(target=look) for _ in range(3)]
    for reader in readers:
        reader.start()
    for number in range(40):
        keys = [os.urandom(16) for _ in range(5)]
        index.add(write(folder, keys, 1, number), keys)
        written.extend(keys)
        index.refresh()
    stop.set()
    for reader in readers:
        reader.join()
    assert lost == []
    assert all(index.find(key) for key in written)
    # Also what one process alone has written is merged: its own keys don't pile up.
    assert len(index._recent) < 100 < len(index._sorted)


def test_keys_with_equal_halves() -> None:
    numbers = np.frombuffer(b"".join(KEYS), ">u8").reshape(-1, 2).astype("<u8")
    found = SortedKeys().having([], {"b": (numbers, np.arange(len(KEYS)))})
    found = found.having(["b"], {"a": (numbers[:2], np.arange(2))})
    assert [list(found.find(key)) for key in KEYS[:3]] == [
        [Place("a", 0), Place("b", 0)],
        [Place("a", 1), Place("b", 1)],
        [Place("b", 2)],
    ]
    assert [place.segment for place in found.having(["b"], {}).find(KEYS[0])] == ["b"]
    assert list(found.find(b"\x07" * 16)) == []
    assert len(found.having([], {})) == 0
