"""A Checkpoint: what is put is found, at once and later, and little is ever unwritten."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import shutil
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq
import pytest

from beam_distilabel.checkpoint import (
    MISSING,
    Checkpoint,
    CheckpointSettings,
    checkpoint,
    close_checkpoint,
    close_checkpoints,
    compact,
    count_rows,
    flush_checkpoints,
    open_checkpoint,
    opened,
    store,
)
from beam_distilabel.checkpoint.cache import home_of
from beam_distilabel.checkpoint.segments import is_part, list_segments
from beam_distilabel.errors import CheckpointError
from tests.checkpoint.faulty import FAULTS

PATIENCE_SECONDS = 300.0
LAZY = CheckpointSettings(seconds=1e6)
"""Nothing is written before it has to be."""


@pytest.fixture(autouse=True)
def no_faults() -> None:
    FAULTS.__init__()  # type: ignore[misc]


def key(number: int) -> bytes:
    return number.to_bytes(16, "big")


def value(number: int) -> Any:
    return {"generations": [f"answer {number}"]}


def found(finished: Checkpoint, number: int) -> Any:
    place = finished.find(key(number))
    return MISSING if place is None else place.read()


class Gate:
    """Holds the writes back until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached = threading.Event()
        self.open = threading.Event()
        self.error: OSError | None = None
        write = store.write_segment

        def held_back(*args: Any) -> None:
            self.reached.set()
            assert self.open.wait(PATIENCE_SECONDS)
            if self.error is not None:
                raise self.error
            write(*args)

        monkeypatch.setattr(store, "write_segment", held_back)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    return Gate(monkeypatch)


# ------------------------------------------------------------------------- putting and finding


@pytest.mark.parametrize("place", ["{}/run", "memory://store{}"])
def test_what_is_put_is_found_now_and_later(place: str, tmp_path: Path) -> None:
    folder = place.format(tmp_path)
    with checkpoint(folder, LAZY) as finished:
        assert found(finished, 1) is MISSING
        for number in range(100):
            assert finished.put(key(number), value(number)) is None
        assert [found(finished, number) for number in range(100)] == list(map(value, range(100)))
        assert list_segments(folder) == []
        finished.flush()
        assert len(list_segments(folder)) == 1
        assert [found(finished, number) for number in range(100)] == list(map(value, range(100)))
        finished.flush()  # there is nothing left to write
        finished.put(key(100), value(100))
    with checkpoint(folder, LAZY) as finished:
        finished.refresh(force=True)
        assert [found(finished, number) for number in range(101)] == list(map(value, range(101)))
        assert len(finished) == count_rows(folder) == 101
        assert found(finished, 101) is MISSING


def test_the_first_answer_counts(tmp_path: Path) -> None:
    with checkpoint(str(tmp_path), LAZY) as finished:
        finished.put(key(1), "first")
        finished.put(key(1), "second")
        assert found(finished, 1) == "first"
        finished.flush()
        finished.put(key(1), "third")
        assert finished.find(key(1)).read() == "third"  # type: ignore[union-attr]
    for _ in range(2):
        with checkpoint(str(tmp_path), LAZY) as finished:
            finished.refresh(force=True)
            assert found(finished, 1) == "first"
        compact(str(tmp_path))


def test_what_cannot_be_kept_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with checkpoint(str(tmp_path), LAZY) as finished:
        for number in range(5):
            assert finished.put(key(number), {"generations": [object()]}) is None
            assert found(finished, number) is MISSING
    assert len(caplog.records) == 1
    assert "will be asked again" in caplog.text
    assert list_segments(str(tmp_path)) == []


def test_others_are_seen_after_a_refresh(tmp_path: Path) -> None:
    one, other = Checkpoint(str(tmp_path), LAZY), Checkpoint(str(tmp_path), LAZY)
    one.refresh(force=True)
    other.put(key(1), value(1))
    other.flush()
    assert found(one, 1) is MISSING
    one.refresh()  # it isn't time for that
    assert found(one, 1) is MISSING
    one.refresh(force=True)
    assert found(one, 1) == value(1)
    one.close()
    other.close()


