"""Running a pipeline: from its loaders to the Distiset in the run directory.

That is one Beam job, or several where not all models can be loaded at once (see `stages`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import apache_beam as beam
from apache_beam.runners.runner import PipelineState

from beam_distilabel.artifacts import STAGING_FOLDER
from beam_distilabel.card import write_card
from beam_distilabel.checkpoint import (
    close_checkpoints,
    compact,
    count_rows,
    drop_segments,
)
from beam_distilabel.errors import (
    CheckpointError,
    DistilabelError,
    DistilabelUserError,
    PipelineValidationError,
    RunCancelled,
    RunFailedError,
    RunInterrupted,
)
from beam_distilabel.failures import Failure
from beam_distilabel.filesystems import write_file
from beam_distilabel.layout import (
    CHECKPOINT_FOLDER,
    LOG_FILE,
    PIPELINE_FILE,
    REPORT_FILE,
)
from beam_distilabel.manifest import Manifest
from beam_distilabel.models.engine import engines
from beam_distilabel.pipeline.application import GraphOutputs
from beam_distilabel.pipeline.columns import (
    described_sources,
    number_by_prompts,
    prune_columns,
    sent_schemas,
    source_bytes,
    subset_schemas,
)
from beam_distilabel.pipeline.display import LOOK_SECONDS, ProgressDisplay, show_report
from beam_distilabel.pipeline.failure_watch import FailureLimit, FailureWatch
from beam_distilabel.pipeline.garbage import rare_collections
from beam_distilabel.pipeline.logs import logging_to
from beam_distilabel.pipeline.memory_watch import (
    MemoryWatch,
    check_sources,
    memory_limit,
    shuffles_rows,
)
from beam_distilabel.pipeline.needs import Needs, budget_of_run, models_of
from beam_distilabel.pipeline.preflight import check_destinations, check_job, ready_runner
from beam_distilabel.pipeline.report import RunFacts
from beam_distilabel.pipeline.row_totals import row_totals
from beam_distilabel.pipeline.run_control import RunControl
from beam_distilabel.pipeline.run_directory import (
    PROGRESS_FOLDER,
    RUN_FILE,
    STAGES_FOLDER,
    RunDirectory,
)
from beam_distilabel.pipeline.run_errors import (
    gone_wrong,
    interruption,
    kept,
    reason_of,
    was_cancelled,
)
from beam_distilabel.pipeline.run_handle import RunHandle, citations_of_steps
from beam_distilabel.pipeline.run_lock import RunLock
from beam_distilabel.pipeline.run_request import SEED, RunRequest
from beam_distilabel.pipeline.stage_jobs import StageJobs
from beam_distilabel.pipeline.stages import Stage, job_stages
from beam_distilabel.pipeline.worker_watch import WorkerWatch
from beam_distilabel.progress import discard, forget, read_progress
from beam_distilabel.runners import RunnerSettings
from beam_distilabel.transforms.sinks.publishing import check_size
from beam_distilabel.transforms.sinks.push_to_hub import PushToHub, push_folder
from beam_distilabel.transforms.sinks.result_folder import remove_staging
from beam_distilabel.transforms.sinks.write_distiset import WriteDistiset
from beam_distilabel.version import __version__

DISTISET = "distiset"
FAILURES = "failures"
MANIFEST = "manifest.json"
COMMIT = "commit"

logger = logging.getLogger(__name__)


Watch = FailureWatch | MemoryWatch | WorkerWatch
"""What may stop a run, and says why in its `verdict`."""


def start(request: RunRequest) -> RunHandle:
    """Claim the run directory and start the job in a thread of its own.

    Raises:
        DistilabelUserError: the directory isn't this pipeline's, or another run uses it, or there
            is none that could be finalized or retried, or a model doesn't fit into the memory, or
            the runner or an option of it is unknown.
    """
    runner = ready_runner(request)
    if not runner.executes:
        raise DistilabelUserError(
            f"{type(runner).__name__} only describes a job here, so there would be no result. "
            "`beam-distilabel launch` is for that: see docs/dataflow.md."
        )
    stages = plan_jobs(request, runner.local)
    directory = request.directory
    known = directory.check(request.name, request.is_named)
    if known is None and request.mode != "run":
        raise DistilabelUserError(
            f"{directory.path!r} holds no run of the pipeline {request.name!r}, so there is "
            f"nothing to {request.mode}; name the output_dir of a run."
        )
    if request.mode == "finalize" and known is not None and known.get(_RESULT) == "whole":
        logger.warning(
            "The Distiset in %s is the whole result of a run; it is replaced by what this "
            "pipeline, with these parameters and this dataset, has finished of its rows.",
            directory.path,
        )
    directory.make()
    run = Run(request, runner, record_of(request, known), stages)
    run.begin()
    return RunHandle(request, run.control)


def record_of(request: RunRequest, known: dict[str, Any] | None) -> dict[str, Any]:
    """What `run.json` says of a run that begins."""
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    if request.mode == "finalize":
        return {**(known or {}), "finalized": now}  # the run itself is what it was
    record: dict[str, Any] = {
        "beam_distilabel": __version__,
        "started": now,
        "state": "running",
    }
    if not request.is_named:
        record["is_named"] = False
    if known is not None and _RESULT in known:
        record[_RESULT] = known[_RESULT]  # an earlier run's, until this one has its own
    return record


_RESULT = "result"
"""In `run.json`: whether `distiset/` has all rows of a run, "whole", or those finished, "part"."""


def plan_jobs(request: RunRequest, local: bool) -> list[Stage]:
    """The Steps of each Beam job of a run.

    Raises:
        PipelineValidationError: a model needs more memory than there is.
    """
    if request.mode == "finalize":
        return [request.graph.in_order()]  # no model is loaded
    # What this process holds already is not in its available memory any more.
    measured = local and request.memory_budget is None
    needs = Needs(request.graph, engines.holds) if measured else Needs(request.graph)
    budget = budget_of_run(needs, request.memory_budget, local)
    needs.check(budget)
    stages = job_stages(
        request.graph, request.load_groups, needs.keys, lambda keys: needs.fit(keys, budget)
    )
    if local and len(stages) > 1:
        # A later job's mistake would be found when the earlier ones are paid.
        for name, step in request.graph.steps.items():
            for model in models_of(step):
                try:
                    model.check_start()
                except DistilabelError as error:
                    raise PipelineValidationError(f"Step {name!r}: {error}") from error
    return stages


class Run:
    """A run's work: its Beam jobs, and what is written before and after them.

    Args:
        request: what is to be done.
        runner: where.
        record: what `run.json` says of it.
        stages: the Steps of each job.

    Attributes:
        control: its state, and the ways to end it early.
    """

    def __init__(
        self,
        request: RunRequest,
        runner: RunnerSettings,
        record: dict[str, Any],
        stages: Sequence[Stage],
    ) -> None:
        self.run_dir = request.directory.path
        self.control = RunControl(self.run_dir, runner.local)
        self._request = request
        self._runner = runner
        self._record = record
        self._stages = stages
        self._lock = RunLock(self.run_dir, self.control.lose)
        self._thread = threading.Thread(target=self._run, name="pipeline-run", daemon=True)

    def begin(self) -> None:
        """Claim the run directory and start the run's thread."""
        request = self._request
        self._lock.acquire()
        try:
            request.directory.claim(request.name, self._record, request.is_named)
            self._thread.start()
        except BaseException:
            self._lock.release()
            raise

    # -- the run's thread ------------------------------------------------------------------------

    def _run(self) -> None:
        request = self._request
        log = request.directory.file(LOG_FILE)
        try:
            with logging_to(log, request.logging_handlers):
                logger.info("Running the pipeline %r in %s", request.name, self.run_dir)
                try:
                    facts = self._execute()
                    self._record[_RESULT] = "part" if facts.finished_only else "whole"
                    self._note_counts()
                    self.control.report = self._finish(facts)
                    self._drop_replaced()
                except BaseException as error:
                    self.control.job_over.set()
                    logger.debug("The run failed", exc_info=True)
                    self._note_counts()
                    self._end_early(error)
                else:
                    if self._request.shows_report:
                        show_report(self.control.report, self.run_dir)
                    self.control.state = "done"
                    if self.control.wish is not None:
                        self.control.error = interruption(
                            self._request, "was interrupted when it was complete"
                        )
        except BaseException as error:
            self.control.error = error
            if self.control.state == "running":
                self.control.state = "failed"
        finally:
            try:
                self._write_record(request)
            finally:
                self.control.end(self._lock.release)

    def _write_record(self, request: RunRequest) -> None:
        if self.control.lost is not None:
            return
        state = self._record["state"] if request.mode == "finalize" else self.control.state
        record = {**self._record, "pipeline": request.name, "state": state}
        with contextlib.suppress(OSError):
            request.directory.write_json(RUN_FILE, record)

    def _note_counts(self) -> None:
        """What was asked and what was there already, for `run.json`."""
        if self._request.mode == "finalize":
            return
        with contextlib.suppress(OSError, ValueError):
            counts = read_progress(self.run_dir)
            for name, count in (("asked", "requests"), ("reused", "reused")):
                told = {step: own[count] for step, own in counts.items()}
                self._record[name] = {step: number for step, number in told.items() if number}

    def _end_early(self, error: BaseException) -> None:
        """Put the run, which met `error`, into its last state."""
        if self.control.lost is not None:
            self.control.error = RunFailedError(f"{self.control.lost}; this run has ended.")
            self.control.state = "failed"
            return
        if self.control.wish is not None and self.control.state != "cancelled":
            self.control.error = self._interrupted(error)
            self.control.state = "interrupted"
            logger.info("%s", self.control.error)
            return
        self.control.error = error
        if self.control.state == "running":
            self.control.state = "failed"
        if self._request.mode != "finalize":
            logger.info("%s", kept(self._request))

    def _interrupted(self, error: BaseException) -> RunInterrupted:
        if not was_cancelled(error):
            reason = reason_of(error, self._request.graph.steps)
            logger.warning("The run ended before it could be interrupted: %s", reason)
        self.control.await_winding_down()
        if self.control.wish == "rows" and self._write_part():
            return interruption(
                self._request, f"was interrupted; what is finished is in {self.run_dir}/{DISTISET}"
            )
        if self._record.get(_RESULT) == "whole":
            return interruption(
                self._request,
                f"was interrupted; what is finished is kept, and {self.run_dir}/{DISTISET} is "
                "still the whole result of an earlier run",
            )
        return interruption(
            self._request, f"was interrupted; what is finished is kept in {self.run_dir}"
        )

    def _write_part(self) -> bool:
        """Write the Distiset of what is finished, in a job that asks nothing."""
        if self._record.get(_RESULT) == "whole":
            return False  # of an earlier run: more than a part
        request = self._request
        logger.info("Writing what is finished to %s", request.directory.file(DISTISET))
        self._request = dataclasses.replace(
            request, mode="finalize", dry_run=True, hub=None, failure_limit=FailureLimit()
        )
        try:
            request.directory.clear(PROGRESS_FOLDER)
            discard(self.run_dir)
            self.control.job_is_cancelled = False  # that was the job before
            self._stages = plan_jobs(self._request, self._runner.local)
            self.control.report = self._finish(self._execute())
            self._record[_RESULT] = "part"
        except BaseException as error:
            logger.debug("What is finished could not be written", exc_info=True)
            if self.control.wish == "rows":
                reason = reason_of(error, request.graph.steps)
                logger.warning("What is finished could not be written as a Distiset: %s", reason)
            return False
        show_report(self.control.report, self.run_dir)
        return True

    def _execute(self) -> RunFacts:
        request = self._request
        directory = request.directory
        facts = self.prepare()
        self.prepare_checkpoint()
        context = request.context(has_workers=not self._runner.local)
        jobs = StageJobs(request.graph, self._stages, directory.file(STAGES_FOLDER), context)
        done = threading.Event()
        steps = request.graph.in_order()
        stop = self.control.cancel_job
        watches: list[Watch] = [MemoryWatch(self._memory_limit(), stop)]
        if request.failure_limit is not None:
            watches.insert(0, FailureWatch(self.run_dir, steps, request.failure_limit, stop))
        shower = threading.Thread(target=self._show, args=(steps, watches, done), daemon=True)
        shower.start()
        try:
            with contextlib.ExitStack() as started:
                try:
                    runner = started.enter_context(self._runner.started())
                except RuntimeError as error:
                    raise RunFailedError(str(error)) from error  # with the logs' ends
                workers = None
                if runner.worker_start_limit is not None:
                    workers = WorkerWatch(
                        self.run_dir, runner.worker_start_limit, stop, runner.logs
                    )
                    watches.append(workers)
                self._run_jobs(jobs, runner, facts, watches, workers)
        except BaseException as error:
            directory.clear(STAGES_FOLDER)
            pushes = [n for n, s in request.graph.steps.items() if isinstance(s, PushToHub)]
            folders = [push_folder(directory.path, name) for name in pushes]
            for path in (directory.file(DISTISET), directory.path, *folders):
                remove_staging(path)
            if isinstance(error, Exception):
                self._raise_verdict(watches, error)
            raise
        finally:
            done.set()
            shower.join()
        return facts

    def _raise_verdict(self, watches: Sequence[Watch], cause: Exception | None = None) -> None:
        """Raise why the run was stopped, if a watch has stopped it."""
        for watch in watches:
            if watch.verdict is None:
                continue
            if isinstance(watch, FailureWatch):
                raise gone_wrong(self._request, watch.verdict) from cause
            raise RunFailedError(watch.verdict) from cause

    def _memory_limit(self) -> int | None:
        """What this process may have of memory during the run; its sources have to fit.

        Raises:
            DistilabelUserError: they don't, or the limit is reached already.
        """
        limit = memory_limit(self._runner)
        graph = self._request.graph
        if limit is not None and shuffles_rows(graph):
            check_sources(source_bytes(graph), limit)
        return limit

    def _run_jobs(
        self,
        jobs: StageJobs,
        runner: RunnerSettings,
        facts: RunFacts,
        watches: Sequence[Watch],
        workers: WorkerWatch | None,
    ) -> None:
        for number, stage in enumerate(self._stages):
            if len(self._stages) > 1:
                names = ", ".join(stage)
                logger.info("Job %d of %d: %s", number + 1, len(self._stages), names)
            job = beam.Pipeline(runner=runner.runner(), options=runner.pipeline_options())
            outputs = jobs.apply(job, number)
            if outputs is not None:
                for name, note in self.write(outputs, facts).items():
                    _ = note | f"Note {name}" >> beam.Map(_note, self.run_dir, name)
            if workers is not None:
                workers.apply(job, number)
            if not (runner.local and runner.shares_process):
                check_job(job, runner.shares_process)
            self._run_job(job)
            self._raise_verdict(watches)
            if outputs is None:
                jobs.collect(number)

    def write(self, outputs: GraphOutputs, facts: RunFacts) -> dict[str, Any]:
        """Write the failures and the Distiset, and publish it if that is asked for.

        Returns:
            What tells of each of these, once it is done: PCollections of one element.
        """
        request = self._request
        directory = request.directory
        failures: Any = {
            FAILURES: outputs.failures | "Failure rows" >> beam.Map(Failure.to_row)
        } | "Write failures" >> WriteDistiset(directory.path, overwrite=True, keep_row_ids=True)
        hub = request.hub
        write = WriteDistiset(
            directory.file(DISTISET),
            ordered=self._runner.local,
            overwrite=True,
            schemas=subset_schemas(request.graph),
            hub=hub,
            companions=partial(facts.companions, hub.repo_id, hub.revision) if hub else None,
            after=[failures] if hub else (),
        )
        notes = {DISTISET: outputs.subsets | "Write Distiset" >> write, FAILURES: failures}
        if write.commits is not None:
            notes[COMMIT] = write.commits | "Commit's facts" >> beam.Map(dataclasses.asdict)
        return notes

    def _run_job(self, job: beam.Pipeline) -> None:
        """Run one Beam job to its end; afterwards none of its engines is left in this process."""
        run_dir = self._request.directory.path
        try:
            with rare_collections() if self._runner.local else contextlib.nullcontext():
                if self._must_not_begin():  # between two jobs
                    raise RunCancelled("the run was cancelled")
                self.control.job_over.clear()
                result = self.control.job = job.run()
                ends = self.control.job_is_cancelled or self._must_not_begin()
                if ends and not self._runner.local:
                    result.cancel()  # who wanted that didn't know of the job yet
                state = result.wait_until_finish()
                self.control.count(result, self._request.graph.steps)
            if state not in (None, PipelineState.DONE):
                raise RunFailedError(f"the runner ended the job with the state {state}.")
        finally:
            self.control.job = None
            self.control.job_over.set()
            # A job that failed has torn nothing down: what it has finished is written, and its
            # engines hold the accelerator.
            close_checkpoints(run_dir)
            engines.release_all(run_dir)
            forget(run_dir)

    def _must_not_begin(self) -> bool:
        part = self._request.mode == "finalize"
        return (
            self.control.state == "cancelled"
            or self.control.wish == "now"
            or (not part and bool(self.control.wish))
        )

    def prepare(self) -> RunFacts:
        """Pin the sources, check what can be checked, and note it in the run's record."""
        request = self._request
        graph = request.graph
        prune_columns(graph)
        number_by_prompts(graph)
        facts = RunFacts(
            pipeline=request.name,
            run_dir=self.run_dir,
            definition=request.definition,
            steps=tuple(graph.in_order()),
            citations=tuple(citations_of_steps(graph.steps.values())),
            sources=described_sources(graph),
            seed=SEED,
            finished_only=request.mode == "finalize",
            failure_limit=None if request.mode == "finalize" else request.failure_limit,
        )
        pushes = {n: step for n, step in graph.steps.items() if isinstance(step, PushToHub)}
        if pushes:
            known = sent_schemas(graph)
            for name, step in pushes.items():
                step.expect(known[name])
        if request.hub is not None or (pushes and not request.dry_run):
            expected = source_bytes(graph)
            subsets = len(graph.subsets()) if request.hub else 1
            check_size(expected and expected * subsets, subsets, f"Pipeline {request.name!r}")
            if len(self._stages) > 1:
                check_destinations(request.hub, {} if request.dry_run else pushes)
        if request.mode != "finalize":
            # At the start: what a run that dies has finished can be finalized by it.
            request.directory.write_text(PIPELINE_FILE, facts.definition_text())
        self._record["sources"] = dict(facts.sources)
        if request.dataset is not None:
            self._record["dataset"] = request.dataset
        request.directory.write_json(RUN_FILE, {**self._record, "pipeline": request.name})
        return facts

    def prepare_checkpoint(self) -> None:
        """Leave what is finished in few files, and have Steps not look at what they mustn't use.

        Raises:
            CheckpointError: it can't be read or written.
        """
        request = self._request
        if request.mode == "finalize":
            return
        for name, step in request.graph.steps.items():
            folder = f"{CHECKPOINT_FOLDER}/{name}"
            try:
                # What a run is retried of are its own answers, whatever the next run may use.
                if request.mode == "retry" or (request.use_cache and step.use_cache):
                    compact(request.directory.file(folder))
                    kept = count_rows(request.directory.file(folder))
                    if kept:
                        logger.info("%s: %s answers of earlier runs are kept", name, f"{kept:,}")
                else:
                    # What is there stays until this run has its own, in case that it never does.
                    step.use_cache = False  # the run's own copy
            except OSError as error:
                raise CheckpointError(
                    f"the checkpoint {request.directory.file(folder)!r} can't be used: {error}"
                ) from error

    def _drop_replaced(self) -> None:
        """Remove what the Steps of this run, which is done, were not to use."""
        for name, step in self._request.graph.steps.items():
            if not step.use_cache and self._request.mode == "run":
                folder = self._request.directory.file(f"{CHECKPOINT_FOLDER}/{name}")
                drop_segments(folder, self._request.launched)

    def _show(self, steps: list[str], watches: Sequence[Watch], done: threading.Event) -> None:
        with ProgressDisplay(self.run_dir, steps, row_totals(self._request.graph)) as display:
            next_look = 0.0
            while not done.wait(0.2):
                display.update()
                if time.monotonic() >= next_look:
                    next_look = time.monotonic() + LOOK_SECONDS
                    for watch in watches:
                        watch.look()

    def _finish(self, facts: RunFacts) -> dict[str, Any]:
        directory = self._request.directory
        manifest, failed, commit = (
            directory.read_json(_note_file(name)) or {} for name in (DISTISET, FAILURES, COMMIT)
        )
        clear_notes(directory)
        more: dict[str, Any] = {}
        if len(self._stages) > 1:
            more["jobs"] = [list(stage) for stage in self._stages]
        if commit:
            more["published"] = commit
            self._record["published"] = commit
        report = write_report(facts, manifest, failed, more)
        verdict = facts.verdict()
        if verdict is not None and not facts.finished_only:
            raise RunFailedError(
                f"{verdict} The rows and their reasons: {directory.file(FAILURES)}."
            )
        return report


