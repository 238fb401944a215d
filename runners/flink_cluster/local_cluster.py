"""A session cluster on this machine that stays when the command that started it has ended.

One process, the keeper, holds the cluster (see `keeper.py`) and a lock on its folder: as long as
the lock is held, the process that the folder names is the keeper, and no other with its number.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from beam_distilabel.runners.flink_cluster.guarded_process import tail
from beam_distilabel.runners.flink_cluster.moments import moments
from beam_distilabel.runners.flink_cluster.pool import worker_environment

STATE_FILE = "cluster.json"
LOCK_FILE = "lock"
LOG_FILE = "keeper.log"

_KEEPER = "beam_distilabel.runners.flink_cluster.keeper"
_UP_SECONDS = 600.0  # with the jars' first download
_DOWN_SECONDS = 60.0
_LOCK_SECONDS = 5.0


class ClusterState(NamedTuple):
    """What is known of the cluster in a folder.

    Attributes:
        keeper: the id of the process that holds it.
        master: host and port of its REST server and web page.
        worker_pool: host and port of the worker pools, as the TaskManagers see them.
        task_managers: how many it has.
        slots: of each of them.
    """

    keeper: int
    master: str
    worker_pool: str
    task_managers: int
    slots: int


def up(folder: Path, *, task_managers: int, slots: int, port: int) -> ClusterState:
    """Start a cluster, or find the one that is there.

    Args:
        folder: of this user only; for its logs, its temporary files and its state.
        task_managers: how many.
        slots: of each of them.
        port: of the REST server and web page; 0 for a free one.

    Raises:
        RuntimeError: it doesn't start, or another one of another size is there.
    """
    there = status(folder)
    if there is not None:
        if (there.task_managers, there.slots) != (task_managers, slots):
            raise RuntimeError(
                f"a cluster of {there.task_managers} TaskManagers with {there.slots} slots each "
                f"is there, at {there.master}; end it first: beam-distilabel flink down"
            )
        return there
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", _KEEPER, str(folder), "--task-managers", str(task_managers)]
    with open(folder / LOG_FILE, "wb") as log:
        keeper = subprocess.Popen(
            [*command, "--slots", str(slots), "--port", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=worker_environment(),
            cwd=folder,
            start_new_session=True,
        )
    try:
        why = f"isn't there after {_UP_SECONDS:.0f} s"
        for _ in moments(_UP_SECONDS):
            there = status(folder)
            if there is not None and there.keeper == keeper.pid:
                return there
            if keeper.poll() is not None:
                why = "can't be started"
                break
    except BaseException:
        keeper.terminate()  # what it has started ends with it
        raise
    keeper.kill()
    keeper.wait()
    raise RuntimeError(
        f"the cluster {why}; the end of {folder / LOG_FILE}:\n{tail(folder / LOG_FILE)}"
    )


def status(folder: Path) -> ClusterState | None:
    """The cluster that is there, None where there is none, or none that is ready."""
    try:
        found = ClusterState(**json.loads((folder / STATE_FILE).read_text()))
    except FileNotFoundError:
        return None
    return found if _keeper(folder) == found.keeper else None


def down(folder: Path) -> bool:
    """End the cluster, also one that is about to start; whether there was one.

    Raises:
        RuntimeError: it doesn't end.
    """
    keeper = _keeper(folder)
    if keeper is None:
        return False
    os.kill(keeper, signal.SIGTERM)
    for _ in moments(_DOWN_SECONDS):
        if _keeper(folder) != keeper:
            return True
    raise RuntimeError(
        f"the cluster's process {keeper} doesn't end; the end of {folder / LOG_FILE}:\n"
        f"{tail(folder / LOG_FILE)}"
    )


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, with this process' id in it.

    Raises:
        BlockingIOError: another process does.
    """
    with open(folder / LOCK_FILE, "a") as lock:
        for _ in moments(_LOCK_SECONDS):
            # Held by a keeper, or by one that just looks.
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
        else:
            raise BlockingIOError(f"{folder / LOCK_FILE} is held by another process")
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _keeper(folder: Path) -> int | None:
    """The process that holds the lock."""
    try:
        with open(folder / LOCK_FILE) as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                text = lock.read()
                return int(text) if text else None  # held since a moment
    except FileNotFoundError:
        pass
    return None


__all__ = ["ClusterState", "down", "held", "status", "up"]
