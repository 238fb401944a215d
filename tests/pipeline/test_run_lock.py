"""One run per directory: locks of the operating system, and leases where there are none."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from filelock import FileLock
from fsspec.implementations.memory import MemoryFileSystem

from beam_distilabel.errors import DistilabelUserError, RunFailedError
from beam_distilabel.pipeline import Pipeline, run_lock
from beam_distilabel.pipeline.run_lock import LEASES_FOLDER, LOCK_FILE, RunLock, _Lease
from tests.pipeline import fakes
from tests.pipeline.fakes import Gate, Numbers

PATIENCE_SECONDS = 300.0


def lock_of(run_dir: str, lost: list[str] | None = None) -> RunLock:
    return RunLock(run_dir, (lost if lost is not None else []).append)


def lease_of(run_dir: str, lost: list[str] | None = None, **owner: Any) -> _Lease:
    """A lease as another process would take it."""
    owner = {"host": "there", "pid": 7, "since": "2026-01-01", **owner}
    return _Lease(run_dir, owner, (lost if lost is not None else []).append)


@pytest.fixture
def url() -> Iterator[str]:
    """A folder on a filesystem without locks."""
    name = f"memory://{uuid.uuid4().hex}"
    yield name
    filesystem = fsspec.filesystem("memory")
    if filesystem.exists(name):
        filesystem.rm(name, recursive=True)


def until(what: Any) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not what():
        assert time.monotonic() < end
        time.sleep(0.01)


# -- locks -----------------------------------------------------------------------------------------


def test_the_second_is_told_who_is_first(tmp_path: Path) -> None:
    first, second = lock_of(str(tmp_path)), lock_of(str(tmp_path))
    first.acquire()
    with pytest.raises(DistilabelUserError, match="is under way, by process .* since"):
        second.acquire()
    second.release()  # it has nothing to give back
    with pytest.raises(DistilabelUserError, match="under way"):
        second.acquire()
    first.release()
    second.acquire()
    second.release()
    assert {path.name for path in tmp_path.iterdir()} == {LOCK_FILE}


HOLDER = """
import os, signal, sys
from beam_distilabel.pipeline.run_lock import RunLock
lock = RunLock(sys.argv[1], print)
lock.acquire()
if os.fork() == 0:
    os.close(1)
    sys.stdin.read()  # outlives its parent
    os._exit(0)
print("held", flush=True)
signal.pause()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="forks")
def test_a_lock_goes_with_its_process_though_a_child_lives_on(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    with holder:
        assert holder.stdout.readline() == "held\n"
        lock = lock_of(str(tmp_path))
        with pytest.raises(DistilabelUserError, match=f"by process {holder.pid} on "):
            lock.acquire()
        holder.kill()
        holder.wait(PATIENCE_SECONDS)
        lock.acquire()
        lock.release()


def failing_with(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def acquire(*_: Any, **__: Any) -> None:
        raise OSError(number, "as the filesystem says")

    monkeypatch.setattr(FileLock, "acquire", acquire)


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ESTALE, errno.EIO])
def test_a_lock_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    failing_with(number, monkeypatch)
    lock = lock_of(str(tmp_path))
    for _ in range(2):
        with pytest.raises(DistilabelUserError, match="can't be written to.*another output_dir"):
            lock.acquire()
    assert not list(tmp_path.iterdir())


def test_a_local_filesystem_without_locks_gets_a_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing_with(errno.ENOLCK, monkeypatch)
    lock = lock_of(str(tmp_path))
    lock.acquire()
    with pytest.raises(DistilabelUserError, match="under way"):
        lease_of(str(tmp_path))
    lock.release()
    lease_of(str(tmp_path)).release()


# -- leases ----------------------------------------------------------------------------------------


