"""Progress records: what every process has done so far, as small files in the run directory.

No runner shows its counters reliably while it runs, so each process writes its own numbers to one
file of `<run directory>/progress/` every few seconds, and the driver adds the files up.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import threading
import time
import uuid
from collections import deque
from collections.abc import Iterator
from typing import Any, Literal

from beam_distilabel.errors import RunCancelled
from beam_distilabel.filesystems import url_to_fs, write_file
from beam_distilabel.reasons import Reasons, add_reasons

logger = logging.getLogger(__name__)

FLUSH_SECONDS = 1.0
"""How often a process writes its record at most."""

STOP_FILE = "progress/stop"
"""Of the run directory: what the driver wants of processes of others, see `Stop`."""

COUNTS = (
    "rows_in",
    "rows_out",
    "rows_passed",
    "rows_failed",
    "failures",
    "unfinished",
    "reused",
    "requests",
    "latency_seconds",
    "input_tokens",
    "output_tokens",
)


class Stop:
    """Whether a run is to end, as one process sees it.

    Attributes:
        rows: whether no further row may be begun; those in flight are finished.
        now: whether nothing may be waited for.
    """

    def __init__(self) -> None:
        self.rows = False
        self.now = False
        self._called = threading.Condition()

    def call(self, what: Literal["rows", "now"]) -> None:
        with self._called:
            self.rows = True
            self.now = self.now or what == "now"
            self._called.notify_all()

    def wait_for_now(self, seconds: float) -> bool:
        """Wait until nothing may be waited for any more, at most so long; whether it is so."""
        with self._called:
            return self._called.wait_for(lambda: self.now, seconds)


class StepProgress:
    """The counts of one Step in one copy of its DoFn.

    One thread at a time changes them, or several by `add` and `failed`.

    Attributes:
        unfinished: rows that were left out, since their answers aren't there (see `finalize`).
        begun: rows that were given to the engine; only the runner's thread changes it.
        ended: those of them that are done with; only the engine's loop changes it.
        rows_passed: rows that came in, or were read, and of which something is of use.
        rows_failed: rows of which nothing is.
        reused: answers that an earlier run, or an earlier attempt, has paid for.
        latencies: the seconds of the latest requests; who publishes them takes them out.
        kinds: kind of failure to how often it occurred.
        reasons: the messages of failures.
        statistics: of the engine, where it keeps any: an object with `name` and `summary()`.
    """

    __slots__ = (
        *COUNTS,
        "_has_told",
        "_lock",
        "_recorder",
        "begun",
        "ended",
        "engine",
        "finished",
        "kinds",
        "latencies",
        "reasons",
        "started",
        "statistics",
        "step",
    )

    def __init__(self, step: str, recorder: Recorder | None) -> None:
        self.step = step
        self.rows_in = 0
        self.rows_out = 0
        self.rows_passed = 0
        self.rows_failed = 0
        self.failures = 0
        self.unfinished = 0
        self.begun = 0
        self.ended = 0
        self.reused = 0
        self.requests = 0
        self.latency_seconds = 0.0
        self.input_tokens = 0
        self.output_tokens = 0
        self.engine: str | None = None
        self.latencies: deque[float] = deque(maxlen=10_000)
        self.kinds: dict[str, int] = {}
        self.reasons = Reasons()
        self.statistics: Any = None
        self.started = time.time()
        self.finished = self.started
        self._recorder = recorder
        self._has_told = False
        self._lock = threading.Lock()

    def add(self, count: str, number: int = 1) -> None:
        """Add to one of `COUNTS`."""
        with self._lock:
            setattr(self, count, getattr(self, count) + number)

    @property
    def in_flight(self) -> int:
        """How many rows are under way."""
        return self.begun - self.ended

    @property
    def stop(self) -> Stop:
        """Whether the run is to end."""
        return _NEVER if self._recorder is None else self._recorder.stop

    def answered(self, seconds: float) -> None:
        """Count a request that took so long."""
        self.requests += 1
        self.latency_seconds += seconds
        self.latencies.append(seconds)

    def count_tokens(self, statistics: Any) -> None:
        """Count the tokens that a `GenerateOutput`'s statistics tell of."""
        if statistics:
            self.input_tokens += _total(statistics.get("input_tokens"))
            self.output_tokens += _total(statistics.get("output_tokens"))

    def failed(self, kind: str, message: str) -> None:
        """Count a failure."""
        with self._lock:
            self.failures += 1
            self.kinds[kind] = self.kinds.get(kind, 0) + 1
            self.reasons.add(message)

    def end_bundle(self) -> None:
        """`flush`; that something got through is told at once, since runs without that fail.

        Raises:
            RunCancelled: the run was cancelled in this process.
        """
        is_news = bool(self.rows_passed) and not self._has_told
        self.flush(force=is_news)
        self._has_told = self._has_told or is_news

    def flush(self, force: bool = False) -> None:
        """Write the process' record if it is due, or in any case with `force`.

        Raises:
            RunCancelled: the run was cancelled in this process.
        """
        self.finished = time.time()
        if not self.rows_in and not self.rows_out:
            self.started = self.finished  # what loading took doesn't count
        if self._recorder is not None:
            if self._recorder.stop.now:
                raise RunCancelled("the run was cancelled")
            self._recorder.flush(force)

    def write(self) -> None:
        """Write the process' record, whether it is due or the run is cancelled."""
        if self._recorder is not None:
            self._recorder.flush(force=True)


