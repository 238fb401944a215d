"""What processes of a group use, and how that changes while a job runs."""

from __future__ import annotations

import contextlib
import os
import statistics
import threading
import time
from types import TracebackType
from typing import NamedTuple

import psutil

from beam_distilabel.runners.flink_cluster.job_server import FlinkJobServer

_WORKER = "flink_cluster.worker "  # not the pool
_JAVA = "java -Xmx"


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
            command = process.cmdline()
            is_guard = any(part.endswith("guard.py") for part in command[:2])
            if os.getpgid(process.pid) == group and not is_guard and named in " ".join(command):
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

    def tenths(self) -> list[list[int]]:
        """Of each process: the median of its bytes in each tenth of its life."""
        found = []
        for samples in self._lasting():
            first, last = samples[0].seconds, samples[-1].seconds
            parts: list[list[int]] = [[] for _ in range(10)]
            for usage in samples:
                part = int(10 * (usage.seconds - first) / max(last - first, 1e-9))
                parts[min(part, 9)].append(usage.resident)
            found.append([round(statistics.median(part)) for part in parts if part])
        return found

    def _lasting(self) -> list[list[Usage]]:
        """The samples of the processes that lived at least half as long as the one that lived most.

        A job may have new workers for each of its stages, some of which last a moment only.
        """
        lives = {pid: s[-1].seconds - s[0].seconds for pid, s in self.samples.items()}
        least = max(lives.values(), default=0.0) / 2
        return [self.samples[pid] for pid, life in lives.items() if life >= least]


def worker_pids(flink: FlinkJobServer) -> list[int]:
    """The worker processes of the job that runs."""
    return list(usage_of(flink.worker_group, _WORKER))


def watch_workers(flink: FlinkJobServer, every: float = 0.1) -> ProcessWatch:
    """What the worker processes use, for a `with` block."""
    return ProcessWatch(flink.worker_group, _WORKER, every)


def watch_java(flink: FlinkJobServer, every: float = 0.1) -> ProcessWatch:
    """What the job server uses, in which Flink runs, for a `with` block."""
    return ProcessWatch(flink.server_group, _JAVA, every)
