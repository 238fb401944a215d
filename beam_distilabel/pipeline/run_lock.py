"""One run at a time in a run directory.

In a local folder an operating system's lock says so, which goes with its process however that
ends. Elsewhere a lease does: a small file that the run writes again every few seconds.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import json
import logging
import os
import random
import socket
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

from filelock import FileLock, Timeout

from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.filesystems import url_to_fs
from beam_distilabel.layout import is_local

LOCK_FILE = ".run.lock"
"""Of a local folder; it stays there, and says who held it last."""

LEASES_FOLDER = ".run.leases"

BEAT_SECONDS = 10.0
"""How often a run renews its lease."""

LEASE_SECONDS = 60.0
"""The age from which on a lease counts as that of a run that has died. Clocks may differ by a part
of that, no more."""

CLAIM_ATTEMPTS = 8

_NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOLCK, errno.EINVAL)
"""What filesystems say that know no locks, or whose lock service isn't there."""

logger = logging.getLogger(__name__)


class RunLock:
    """The right to run in a directory.

    Args:
        run_dir: the run directory; it has to be there.
        lost: called, with the reason, where another run has taken the directory over: this one
            must stop. Only leases can be lost.

    Example:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> lock = RunLock(folder, print)
        >>> lock.acquire()
        >>> RunLock(folder, print).acquire()
        Traceback (most recent call last):
        beam_distilabel.errors.DistilabelUserError: a run in ... is under way...
        >>> lock.release()
    """

    def __init__(self, run_dir: str, lost: Callable[[str], None]) -> None:
        self._run_dir = run_dir
        self._lost = lost
        self._held: _FileHold | _Lease | None = None

    def acquire(self) -> None:
        """Take the directory.

        Raises:
            DistilabelUserError: another run has it; says which, since when, and what to do. Or no
                lock can be written there.
        """
        owner = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "since": _now().isoformat(timespec="seconds"),
        }
        with _acquiring:
            if self._run_dir in _held_here:
                raise _in_use(self._run_dir, _held_here[self._run_dir])
            _held_here[self._run_dir] = owner
        try:
            self._held = self._take(owner)
        except BaseException as error:
            with _acquiring:
                del _held_here[self._run_dir]
            if isinstance(error, OSError):
                raise DistilabelUserError(
                    f"output_dir {self._run_dir!r} can't be written to: {error}. Make it "
                    "writable, or choose another output_dir."
                ) from error
            raise

    def release(self) -> None:
        """Give the directory back; harmless where it isn't held."""
        held, self._held = self._held, None
        if held is None:
            return
        try:
            held.release()
        except OSError as error:
            logger.warning("The lock of %s could not be removed: %s", self._run_dir, error)
        finally:
            with _acquiring:
                _held_here.pop(self._run_dir, None)

    def _take(self, owner: dict[str, Any]) -> _FileHold | _Lease:
        if is_local(self._run_dir):
            try:
                return _FileHold(self._run_dir, owner)
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    raise
                logger.warning(
                    "The filesystem of %s has no locks (%s); a lease keeps other runs out.",
                    self._run_dir,
                    error,
                )
        return _Lease(self._run_dir, owner, self._lost)


_held_here: dict[str, dict[str, Any]] = {}
"""The directories of this process' runs, and what is known of each run."""
_acquiring = threading.Lock()


class _FileHold:
    """A lock of the operating system on a file in the directory."""

    def __init__(self, run_dir: str, owner: dict[str, Any]) -> None:
        path = os.path.join(run_dir, LOCK_FILE)
        # Taken in one thread, given back in another. A child that is forked meanwhile closes it.
        self._lock = FileLock(path, timeout=0, thread_local=False, fallback_to_soft=False)
        try:
            self._lock.acquire()
        except Timeout:
            raise _in_use(run_dir, _read_owner(path)) from None
        try:
            with open(path, "w", encoding="utf-8") as file:
                json.dump(owner, file)
        except BaseException:
            self._lock.release()
            raise

    def release(self) -> None:
        self._lock.release()