def test_a_look_that_takes_long_is_rare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    looks: list[float] = []

    def look() -> None:
        nonlocal now
        looks.append(now)
        now += 10.0

    monkeypatch.setattr(store, "time", SimpleNamespace(monotonic=lambda: now))
    with checkpoint(str(tmp_path), LAZY) as finished:
        monkeypatch.setattr(finished._index, "refresh", look)
        while now < 1_000:
            now += 1.0
            finished.refresh()
    assert looks == [1.0, 211.0, 421.0, 631.0, 841.0]


# ------------------------------------------------------------------------- the bound of the loss


def test_a_put_waits_where_too_much_is_unwritten(tmp_path: Path, gate: Gate) -> None:
    """Answers whose rows have gone on are `rows` at most; the others wait until they are written
    themselves."""
    settings = CheckpointSettings(rows=4, seconds=1e6)
    finished = Checkpoint(str(tmp_path), settings)
    assert [finished.put(key(number), 0) for number in range(2)] == [None, None]
    assert gate.reached.wait(PATIENCE_SECONDS)
    assert finished.put(key(2), 0) is None
    waiting = [finished.put(key(number), 0) for number in range(3, 30)]
    assert all(isinstance(one, Future) and not one.done() for one in waiting)
    gate.open.set()
    for one in waiting:
        assert one is not None
        one.result(PATIENCE_SECONDS)
    assert count_rows(str(tmp_path)) == 30
    finished.close()


def test_bytes_count_too(tmp_path: Path, gate: Gate) -> None:
    finished = Checkpoint(str(tmp_path), CheckpointSettings(rows=1_000, bytes=1_000, seconds=1e6))
    assert finished.put(key(0), "x" * 400) is None
    assert finished.put(key(1), "x" * 400) is None
    assert gate.reached.wait(PATIENCE_SECONDS)
    waiting = finished.put(key(2), "x" * 300)
    assert waiting is not None and not waiting.done()
    gate.open.set()
    waiting.result(PATIENCE_SECONDS)
    finished.close()


def test_an_answer_waits_so_long_at_most(tmp_path: Path, gate: Gate) -> None:
    finished = Checkpoint(str(tmp_path), CheckpointSettings(seconds=0.01))
    finished.put(key(1), value(1))
    assert gate.reached.wait(PATIENCE_SECONDS)
    gate.open.set()
    finished.close()
    assert count_rows(str(tmp_path)) == 1


def test_a_row_that_is_cancelled_while_it_waits_harms_nobody(tmp_path: Path, gate: Gate) -> None:
    finished = Checkpoint(str(tmp_path), CheckpointSettings(rows=1, seconds=1e6))

    async def put(number: int) -> None:
        written = finished.put(key(number), value(number))
        assert written is not None
        await asyncio.wrap_future(written)

    async def run() -> None:
        rows = [asyncio.create_task(put(number)) for number in range(4)]
        await asyncio.sleep(0)
        rows[1].cancel()
        gate.open.set()
        done = await asyncio.gather(*rows, return_exceptions=True)
        assert [type(one) for one in done] == [
            type(None),
            asyncio.CancelledError,
            type(None),
            type(None),
        ]

    asyncio.run(asyncio.wait_for(run(), PATIENCE_SECONDS))
    finished.close()
    assert count_rows(str(tmp_path)) == 4


def test_threads_and_a_loop_at_once(tmp_path: Path) -> None:
    settings = CheckpointSettings(rows=8, seconds=0.001)
    finished = Checkpoint(str(tmp_path), settings)

    def put_many(first: int) -> None:
        for number in range(first, first + 100):
            written = finished.put(key(number), value(number))
            if written is not None:
                written.result(PATIENCE_SECONDS)
            assert found(finished, number) == value(number)

    async def put_one(number: int) -> None:
        written = finished.put(key(number), value(number))
        if written is not None:
            await asyncio.wrap_future(written)
        assert found(finished, number) == value(number)

    async def put_all() -> None:
        await asyncio.gather(*(put_one(number) for number in range(1_000, 1_200)))

    with ThreadPoolExecutor(5) as threads:
        on_loop = threads.submit(asyncio.run, put_all())
        jobs = [threads.submit(put_many, first) for first in range(0, 400, 100)]
        for job in [*jobs, on_loop]:
            job.result(PATIENCE_SECONDS)
    finished.close()
    assert count_rows(str(tmp_path)) == 600