def test_of_many_at_once_one_has_the_lease(url: str) -> None:
    held: list[_Lease] = []
    refused: list[str] = []
    ready = threading.Barrier(6)

    def want(number: int) -> None:
        ready.wait()
        try:
            held.append(lease_of(url, pid=number))
        except DistilabelUserError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=want, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(held), len(refused)) == (1, 5)
    assert all("its hold ends 60 s after its last sign" in text for text in refused)
    held[0].release()
    assert fsspec.filesystem("memory").ls(f"{url}/{LEASES_FOLDER}") == []
    lease_of(url).release()


def test_a_lease_is_renewed_and_a_dead_one_taken_over(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_lock, "BEAT_SECONDS", 0.05)
    lease = lease_of(url)
    filesystem, folder = fsspec.url_to_fs(f"{url}/{LEASES_FOLDER}")

    def renewed() -> float:
        (name,) = filesystem.ls(folder, detail=False)
        return float(json.loads(filesystem.cat_file(name))["renewed"])

    before = renewed()
    until(lambda: renewed() > before)
    lease.release()
    dead = {"state": "held", "renewed": time.time() - run_lock.LEASE_SECONDS - 1, "pid": 1}
    filesystem.pipe_file(f"{folder}/dead.json", json.dumps(dead).encode())
    filesystem.pipe_file(f"{folder}/foreign.json", b"{")
    lease = lease_of(url)
    assert len(filesystem.ls(folder)) == 1
    lease.release()
    alive = {**dead, "renewed": time.time() - run_lock.LEASE_SECONDS / 2, "host": "h"}
    filesystem.pipe_file(f"{folder}/alive.json", json.dumps(alive).encode())
    with pytest.raises(DistilabelUserError, match="process 1 on h"):
        lease_of(url)
    assert len(filesystem.ls(folder)) == 1


class Failing(MemoryFileSystem):
    """Can't be written to while `broken`."""

    protocol = "failing"
    cachable = False
    broken = False

    def _open(self, path: str, mode: str = "rb", **kwargs: Any) -> Any:
        if "w" in mode and Failing.broken:
            raise OSError(errno.EIO, "broken")
        return super()._open(path, mode, **kwargs)


def test_a_lease_that_cannot_be_renewed_is_lost_before_others_may_take_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fsspec.register_implementation("failing", Failing, clobber=True)
    monkeypatch.setattr(run_lock, "BEAT_SECONDS", 0.05)
    monkeypatch.setattr(run_lock, "LEASE_SECONDS", 1.0)
    lost: list[str] = []
    lease = lease_of("failing://folder", lost)
    monkeypatch.setattr(Failing, "broken", True)
    until(lambda: lost)
    assert "could not be renewed" in lost[0] and "broken" in lost[0]
    lease.release()


def test_a_run_whose_directory_was_taken_over_ends(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_lock, "BEAT_SECONDS", 0.05)
    fakes.GATES["lost"] = arrived, go_on = threading.Event(), threading.Event()
    try:
        with Pipeline(name="lost") as pipeline:
            Numbers(name="numbers", count=3) >> Gate(name="gate", gate="lost", input_batch_size=1)
        handle = pipeline.submit(output_dir=url, logging_handlers=[])
        assert arrived.wait(PATIENCE_SECONDS)
        other = {"state": "held", "renewed": time.time(), "pid": 5, "host": "h", "since": "now"}
        filesystem, folder = fsspec.url_to_fs(f"{url}/{LEASES_FOLDER}")
        filesystem.pipe_file(f"{folder}/other.json", json.dumps(other).encode())
        filesystem.pipe_file(f"{url}/run.json", b'{"pipeline": "lost", "state": "theirs"}')
        until(lambda: handle._control.lost)
        go_on.set()
        with pytest.raises(RunFailedError, match="process 5 on h since now has taken over"):
            handle.distiset()
        assert json.loads(filesystem.cat_file(f"{url}/run.json"))["state"] == "theirs"
    finally:
        go_on.set()
        del fakes.GATES["lost"]
