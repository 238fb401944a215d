"""What is wanted of a run, and how far it is: between its thread and whoever holds it."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterable
from typing import Any, Literal

from apache_beam.runners.runner import PipelineResult, PipelineState

from beam_distilabel.pipeline.interrupt import finish_rows
from beam_distilabel.progress import cancel, discard, stop

logger = logging.getLogger(__name__)


class RunControl:
    """A run's state, and the ways to end it early.

    Args:
        run_dir: the run directory.
        local: whether the runner is the in-memory one, whose jobs end by what their Steps see.

    Attributes:
        state: running, done, failed, cancelled or interrupted.
        error: why it has no result.
        report: of the run, once it is done.
        counters: of Beam, by Step and name, of the jobs that have ended.
        wish: how it is to be interrupted, if it is.
        lost: why the run directory isn't this run's any more, if it isn't.
        job: the Beam job under way, as far as the runner tells.
        job_is_cancelled: whether the job is to end, also one that is still being submitted.
        job_over: set while no Beam job is under way.
        ended: set when nothing of the run is under way.
    """

    def __init__(self, run_dir: str, local: bool) -> None:
        self.state = "running"
        self.error: BaseException | None = None
        self.report: dict[str, Any] = {}
        self.counters: dict[str, dict[str, int]] = {}
        self.wish: Literal["rows", "now"] | None = None
        self.lost: str | None = None
        self.job: PipelineResult | None = None
        self.job_is_cancelled = False
        self.job_over = threading.Event()
        self.ended = threading.Event()
        self._run_dir = run_dir
        self._local = local
        self._winding_down: threading.Thread | None = None
        self._ending = threading.Lock()

    @property
    def job_state(self) -> str | None:
        """The Beam job's state in Beam's words; None where none is under way, or tells it."""
        job = self.job
        if job is None:
            return None
        try:
            return str(job.state)
        except Exception as error:  # whatever the runner's client raises when nobody answers
            logger.debug("The job doesn't tell its state: %s", error)
            return str(PipelineState.UNKNOWN)

    def count(self, job: PipelineResult, steps: Iterable[str]) -> None:
        """Add Beam's counters of a job that has ended to `counters`, if it has any.

        Args:
            job: the job.
            steps: the names of its Steps; what is counted of anything else is left out.
        """
        longest_first = sorted(steps, key=len, reverse=True)
        try:
            found = job.metrics().query()["counters"]
        except Exception as error:  # of the run's result they decide nothing
            logger.debug("The job has no counters: %s", error)
            return
        for counter in found:
            # A transform's label, or what job servers make of it: ref_AppliedPTransform_a-b_7.
            place = str(counter.key.step).removeprefix("ref_AppliedPTransform_")
            name = counter.key.metric.name
            step = next(
                (s for s in longest_first if re.match(rf"{re.escape(s)}(/|-|_\d+$|$)", place)), None
            )
            if step is None or ":" in name:  # the runner's own
                continue
            own = self.counters.setdefault(step, {})
            own[name] = own.get(name, 0) + int(counter.result or 0)

    def cancel(self) -> None:
        """Stop the run now."""
        with self._ending:
            if self.ended.is_set():
                return
            self.state = "cancelled"
            cancel(self._run_dir)
        self.cancel_job()

    def interrupt(self) -> None:
        """Finish the rows in flight and end; stop now, if called again. Returns at once."""
        with self._ending:
            if self.ended.is_set():
                return
            again = self.wish is not None
            self.wish = "now" if again else "rows"
            target = self._stop_now if again else self._wind_down
            thread = threading.Thread(target=target, name="pipeline-interrupt", daemon=True)
            if not again:
                self._winding_down = thread
        thread.start()

    def await_winding_down(self) -> None:
        """Return when the first `interrupt` has done its part."""
        if self._winding_down is not None:
            self._winding_down.join()

    def cancel_job(self) -> None:
        """Let the Beam job end now."""
        if not self._tell_steps("now"):
            return
        self.job_is_cancelled = True
        job = self.job
        if job is None or self._local:
            return
        try:
            job.cancel()
        except Exception as error:  # whatever the runner's client raises
            logger.warning(
                "The runner can't cancel the job, whose Steps end by themselves: %s", error
            )

    def lose(self, reason: str) -> None:
        """Another run has the directory: nothing of it may be touched any more."""
        self.lost = reason
        with self._ending:
            if not self.ended.is_set():
                cancel(self._run_dir)  # in this process only: the files are another run's

    def end(self, release: Callable[[], None]) -> None:
        """Nothing of the run is under way any more.

        Args:
            release: gives the run directory back.
        """
        with self._ending:
            discard(self._run_dir)
            release()
            self.ended.set()

    def _wind_down(self) -> None:
        if not self._tell_steps("rows"):
            return
        waits = True
        try:
            waits = finish_rows(self._run_dir, self.job_over)
        except OSError as error:
            logger.warning("The rows in flight can't be waited for: %s", error)
        if waits:
            self.cancel_job()

    def _stop_now(self) -> None:
        logger.warning("Interrupted again: stopping now.")
        self.cancel_job()

    def _tell_steps(self, what: Literal["rows", "now"]) -> bool:
        """Let the run's Steps end; whether the run is still there."""
        with self._ending:
            if self.ended.is_set():  # the directory may be another run's by now
                return False
            try:
                stop(self._run_dir, what, everywhere=True)
            except OSError as error:
                logger.warning("Workers in other processes can't be told to stop: %s", error)
            return True


__all__ = ["RunControl"]