_NEVER = Stop()


def _total(counts: Any) -> int:
    if isinstance(counts, int):
        return counts
    return sum([count for count in counts or () if isinstance(count, int)])


class Recorder:
    """Adds up the counts of one process for one run and writes them to its file."""

    def __init__(self, run_dir: str) -> None:
        self.name = f"{_process()}-{uuid.uuid4().hex[:8]}.json"
        self._run_dir = run_dir.rstrip("/")
        self._path = f"{self._run_dir}/progress/{self.name}"
        self._steps: list[StepProgress] = []
        self._lock = threading.Lock()
        self._due = 0.0
        self._trailing: threading.Timer | None = None
        self.stop = Stop()
        self.closed = False

    @property
    def in_flight(self) -> int:
        """How many rows are under way in this process."""
        with self._lock:
            return sum(progress.in_flight for progress in self._steps)

    def step(self, name: str) -> StepProgress:
        """A new counter for one DoFn copy of the Step `name`."""
        progress = StepProgress(name, self)
        with self._lock:
            self._steps.append(progress)
        return progress

    def flush(self, force: bool = False) -> None:
        if self.closed:
            return
        now = time.monotonic()
        if now < self._due and not force:
            if self._trailing is None:
                # What a process counts last is written too, though it may get no more rows.
                self._trailing = threading.Timer(FLUSH_SECONDS, self.flush, kwargs={"force": True})
                self._trailing.daemon = True
                self._trailing.start()
            return
        with self._lock:
            if self._trailing is not None:
                self._trailing.cancel()
                self._trailing = None
            self._due = now + FLUSH_SECONDS
            try:
                wanted = _stop_wanted(self._run_dir)
                if wanted is not None:
                    self.stop.call(wanted)
                # A reader sees the whole record or the one before it, never a part.
                write_file(self._path, json.dumps(self._record()))
            except OSError as error:
                # Numbers for people: what the run makes doesn't depend on them.
                logger.warning("A record of the progress can't be written: %s", error)

    def _load_of(self, progress: StepProgress) -> dict[str, Any]:
        if progress.statistics is None:
            return {}
        # Copies of a DoFn share their engine, processes may: under one name it counts once.
        return {progress.statistics.name: progress.statistics.summary()}

    def _record(self) -> dict[str, dict[str, Any]]:
        record: dict[str, dict[str, Any]] = {}
        for progress in self._steps:
            merge_counts(
                record.setdefault(progress.step, {}),
                {
                    **{count: getattr(progress, count) for count in COUNTS},
                    "in_flight": progress.in_flight,
                    "started": progress.started,
                    "finished": progress.finished,
                    "engine": progress.engine,
                    "kinds": dict(progress.kinds),
                    "reasons": progress.reasons.snapshot(),
                    "loads": self._load_of(progress),
                },
            )
        return record


_recorders: dict[str, Recorder] = {}
_recorders_lock = threading.Lock()


def step_progress(run_dir: str | None, step: str) -> StepProgress:
    """The counter for one DoFn copy; without a run directory it counts and writes nothing."""
    return StepProgress(step, None) if run_dir is None else _recorder(run_dir).step(step)


def stop(run_dir: str, what: Literal["rows", "now"], everywhere: bool = False) -> None:
    """Let a run's Steps end.

    Args:
        run_dir: the run directory.
        what: "rows": Tasks begin no further row; "now": all stop at their next look at the clock.
        everywhere: also those in other processes, which look about every `FLUSH_SECONDS`.

    Raises:
        OSError: others can't be told.
    """
    _recorder(run_dir).stop.call(what)
    if everywhere:
        filesystem, path = url_to_fs(f"{run_dir.rstrip('/')}/{STOP_FILE}", auto_mkdir=True)
        with filesystem.open(path, "w") as file:
            file.write(what)


def cancel(run_dir: str) -> None:
    """Let the run's Steps in this process stop at their next look at the clock."""
    stop(run_dir, "now")


def _stop_wanted(run_dir: str) -> Literal["rows", "now"] | None:
    filesystem, path = url_to_fs(f"{run_dir}/{STOP_FILE}")
    # Not there, or not to be read just now: the next look is a second away.
    with contextlib.suppress(OSError):
        wanted = filesystem.cat_file(path)
        return "now" if wanted == b"now" else "rows"
    return None


