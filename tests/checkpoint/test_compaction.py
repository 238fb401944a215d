"""Many small segments become few, and nothing is lost or changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from beam_distilabel.checkpoint import compact, compaction, count_rows
from beam_distilabel.checkpoint.segments import (
    ROWS_PER_GROUP,
    list_segments,
    segment_name,
    write_segment,
)
from tests.checkpoint.test_index import truth, write
from tests.checkpoint.test_segments import ROWS, write as write_rows


def keys(count: int, of: int = 0) -> list[bytes]:
    return [bytes([of]) * 8 + number.to_bytes(8, "big") for number in range(count)]


def test_neighbours_become_one(tmp_path: Path) -> None:
    for moment in range(30):
        write(tmp_path, keys(20, moment % 10), moment)  # each key three times
    before = truth(tmp_path)
    assert compact(str(tmp_path)) == 30
    assert len(list_segments(str(tmp_path))) == 1
    assert truth(tmp_path) == before
    assert count_rows(str(tmp_path)) == 600
    assert compact(str(tmp_path)) == 0


def test_few_small_ones_are_left_alone(tmp_path: Path) -> None:
    for moment in range(compaction.LEAST - 1):
        write(tmp_path, keys(2), moment)
    assert compact(str(tmp_path)) == 0
    assert compact(str(tmp_path / "nowhere")) == 0


def test_the_order_stays_what_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "LEAST", 2)
    monkeypatch.setattr(compaction, "SMALL_BYTES", 20_000)
    for moment in range(9):
        size = 200 if moment == 4 else 2  # large ones stay, and part their neighbours
        name = segment_name(moment)
        write_segment(str(tmp_path), name, keys(size), [os.urandom(200) for _ in range(size)])
    large = list_segments(str(tmp_path))[4]
    first = list_segments(str(tmp_path))[0]
    assert compact(str(tmp_path)) == 8
    merged = list_segments(str(tmp_path))
    assert len(merged) == 3
    assert merged[1] == large
    assert merged[0].startswith(first[:20])


def test_what_becomes_one_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "MERGED_VALUES", 5_000)
    for moment in range(20):
        write_segment(str(tmp_path), segment_name(moment), keys(2, moment), [b"x" * 400] * 2)
    compact(str(tmp_path))
    assert 4 <= len(list_segments(str(tmp_path))) < 10
    assert count_rows(str(tmp_path)) == 40


def test_damaged_ones_cost_what_is_damaged(tmp_path: Path) -> None:
    write_rows(str(tmp_path), segment_name(0), ROWS)
    (whole,) = tmp_path.glob("*.parquet")
    content = bytearray(whole.read_bytes())
    content[10_000] ^= 1  # in the first group's keys
    whole.write_bytes(content)
    for moment in range(1, 10):
        write(tmp_path, keys(1, moment), moment)
    (tmp_path / segment_name(11)).write_bytes(b"no segment")
    before = truth(tmp_path)
    assert len(before) == len(ROWS) - ROWS_PER_GROUP + 9
    assert compact(str(tmp_path)) == 10
    assert truth(tmp_path) == before
    assert count_rows(str(tmp_path)) == len(before)


@pytest.mark.parametrize("removed", range(9))
def test_a_kill_between_the_steps_loses_nothing(
    tmp_path: Path, removed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for moment in range(8):
        write(tmp_path, keys(3, moment % 3), moment)
    before = truth(tmp_path)

    class Killed(BaseException):
        """The process ends here."""

    remove, done = compaction.remove, []

    def remove_some(folder: str, name: str) -> None:
        if len(done) == removed:
            raise Killed
        done.append(name)
        remove(folder, name)

    with monkeypatch.context() as patched:
        patched.setattr(compaction, "remove", remove_some)
        patched.setattr(compaction, "READERS", 1)
        if removed < 8:
            with pytest.raises(Killed):
                compact(str(tmp_path))
        else:
            compact(str(tmp_path))
    assert truth(tmp_path) == before
    compact(str(tmp_path))
    assert truth(tmp_path) == before


def test_what_killed_writers_left_is_removed(tmp_path: Path) -> None:
    write(tmp_path, keys(1), 1)
    (tmp_path / f".{segment_name()}.part").write_bytes(b"half")
    (tmp_path / ".mine.part").touch()
    (tmp_path / "notes.txt").touch()
    compact(str(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "host") == sorted(
        [".mine.part", list_segments(str(tmp_path))[0], "notes.txt"]
    )