# ------------------------------------------------------------------------- ends


def test_a_close_writes_and_lets_nobody_wait(tmp_path: Path, gate: Gate) -> None:
    finished = Checkpoint(str(tmp_path), CheckpointSettings(rows=1, seconds=1e6))
    waiting = [finished.put(key(number), value(number)) for number in range(3)]
    closing = threading.Thread(target=finished.close)
    closing.start()
    gate.open.set()
    closing.join(PATIENCE_SECONDS)
    assert not closing.is_alive()
    assert all(one is not None and one.done() for one in waiting)
    assert count_rows(str(tmp_path)) == 3
    with pytest.raises(CheckpointError, match="is closed"):
        finished.put(key(9), value(9))
    finished.close()


def test_a_write_that_fails_lets_nobody_wait(tmp_path: Path, gate: Gate) -> None:
    finished = Checkpoint(str(tmp_path), CheckpointSettings(rows=2, seconds=1e6))
    finished.put(key(0), value(0))
    assert gate.reached.wait(PATIENCE_SECONDS)
    waiting = [finished.put(key(number), value(number)) for number in range(1, 5)]
    gate.error = OSError(errno.ENOSPC, "No space left on device")
    gate.open.set()
    for one in waiting:
        assert one is not None
        with pytest.raises(CheckpointError, match="make room or mend the filesystem"):
            one.result(PATIENCE_SECONDS)
    for action in (finished.flush, finished.close, finished.refresh):
        with pytest.raises(CheckpointError, match="No space left"):
            action()
    with pytest.raises(CheckpointError, match=str(tmp_path)):
        finished.put(key(9), value(9))


def test_users_share_one_and_the_last_closes_it(tmp_path: Path) -> None:
    folder = str(tmp_path)
    one, two = (open_checkpoint(folder, LAZY, owner) for owner in ("run", "other"))
    assert one is two
    one.put(key(1), value(1))
    close_checkpoint(one, "run")
    assert count_rows(folder) == 1
    two.put(key(2), value(2))
    flush_checkpoints()
    assert count_rows(folder) == 2
    two.put(key(3), value(3))
    close_checkpoints("run")  # it has none
    assert folder in opened._open
    close_checkpoints("other")
    assert count_rows(folder) == 3
    assert folder not in opened._open