def is_stopping(run_dir: str) -> bool:
    """Whether a run is to end, as far as this process knows or can look up."""
    with _recorders_lock:
        own = _recorders.get(run_dir)
    return (own is not None and own.stop.rows) or _stop_wanted(run_dir.rstrip("/")) is not None


def _process() -> str:
    return f"{socket.gethostname()}-{os.getpid()}"


def has_others(run_dir: str) -> bool:
    """Whether other processes work for a run too."""
    own = f"{_process()}-"
    return any(not name.startswith(own) for name, _ in _named_records(run_dir))


def in_flight(run_dir: str) -> int:
    """How many rows are under way: in this process now, in others when they wrote last."""
    with _recorders_lock:
        own = _recorders.get(run_dir)
    others = sum(
        counts.get("in_flight", 0)
        for name, record in _named_records(run_dir)
        if own is None or name != own.name
        for counts in record.values()
    )
    return others + (own.in_flight if own is not None else 0)


def _recorder(run_dir: str) -> Recorder:
    with _recorders_lock:
        return _recorders.setdefault(run_dir, Recorder(run_dir))


def forget(run_dir: str) -> None:
    """Write this process' record of a run whose job has ended, and drop it."""
    recorder = discard(run_dir)
    if recorder is not None:
        recorder.flush(force=True)
        recorder.closed = True  # the folder may be another run's from now on


def settle(run_dir: str) -> None:
    """Return when the records have what was counted before, in this process and in others."""
    with _recorders_lock:
        own = _recorders.get(run_dir)
    if own is not None:
        own.flush(force=True)
    if sum(1 for _ in _records(run_dir)) > (own is not None):
        time.sleep(1.5 * FLUSH_SECONDS)  # others write within that time


def discard(run_dir: str) -> Recorder | None:
    """Drop this process' record of a run, and with it that the run was cancelled."""
    with _recorders_lock:
        return _recorders.pop(run_dir, None)


def merge_counts(total: dict[str, Any], part: dict[str, Any]) -> None:
    """Add one record of a Step to `total` in place."""
    for count in COUNTS:
        total[count] = total.get(count, 0) + part.get(count, 0)
    total["in_flight"] = total.get("in_flight", 0) + part.get("in_flight", 0)
    total["started"] = min(total.get("started", part["started"]), part["started"])
    total["finished"] = max(total.get("finished", part["finished"]), part["finished"])
    total["engine"] = total.get("engine") or part.get("engine")
    kinds = total.setdefault("kinds", {})
    for kind, count in part.get("kinds", {}).items():
        kinds[kind] = kinds.get(kind, 0) + count
    add_reasons(total.setdefault("reasons", {}), part.get("reasons", {}))
    total.setdefault("loads", {}).update(part.get("loads", {}))


def combined_load(loads: dict[str, dict[str, Any]]) -> dict[str, Any] | None:
    """What the engines of a Step tell together; None where none tells anything.

    Returns:
        `restarts`, `running`, `waiting` and `mean_running` (of all engines), `kv_cache_usage` and
        `peak_kv_cache_usage` (0 to 1, of the fullest), `prefix_hit_rate` and
        `mean_first_token_seconds` (None where unknown).
    """
    engines = list(loads.values())
    if not engines:
        return None

    def total(name: str) -> Any:
        return sum(engine[name] for engine in engines)

    def ratio(part: str, whole: str) -> float | None:
        return round(total(part) / total(whole), 4) if total(whole) else None

    return {
        **{name: total(name) for name in ("restarts", "running", "waiting", "mean_running")},
        **{
            name: max(engine[name] for engine in engines)
            for name in ("kv_cache_usage", "peak_kv_cache_usage")
        },
        "prefix_hit_rate": ratio("prefix_hits", "prefix_queries"),
        "mean_first_token_seconds": ratio("first_token_seconds", "first_tokens"),
    }


def mean_latency(counts: dict[str, Any]) -> float | None:
    """The mean seconds of a Step's requests, None without any."""
    requests = counts.get("requests", 0)
    return counts.get("latency_seconds", 0.0) / requests if requests else None


def read_progress(run_dir: str) -> dict[str, dict[str, Any]]:
    """The counts of all processes so far: Step name to counts."""
    totals: dict[str, dict[str, Any]] = {}
    for record in _records(run_dir):
        for step, counts in record.items():
            merge_counts(totals.setdefault(step, {}), counts)
    return totals


def _records(run_dir: str) -> Iterator[dict[str, dict[str, Any]]]:
    for _, record in _named_records(run_dir):
        yield record


def _named_records(run_dir: str) -> Iterator[tuple[str, dict[str, dict[str, Any]]]]:
    filesystem, path = url_to_fs(f"{run_dir.rstrip('/')}/progress")
    if not filesystem.exists(path):
        return
    for name in filesystem.ls(path, detail=False):
        if not name.endswith(".json"):
            continue
        try:
            with filesystem.open(name) as file:
                yield str(name).rpartition("/")[2], json.load(file)
        except FileNotFoundError:
            continue  # replaced between listing and reading; the next look has it
