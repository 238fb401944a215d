"""Whether the workers of a job start: a runner that waits for them may wait for ever.

A job gets a branch of its own whose elements reach every part of the job; when the last of them is
through, a file in the run directory says so. Where that doesn't come, the job is stopped.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable
from typing import Any

import apache_beam as beam

from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.filesystems import url_to_fs, write_file
from beam_distilabel.pipeline.run_directory import PROGRESS_FOLDER, RUN_FILE

SIGNS = 64
"""How many elements look whether workers are there; Flink hands them out in turn."""

logger = logging.getLogger(__name__)


class WorkerWatch:
    """Waits for the first sign of life of a job's workers, and stops the job where none comes.

    Args:
        run_dir: the run directory.
        seconds: how long the workers may take.
        stop: what stops the job; called once at most.
        logs: the ends of the logs of what the job runs on.

    Attributes:
        verdict: why the job was stopped; None while it isn't.
    """

    def __init__(
        self,
        run_dir: str,
        seconds: float,
        stop: Callable[[], None],
        logs: Callable[[], str] = str,
    ) -> None:
        self._run_dir = run_dir
        self._seconds = seconds
        self._stop = stop
        self._logs = logs
        self._sign: str | None = None
        self._until = 0.0
        self.verdict: str | None = None

    def apply(self, pipeline: beam.Pipeline, number: int) -> None:
        """Add the branch to job `number`; its workers' time begins."""
        self._sign = f"{PROGRESS_FOLDER}/workers-{number}"
        self._until = time.monotonic() + self._seconds
        _ = pipeline | "Look for workers" >> _Signs(self._run_dir, self._sign)

    def look(self) -> None:
        """Look for the sign now."""
        if self._sign is None:
            return
        try:
            filesystem, path = url_to_fs(f"{self._run_dir}/{self._sign}")
            if filesystem.exists(path):
                self._sign = None
                return
        except OSError as error:  # the next look may have it
            logger.debug("The workers' sign can't be looked for: %s", error)
        if time.monotonic() < self._until:
            return
        self._sign = None
        logs = self._logs()
        self.verdict = (
            f"not all workers of the job have shown that they are there within "
            f"{self._seconds:.0f} s, so the job was stopped. Either a worker doesn't start (see "
            f"the log of its worker pool), or there is no free slot for the job, or the workers "
            f"can't write to the run directory {self._run_dir!r}, which has to be on a filesystem "
            f"that they share. The runner's setting for this time is worker_start_seconds."
            + (f"\n{logs}" if logs else "")
        )
        logger.error("%s", self.verdict)
        self._stop()


class _Signs(beam.PTransform):
    def __init__(self, run_dir: str, sign: str) -> None:
        super().__init__()
        self._run_dir = run_dir
        self._sign = sign

    def expand(self, begin: Any) -> Any:
        return (
            begin
            | beam.Create(range(SIGNS))
            | beam.Reshuffle()
            | "Reach the run directory" >> beam.Map(_reach, self._run_dir)
            | beam.GroupByKey()
            | "Leave a sign" >> beam.Map(_leave_sign, f"{self._run_dir}/{self._sign}")
        )


def _reach(number: int, run_dir: str) -> tuple[None, int]:
    """Fail where the run directory isn't the driver's.

    Raises:
        DistilabelUserError: it isn't.
    """
    filesystem, path = url_to_fs(f"{run_dir}/{RUN_FILE}")
    if not filesystem.exists(path):
        raise DistilabelUserError(
            f"the worker on {socket.gethostname()} doesn't find the run directory {run_dir!r}: "
            "choose an output_dir on a filesystem that all workers share, such as "
            "'gs://bucket/run', or a folder that is mounted everywhere."
        )
    return None, number


def _leave_sign(found: Any, path: str) -> None:
    _, numbers = found
    if len(list(numbers)) == SIGNS:
        write_file(path, "")


__all__ = ["SIGNS", "WorkerWatch"]