def clear_notes(directory: RunDirectory) -> None:
    """Remove from a run directory what is of no use once its result is there."""
    for name in (*map(_note_file, (DISTISET, FAILURES, COMMIT)), STAGING_FOLDER, STAGES_FOLDER):
        directory.clear(name)


def write_report(
    facts: RunFacts, manifest: Manifest, failed: Manifest, more: Mapping[str, Any]
) -> dict[str, Any]:
    """Write the report and the card of a result that is there; returns the report.

    Args:
        facts: of the run.
        manifest: of the Distiset.
        failed: of the failures.
        more: for the report.
    """
    report = {**facts.report(manifest, failed), **more}
    # With the result: a run that fails leaves the earlier run's report beside its rows.
    write_file(facts.file(REPORT_FILE), json.dumps(report, indent=2, default=str))
    write_card(
        facts.file(DISTISET),
        definition=facts.definition,
        report=report,
        citations=facts.citations,
    )
    return report


def _note(facts: Any, run_dir: str, name: str) -> None:
    """Leave what a write or commit tells of itself for the driver."""
    write_file(f"{run_dir}/{_note_file(name)}", json.dumps(facts))


def _note_file(name: str) -> str:
    return f".{name}.{MANIFEST}"


__all__ = ["Run", "RunHandle", "RunRequest", "start"]
