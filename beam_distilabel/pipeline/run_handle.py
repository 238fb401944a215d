"""`RunHandle`: a run, for whoever has started it."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from typing import Any

from beam_distilabel.distiset import Distiset, citations_of, create_distiset
from beam_distilabel.errors import DistilabelUserError, RunFailedError, RunInterrupted
from beam_distilabel.layout import LOG_FILE
from beam_distilabel.pipeline.display import progress_line, rates
from beam_distilabel.pipeline.interrupt import STOP_SECONDS, counted_interrupts
from beam_distilabel.pipeline.report import told_counts
from beam_distilabel.pipeline.row_totals import row_totals
from beam_distilabel.pipeline.run_control import RunControl
from beam_distilabel.pipeline.run_errors import interruption, kept, reason_of
from beam_distilabel.pipeline.run_request import RunRequest
from beam_distilabel.pipeline.validation import available_columns
from beam_distilabel.progress import combined_load, read_progress
from beam_distilabel.transforms.sinks.stages import SPLIT


class RunHandle:
    """A run that is under way, or has ended: what `Pipeline.submit` returns.

    Attributes:
        run_dir: the run directory.

    Example:
        >>> import tempfile
        >>> from beam_distilabel.pipeline import Pipeline
        >>> from beam_distilabel.steps import KeepColumns, LoadDataFromDicts
        >>> with Pipeline(name="doc-submit") as pipeline:
        ...     load = LoadDataFromDicts(name="load", data=[{"a": 1, "b": 2}])
        ...     _ = load >> KeepColumns(name="keep", columns=["a"])
        >>> handle = pipeline.submit(output_dir=tempfile.mkdtemp(), logging_handlers=[])
        >>> handle.wait()
        'done'
        >>> handle.metrics()["keep"]["rows_out"]
        1
        >>> handle.distiset()["default"]["train"].to_list()
        [{'a': 1}]
    """

    def __init__(self, request: RunRequest, control: RunControl) -> None:
        self.run_dir = request.directory.path
        self._request = request
        self._control = control

    def __repr__(self) -> str:
        return f"<RunHandle of {self._request.name!r}: {self.state}, {self.run_dir!r}>"

    @property
    def state(self) -> str:
        """running, done, failed, cancelled or interrupted."""
        return self._control.state

    @property
    def job_state(self) -> str | None:
        """The state of the Beam job under way in Beam's words (`PipelineState`), such as RUNNING.

        None where none is under way, and where a runner says nothing before a job's end, as the
        in-memory one.
        """
        return self._control.job_state

    def progress(self) -> dict[str, dict[str, Any]]:
        """Step name to what it has done so far; counts attempts."""
        return read_progress(self.run_dir)

    def metrics(self) -> dict[str, dict[str, Any]]:
        """Step name to what it has done so far, in numbers; counts attempts.

        As `report["steps"]` has them at the end: `rows_in`, `rows_out`, `failures`, `requests`,
        `input_tokens`, `output_tokens`, `reused`, ..., `mean_latency_seconds` of its requests and
        `engine_load`; and `rows_per_second` and `output_tokens_per_second` since it began. Workers
        write them every second, on every runner.
        """
        return {step: _metrics(counts) for step, counts in self.progress().items()}

    def counters(self) -> dict[str, dict[str, int]]:
        """Step name to Beam's own counters of it, of the Beam jobs that have ended.

        Empty where the runner keeps none. What a bundle counted that was run again may be in twice.
        """
        return {step: dict(counts) for step, counts in self._control.counters.items()}

    def progress_lines(self) -> list[str]:
        """A line of text for each Step that has begun, in their order."""
        counts = self.progress()
        totals = row_totals(self._request.graph)
        steps = self._request.graph.in_order()
        return [progress_line(s, counts[s], totals.get(s)) for s in steps if s in counts]

    @property
    def report(self) -> dict[str, Any]:
        """The run's report, once it is done."""
        return self._control.report

    def cancel(self) -> None:
        """Stop the run now; what is finished stays in the run directory."""
        self._control.cancel()

    def interrupt(self) -> None:
        """As Ctrl-C while the run is waited for; returns at once.

        Tasks begin no further row; when those in flight are finished and kept, the job ends, and
        the Distiset of what is finished is written. Called again: stop now.
        """
        self._control.interrupt()

    def wait(self, timeout: float | None = None) -> str:
        """Wait for the end, at most `timeout` seconds; returns the state."""
        self._control.ended.wait(timeout)
        return self.state

    def distiset(self) -> Distiset:
        """Wait for the end and open the result.

        Raises:
            DistilabelUserError: the run met something that the user wrote and that can't work.
            RunFailedError: the run failed otherwise, or was cancelled; the cause is chained.
            RunInterrupted: Ctrl-C was pressed, or `interrupt` called.
        """
        self._await_end()
        request, error = self._request, self._control.error
        if error is not None:
            if isinstance(error, (DistilabelUserError, RunInterrupted)):
                raise error
            raise RunFailedError(
                f"the run of the pipeline {request.name!r} {self.state}: "
                f"{reason_of(error, request.graph.steps)} See "
                f"{request.directory.file(LOG_FILE)}. {kept(request)}"
            ) from error
        distiset = create_distiset(self.run_dir, enable_metadata=True)
        distiset.citations = citations_of_steps(request.graph.steps.values())
        columns = available_columns(request.graph)
        for leaf, subset in request.graph.subsets().items():
            if subset not in distiset:
                distiset[subset] = empty_subset(columns[leaf] or ())
        return distiset

    def _await_end(self) -> None:
        """Wait for the end; Ctrl-C meanwhile interrupts the run.

        Raises:
            RunInterrupted: Ctrl-C was pressed twice, and the run doesn't end.
        """
        pressed = 0
        until = math.inf
        with counted_interrupts() as interrupts:
            while True:
                try:
                    if self._control.ended.wait(0.1):
                        return
                    while pressed < interrupts.count:
                        pressed += 1
                        self.interrupt()
                        if pressed > 1:
                            until = time.monotonic() + (STOP_SECONDS if pressed == 2 else 0)
                    if time.monotonic() >= until:
                        what = "was interrupted and still comes to its end"
                        raise interruption(self._request, what)
                except RunInterrupted:
                    raise
                except KeyboardInterrupt:
                    interrupts.count += 1


def _metrics(counts: dict[str, Any]) -> dict[str, Any]:
    rows, tokens = rates(counts)
    told = {**told_counts(counts), "rows_per_second": rows, "output_tokens_per_second": tokens}
    load = combined_load(counts.get("loads", {}))
    return told if load is None else {**told, "engine_load": load}


def citations_of_steps(steps: Iterable[Any]) -> list[str]:
    """What the Steps' authors ask to be cited, each once."""
    return list(dict.fromkeys(entry for step in steps for entry in citations_of(step)))


def empty_subset(columns: Iterable[str]) -> Any:
    """A DatasetDict without rows: a leaf that got none is a subset too."""
    from datasets import Dataset, DatasetDict

    return DatasetDict({SPLIT: Dataset.from_dict({name: [] for name in sorted(columns)})})


__all__ = ["RunHandle", "citations_of_steps", "empty_subset"]