def test_a_run_that_failed_leaves_nothing_behind(
    tmp_path: Path, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    folder = str(tmp_path)
    left = [open_checkpoint(folder, LAZY, "run") for _ in range(2)]
    left[0].put(key(1), value(1))
    gate.error = OSError(errno.ENOSPC, "No space left on device")
    gate.open.set()
    close_checkpoints("run")  # raises nothing: why the run failed is more
    assert "asked again in a resumed run" in caplog.text
    gate.error = None
    with checkpoint(folder, LAZY) as anew:
        assert anew is not left[0]
        anew.put(key(1), value(1))
    assert count_rows(folder) == 1


def test_a_forked_process_has_none_open(tmp_path: Path) -> None:
    with checkpoint(str(tmp_path), LAZY) as finished:
        finished.put(key(1), value(1))
        pid = os.fork()
        if pid == 0:
            os._exit(len(opened._open))
        assert os.waitpid(pid, 0)[1] == 0
    assert count_rows(str(tmp_path)) == 1


# ------------------------------------------------------------------------- trouble


def test_a_filesystem_that_fails_every_tenth_write(tmp_path: Path) -> None:
    FAULTS.every = 10
    folder = f"faulty://{tmp_path}"
    with checkpoint(folder, CheckpointSettings(rows=1, seconds=1e6)) as finished:
        for number in range(50):
            written = finished.put(key(number), value(number))
            assert written is not None
            written.result(PATIENCE_SECONDS)
    assert FAULTS.failed >= 5
    with checkpoint(folder, LAZY) as finished:
        finished.refresh(force=True)
        assert [found(finished, number) for number in range(50)] == list(map(value, range(50)))
    assert all(not is_part(path.name) for path in tmp_path.iterdir())


def test_a_full_disk_loses_nothing_that_was_written(tmp_path: Path) -> None:
    folder = f"faulty://{tmp_path}"
    FAULTS.room = 5_000
    kept = 0
    finished = Checkpoint(folder, CheckpointSettings(rows=1, seconds=1e6))
    with pytest.raises(CheckpointError, match="No space left on device.*make room"):
        for number in range(1_000):
            written = finished.put(key(number), value(number))
            assert written is not None
            written.result(PATIENCE_SECONDS)
            kept += 1
    assert kept >= 1
    FAULTS.room = None
    with checkpoint(folder, LAZY) as anew:
        anew.refresh(force=True)
        assert [found(anew, number) for number in range(kept)] == list(map(value, range(kept)))
        assert found(anew, kept) is MISSING


def test_reads_that_fail_are_tried_again(tmp_path: Path, host: Path) -> None:
    folder = f"faulty://{tmp_path}"
    with checkpoint(folder, LAZY) as finished:
        finished.put(key(1), value(1))
    FAULTS.reading_fails = 4
    with checkpoint(folder, LAZY) as finished:
        finished.refresh(force=True)
        FAULTS.reading_fails = 4
        assert found(finished, 1) == value(1)
    for folder_of_user in host.iterdir():  # a copy would do
        shutil.rmtree(folder_of_user)
    FAULTS.reading_fails = 100
    with checkpoint(folder, LAZY) as finished:
        with pytest.raises(CheckpointError, match="can't be read: .*use_cache=False"):
            finished.refresh(force=True)


@pytest.mark.parametrize("damage", ["bit", "copy", "cut", "gone", "empty"])
def test_what_is_damaged_after_it_was_seen(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = str(tmp_path / "run")
    with checkpoint(folder, LAZY) as finished:
        for number in range(10):
            finished.put(key(number), value(number))
    (name,) = list_segments(folder)
    file = tmp_path / "run" / name
    with checkpoint(folder, LAZY) as finished:
        finished.refresh(force=True)
        content = bytearray(file.read_bytes())
        expected: Any = MISSING
        if damage == "bit":
            values = pq.read_metadata(file).row_group(0).column(1)
            content[values.data_page_offset + values.total_compressed_size - 5] ^= 1
        elif damage == "cut":
            content = content[:100]
        elif damage == "empty":
            content = bytearray()
        elif damage == "copy":  # of the host: the file itself is whole
            finished._cache.values(name)
            copy = home_of(folder) / f"{name}.arrow"  # type: ignore[operator]
            text = copy.read_bytes().replace(b"answer", b"ANSWER")
            finished._cache._held.clear()
            copy.unlink()
            copy.write_bytes(text)
            expected = value(3)
        file.write_bytes(content)
        if damage == "gone":
            file.unlink()
        caplog.clear()
        assert found(finished, 3) == expected
        assert found(finished, 3) == expected
        assert len(caplog.records) == (damage in ("bit", "cut", "empty"))


def test_what_is_merged_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = str(tmp_path / "run")
    for number in range(20):
        with checkpoint(folder, LAZY) as finished:
            finished.put(key(number), value(number))
    with checkpoint(folder, LAZY) as finished:
        finished.refresh(force=True)
        assert compact(folder) == 20
        assert [found(finished, number) for number in range(20)] == list(map(value, range(20)))


def test_damaged_and_foreign_files_cost_one_warning_each(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = str(tmp_path)
    for number in range(3):
        with checkpoint(folder, LAZY) as finished:
            finished.put(key(number), value(number))
    first, second, _ = list_segments(folder)
    (tmp_path / first).write_bytes(b"")
    (tmp_path / second).write_bytes((tmp_path / second).read_bytes()[:-20])
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "00000000000000000001-notes.parquet").mkdir()
    caplog.set_level(logging.WARNING)
    with checkpoint(folder, LAZY) as finished:
        for _ in range(3):
            finished.refresh(force=True)
        assert found(finished, 0) is found(finished, 1) is MISSING
        assert found(finished, 2) == value(2)
    assert len(caplog.records) == 3
