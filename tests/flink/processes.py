"""Processes that a test or benchmark starts: none outlives it, and what they use can be watched."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import psutil

_GUARD = str(Path(__file__).with_name("guard.py"))
_POLL_SECONDS = 0.05


class GuardedProcess:
    """A command in a process group of its own that ends with this process, however that ends.

    Args:
        command: program and arguments.
        log: the file that gets its output.
        env: its environment.
        cwd: its working directory.
    """

    def __init__(
        self, command: Sequence[str], log: Path, *, env: Mapping[str, str], cwd: Path
    ) -> None:
        self.log = log
        with open(log, "wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, _GUARD, *command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(env),
                cwd=cwd,
                start_new_session=True,
            )

    @property
    def group(self) -> int:
        """The process group of the command and all that it starts."""
        return self._process.pid

    def wait_for(self, pattern: str, seconds: float) -> re.Match[str]:
        """The first match of `pattern` in the log.

        Raises:
            RuntimeError: the process ended, or `seconds` passed, without one; has the log's end.
        """
        deadline = time.monotonic() + seconds
        while True:
            ended = self._process.poll() is not None
            if match := re.search(pattern, self.log.read_text(errors="replace")):
                return match
            if ended or time.monotonic() > deadline:
                why = "ended" if ended else f"wasn't ready within {seconds:.0f} s"
                raise RuntimeError(f"a process {why}; the end of its log:\n{self.tail()}")
            time.sleep(_POLL_SECONDS)

    def tail(self, lines: int = 40) -> str:
        """The end of the log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def close(self) -> None:
        """Kill the process group."""
        assert self._process.stdin is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.group, signal.SIGKILL)
        self._process.wait()
        self._process.stdin.close()


class Usage(NamedTuple):
    """What a process has used.

    Attributes:
        seconds: when, since the start of the watch.
        resident: bytes in memory.
        cpu: seconds of CPU so far.
    """

    seconds: float
    resident: int
    cpu: float


def usage_of(group: int, named: str, seconds: float = 0.0) -> dict[int, Usage]:
    """The usage of each process of `group` whose command line has `named` in it, by id."""
    found = {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):  # it has ended meanwhile
            if os.getpgid(process.pid) == group and named in " ".join(process.cmdline()):
                times = process.cpu_times()
                resident = process.memory_info().rss
                found[process.pid] = Usage(seconds, resident, times.user + times.system)
    return found


class ProcessWatch:
    """Samples what a group's processes use while its `with` block runs.

    Attributes:
        samples: those of each process, in order.
    """

    def __init__(self, group: int, named: str, every: float = 0.1) -> None:
        self._group = group
        self._named = named
        self._every = every
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="process-watch", daemon=True)
        self.samples: dict[int, list[Usage]] = {}

    def __enter__(self) -> ProcessWatch:
        self._started = time.monotonic()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._every):
            seconds = time.monotonic() - self._started
            for pid, usage in usage_of(self._group, self._named, seconds).items():
                self.samples.setdefault(pid, []).append(usage)

    def cpu_seconds(self) -> float:
        """What all processes computed, together."""
        return sum(samples[-1].cpu for samples in self.samples.values())

    def peaks(self) -> list[int]:
        """The most bytes that each process had; see `_lasting`."""
        return [max(usage.resident for usage in samples) for samples in self._lasting()]

    def growths(self) -> list[float]:
        """Of each process: its median bytes in the last quarter of its life over its most in the
        first half, which imports and first buffers belong to."""
        ratios = []
        for samples in self._lasting():
            first, last = samples[0].seconds, samples[-1].seconds
            middle, late = (first + last) / 2, (first + 3 * last) / 4
            before = max(usage.resident for usage in samples if usage.seconds <= middle)
            after = [usage.resident for usage in samples if usage.seconds >= late]
            ratios.append(statistics.median(after) / before)
        return ratios

    def _lasting(self) -> list[list[Usage]]:
        """The samples of the processes that lived at least half as long as the one that lived most.

        A job may have new workers for each of its stages, some of which last a moment only.
        """
        lives = {pid: s[-1].seconds - s[0].seconds for pid, s in self.samples.items()}
        least = max(lives.values(), default=0.0) / 2
        return [self.samples[pid] for pid, life in lives.items() if life >= least]