def _read_owner(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            owner = json.load(file)
    except (OSError, ValueError):
        return {}  # it is being written
    return owner if isinstance(owner, dict) else {}


class _Lease:
    """A file of its own for each run that wants the directory; who sees no other has it.

    Each writes its file before it looks for those of others: of two at once, one at least sees the
    other and steps back, whatever the filesystem, as long as what is written can be listed.
    """

    def __init__(self, run_dir: str, owner: dict[str, Any], lost: Callable[[str], None]) -> None:
        self._run_dir = run_dir
        self._name = f"{uuid.uuid4().hex}.json"
        self._owner = owner
        self._lost = lost
        self._ended = threading.Event()
        self._filesystem, self._folder = url_to_fs(f"{run_dir}/{LEASES_FOLDER}", auto_mkdir=True)
        self._claim()
        self._thread = threading.Thread(target=self._beat, name="run-lease", daemon=True)
        self._thread.start()

    def release(self) -> None:
        self._ended.set()
        self._thread.join()
        self._remove(self._name)

    def _claim(self) -> None:
        for attempt in range(CLAIM_ATTEMPTS):
            self._write("claimed")
            try:
                others = self._others()
                held = [other for other in others if other.get("state") == "held"]
                if held:
                    raise _in_use(self._run_dir, held[0], LEASE_SECONDS)
                if not others:
                    self._write("held")
                    return
            except BaseException:
                self._remove(self._name)
                raise
            # Another one claims it just now: both step back, and one comes again first.
            self._remove(self._name)
            time.sleep(random.uniform(0.1, 0.4) * 1.5**attempt)
        raise _in_use(self._run_dir, {}, LEASE_SECONDS)

    def _beat(self) -> None:
        written = time.monotonic()
        while not self._ended.wait(BEAT_SECONDS):
            try:
                held = [other for other in self._others() if other.get("state") == "held"]
                if held:
                    self._lost(f"{_described(held[0])} has taken over {self._run_dir!r}")
                    return
                self._write("held")
                written = time.monotonic()
            except Exception as error:  # clients of object stores have errors of their own
                age = time.monotonic() - written
                if age > LEASE_SECONDS - BEAT_SECONDS:
                    self._lost(
                        f"the lease in {self._run_dir!r} could not be renewed for {age:.0f} s, "
                        f"so that another run may take it over: {error}"
                    )
                    return
                logger.warning("The lease in %s can't be renewed yet: %s", self._run_dir, error)

    def _write(self, state: str) -> None:
        record = {**self._owner, "state": state, "renewed": time.time()}
        self._filesystem.makedirs(self._folder, exist_ok=True)
        part = f"{self._folder}/{self._name}.part"
        with self._filesystem.open(part, "w", encoding="utf-8") as file:
            json.dump(record, file)
        self._filesystem.mv(part, f"{self._folder}/{self._name}")

    def _others(self) -> list[dict[str, Any]]:
        """The leases of others that are alive; those of dead runs are removed."""
        alive = []
        with contextlib.suppress(AttributeError):
            self._filesystem.invalidate_cache(self._folder)
        for entry in self._filesystem.ls(self._folder, detail=False):
            name = str(entry).rstrip("/").rpartition("/")[2]
            if name == self._name or not name.endswith(".json"):
                continue
            try:
                record = json.loads(self._filesystem.cat_file(f"{self._folder}/{name}"))
                age = time.time() - float(record["renewed"])
            except FileNotFoundError:
                continue  # given back meanwhile
            except (ValueError, TypeError, KeyError):
                self._remove(name)  # files are moved into place whole: that is no lease
                continue
            if age < LEASE_SECONDS:
                alive.append(record)
            else:
                self._remove(name)
        return alive

    def _remove(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._filesystem.rm_file(f"{self._folder}/{name}")


def _in_use(run_dir: str, owner: dict[str, Any], dead_after: float | None = None) -> Exception:
    waits = (
        ""
        if dead_after is None
        else f" If that process has died, its hold ends {dead_after:.0f} s after its last sign."
    )
    return DistilabelUserError(
        f"a run in {run_dir!r} is under way, by {_described(owner)}; wait for its end, end that "
        f"process, or choose another output_dir.{waits}"
    )


def _described(owner: dict[str, Any]) -> str:
    if not owner:
        return "another process"
    return (
        f"process {owner.get('pid', '?')} on {owner.get('host', '?')} since "
        f"{owner.get('since', '?')}"
    )


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc)


__all__ = ["BEAT_SECONDS", "LEASES_FOLDER", "LEASE_SECONDS", "LOCK_FILE", "RunLock"]
