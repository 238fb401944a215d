"""Copies of segments on the host: fetched once, bounded, done without where that can't be."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from beam_distilabel.checkpoint import cache as cache_module
from beam_distilabel.checkpoint.cache import KEEP_SECONDS, SegmentCache, home_of, make_room
from beam_distilabel.checkpoint.documents import seal, unseal
from beam_distilabel.checkpoint.segments import read_segment, segment_name, write_segment

KEYS = [bytes([n]) * 16 for n in range(50)]


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(tmp_path / "run")


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The segments that were fetched."""
    names: list[str] = []

    def counted(folder: str, name: str, columns: Any = None) -> Any:
        names.append(name)
        return read_segment(folder, name, columns)

    monkeypatch.setattr(cache_module, "read_segment", counted)
    return names


def write(folder: str, size: int = 10) -> str:
    name = segment_name()
    write_segment(folder, name, KEYS, [seal(key, os.urandom(size)) for key in KEYS])
    return name


def test_a_segment_is_fetched_once_by_all_of_a_host(folder: str, reads: list[str]) -> None:
    name = write(folder)
    shared = SegmentCache(folder, home_of(folder))
    assert shared.held(name) is None
    with ThreadPoolExecutor(16) as threads:
        found = list(threads.map(lambda _: shared.values(name), range(64)))
    other = SegmentCache(folder, home_of(folder))
    assert other.values(name).equals(found[0])
    assert reads == [name]
    assert shared.held(name) is not None
    assert unseal(KEYS[3], found[0][3].as_py()) is not None


def test_a_segment_that_is_gone(folder: str) -> None:
    with pytest.raises(FileNotFoundError):
        SegmentCache(folder, home_of(folder)).values(segment_name())


@pytest.mark.parametrize("content", [b"", b"half", b"ARROW1\0\0" + bytes(500)])
def test_a_damaged_copy_is_made_anew(folder: str, content: bytes, reads: list[str]) -> None:
    name = write(folder)
    home = home_of(folder)
    assert home is not None
    (home / f"{name}.arrow").write_bytes(content)
    found = SegmentCache(folder, home)
    assert len(found.values(name)) == len(KEYS)
    assert reads == [name]
    SegmentCache(folder, home).values(name)
    assert reads == [name]
    found.drop(name)
    found.values(name)
    assert reads == [name, name]


def test_a_copy_with_wrong_offsets_is_made_anew(folder: str, reads: list[str]) -> None:
    name = write(folder)
    home = home_of(folder)
    assert home is not None
    values = SegmentCache(folder, home).values(name)
    offsets = values.buffers()[1].to_pybytes()
    copy = home / f"{name}.arrow"
    content = copy.read_bytes()
    at = content.index(offsets)
    copy.unlink()
    copy.write_bytes(content[: at + 16] + b"\xff" * 7 + b"\x7f" + content[at + 24 :])
    assert SegmentCache(folder, home).values(name).equals(values)
    assert reads == [name, name]


def test_without_a_place_on_the_host(
    folder: str, reads: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = write(folder)
    (tmp_path / "file").touch()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "file"))
    assert home_of(folder) is None
    found = SegmentCache(folder, None)
    assert found.values(name) is found.values(name)
    assert reads == [name]


def test_without_room_on_the_host(
    folder: str, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = write(folder)
    monkeypatch.setattr(cache_module, "CACHE_BYTES", 10)
    home = home_of(folder)
    assert home is not None
    assert len(SegmentCache(folder, home).values(name)) == len(KEYS)
    assert list(home.iterdir()) == []


def test_a_folder_of_someone_else_is_not_used(folder: str, host: Path) -> None:
    root = host / f"beam-distilabel-{os.getuid()}"
    root.mkdir(mode=0o777)
    root.chmod(0o777)
    assert home_of(folder) is None


def test_what_a_process_holds_is_bounded(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "HELD_BYTES", 2_500)
    names = [write(folder) for _ in range(4)]
    found = SegmentCache(folder, home_of(folder))
    for name in names:
        found.values(name)
    assert [found.held(name) is not None for name in names] == [False, False, True, True]
    assert found._held_bytes <= 2_500
    found.drop(names[3])
    assert found._held_bytes == found._held[names[2]].nbytes


def test_the_host_keeps_so_much(folder: str, tmp_path: Path) -> None:
    home = home_of(folder)
    assert home is not None
    for age, name in enumerate(["3.arrow", "2.arrow", "1.arrow", "index-x.arrow"]):
        (home / name).write_bytes(bytes(100))
        os.utime(home / name, (age, age))
    make_room(home.parent, 100, limit=300)
    assert sorted(path.name for path in home.iterdir()) == ["1.arrow", "2.arrow", "index-x.arrow"]
    with pytest.raises(OSError, match="400 bytes are wanted"):
        make_room(home.parent, 400, limit=300)


def test_what_nobody_uses_is_removed(folder: str, tmp_path: Path) -> None:
    old, used = home_of(folder), home_of(folder + "2")
    assert old is not None and used is not None
    (old / "index-1.arrow").touch()
    long_ago = time.time() - KEEP_SECONDS - 60
    os.utime(old, (long_ago, long_ago))
    home_of(folder + "2")
    assert not old.exists()
    assert used.exists()


def test_many_at_once(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads that read and drop, with so little room that copies vanish under them."""
    monkeypatch.setattr(cache_module, "HELD_BYTES", 2_000)
    monkeypatch.setattr(cache_module, "CACHE_BYTES", 4_000)
    names = [write(folder) for _ in range(6)]
    found = [SegmentCache(folder, home_of(folder)) for _ in range(2)]
    expected = {name: read_segment(folder, name)["value"].to_pylist() for name in names}
    wrong: list[str] = []
    begin = threading.Barrier(6)

    def read(number: int) -> None:
        begin.wait()
        for turn in range(30):
            name = names[(number + turn) % len(names)]
            if found[number % 2].values(name).to_pylist() != expected[name]:
                wrong.append(name)
            if turn % 7 == 0:
                found[number % 2].drop(name)

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(read, range(6)))
    assert wrong == []
