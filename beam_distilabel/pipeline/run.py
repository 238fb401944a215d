"""Running a pipeline: from its loaders to the Distiset in the run directory.

That is one Beam job, or several where not all models can be loaded at once (see `stages`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import logging
import math
import threading
import time
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, Literal

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
from beam_distilabel.distiset import Distiset, citations_of, create_distiset
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
from beam_distilabel.layout import CHECKPOINT_FOLDER, LOG_FILE, PIPELINE_FILE, REPORT_FILE
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
from beam_distilabel.pipeline.interrupt import (
    STOP_SECONDS,
    counted_interrupts,
    finish_rows,
    resume_command,
)
from beam_distilabel.pipeline.logs import logging_to
from beam_distilabel.pipeline.needs import Needs, budget_of_run, models_of
from beam_distilabel.pipeline.report import RunFacts
from beam_distilabel.pipeline.row_totals import row_totals
from beam_distilabel.pipeline.run_directory import (
    PROGRESS_FOLDER,
    RUN_FILE,
    STAGES_FOLDER,
)
from beam_distilabel.pipeline.run_errors import reason_of, was_cancelled
from beam_distilabel.pipeline.run_lock import RunLock
from beam_distilabel.pipeline.run_request import SEED, RunRequest
from beam_distilabel.pipeline.stage_jobs import StageJobs
from beam_distilabel.pipeline.stages import Stage, job_stages
from beam_distilabel.pipeline.validation import available_columns
from beam_distilabel.pipeline.worker_watch import WorkerWatch
from beam_distilabel.progress import cancel, discard, forget, read_progress, stop
from beam_distilabel.runners import RunnerSettings, choose_runner
from beam_distilabel.transforms.sinks.publishing import check_size
from beam_distilabel.transforms.sinks.push_to_hub import PushToHub, push_folder
from beam_distilabel.transforms.sinks.result_folder import remove_staging
from beam_distilabel.transforms.sinks.stages import SPLIT
from beam_distilabel.transforms.sinks.write_distiset import WriteDistiset
from beam_distilabel.version import __version__

DISTISET = "distiset"
FAILURES = "failures"
MANIFEST = "manifest.json"
COMMIT = "commit"

logger = logging.getLogger(__name__)


def start(request: RunRequest) -> RunHandle:
    """Claim the run directory and start the job in a thread of its own.

    Raises:
        DistilabelUserError: the directory isn't this pipeline's, or another run uses it, or there
            is none that could be finalized or retried, or a model doesn't fit into the memory.
        ValueError: an option of the runner is unknown.
    """
    runner = choose_runner(request.runner, request.options)
    try:
        runner.check()
    except RuntimeError as error:
        raise DistilabelUserError(str(error)) from error
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
    handle = RunHandle(request, runner, _record(request, known), stages)
    handle._lock.acquire()
    try:
        directory.claim(request.name, handle._record, request.is_named)
        handle._thread.start()
    except BaseException:
        handle._lock.release()
        raise
    return handle


def _record(request: RunRequest, known: dict[str, Any] | None) -> dict[str, Any]:
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


class RunHandle:
    """A run that is under way, or has ended.

    Attributes:
        run_dir: the run directory.
    """

    def __init__(
        self,
        request: RunRequest,
        runner: RunnerSettings,
        record: dict[str, Any],
        stages: Sequence[Stage],
    ) -> None:
        self.run_dir = request.directory.path
        self._request = request
        self._runner = runner
        self._record = record
        self._stages = stages
        self._state = "running"
        self._error: BaseException | None = None
        self._result: Any = None
        self._report: dict[str, Any] = {}
        self._wish: Literal["rows", "now"] | None = None
        self._lost: str | None = None
        self._worker_watch: WorkerWatch | None = None
        self._lock = RunLock(self.run_dir, self._lose)
        self._winding_down: threading.Thread | None = None
        self._job_over = threading.Event()
        self._ended = threading.Event()
        self._ending = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="pipeline-run", daemon=True)

    @property
    def state(self) -> str:
        """running, done, failed, cancelled or interrupted."""
        return self._state

    def progress(self) -> dict[str, dict[str, Any]]:
        """Step name to what it has done so far; counts attempts."""
        return read_progress(self.run_dir)

    @property
    def report(self) -> dict[str, Any]:
        """The run's report, once it is done."""
        return self._report

    def cancel(self) -> None:
        """Stop the run now; what is finished stays in the run directory."""
        with self._ending:
            if self._ended.is_set():
                return
            self._state = "cancelled"
            cancel(self.run_dir)
        self._cancel_job()

    def interrupt(self) -> None:
        """As Ctrl-C while the run is waited for; returns at once.

        Tasks begin no further row; when those in flight are finished and kept, the job ends, and
        the Distiset of what is finished is written. Called again: stop now.
        """
        with self._ending:
            if self._ended.is_set():
                return
            again = self._wish is not None
            self._wish = "now" if again else "rows"
            target = self._stop_now if again else self._wind_down
            thread = threading.Thread(target=target, name="pipeline-interrupt", daemon=True)
            if not again:
                self._winding_down = thread
        thread.start()

    def wait(self, timeout: float | None = None) -> str:
        """Wait for the end, at most `timeout` seconds; returns the state."""
        self._ended.wait(timeout)
        return self.state

    def distiset(self) -> Distiset:
        """Wait for the end and open the result.

        Raises:
            DistilabelUserError: the run met something that the user wrote and that can't work.
            RunFailedError: the run failed otherwise, or was cancelled; the cause is chained.
            RunInterrupted: Ctrl-C was pressed, or `interrupt` called.
        """
        self._await_end()
        if self._error is not None:
            if isinstance(self._error, (DistilabelUserError, RunInterrupted)):
                raise self._error
            request = self._request
            raise RunFailedError(
                f"the run of the pipeline {request.name!r} {self._state}: "
                f"{reason_of(self._error, request.graph.steps)} See "
                f"{request.directory.file(LOG_FILE)}. {self._hint()}"
            ) from self._error
        distiset = create_distiset(self.run_dir, enable_metadata=True)
        distiset.citations = self._citations()
        columns = available_columns(self._request.graph)
        for leaf, subset in self._request.graph.subsets().items():
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
                    if self._ended.wait(0.1):
                        return
                    while pressed < interrupts.count:
                        pressed += 1
                        self.interrupt()
                        if pressed > 1:
                            until = time.monotonic() + (STOP_SECONDS if pressed == 2 else 0)
                    if time.monotonic() >= until:
                        raise self._interruption("was interrupted and still comes to its end")
                except RunInterrupted:
                    raise
                except KeyboardInterrupt:
                    interrupts.count += 1

    def _resume_command(self) -> str:
        command = resume_command(self.run_dir)
        return command if self._request.use_cache else f"{command}, with use_cache=True"

    def _interruption(self, what: str) -> RunInterrupted:
        command = self._resume_command()
        return RunInterrupted(
            f"the run of the pipeline {self._request.name!r} {what}. To go on: {command}",
            self.run_dir,
            command,
        )

    def _gone_wrong(self, verdict: str) -> RunFailedError:
        """Why too many rows failed, and how to go on: answers of no use are kept, and would count
        again."""
        return RunFailedError(
            f"{verdict} When the reason is mended, `pipeline.retry(output_dir={self.run_dir!r})` "
            f"or `beam-distilabel retry {self.run_dir}` asks again for what failed."
        )

    def _hint(self) -> str:
        return f"What is finished is kept in {self.run_dir}; to go on: {self._resume_command()}"

    # -- ending early ----------------------------------------------------------------------------

    def _wind_down(self) -> None:
        if not self._tell_steps("rows"):
            return
        waits = True
        try:
            waits = finish_rows(self.run_dir, self._job_over)
        except OSError as error:
            logger.warning("The rows in flight can't be waited for: %s", error)
        if waits:
            self._cancel_job()

    def _stop_now(self) -> None:
        logger.warning("Interrupted again: stopping now.")
        self._cancel_job()

    def _cancel_job(self) -> None:
        if not self._tell_steps("now"):
            return
        result = self._result
        if result is not None and not self._runner.local:
            result.cancel()

    def _tell_steps(self, what: Literal["rows", "now"]) -> bool:
        """Let the run's Steps end; whether the run is still there."""
        with self._ending:
            if self._ended.is_set():  # the directory may be another run's by now
                return False
            try:
                stop(self.run_dir, what, everywhere=True)
            except OSError as error:
                logger.warning("Workers in other processes can't be told to stop: %s", error)
            return True

    def _lose(self, reason: str) -> None:
        """Another run has the directory: nothing of it may be touched any more."""
        self._lost = reason
        with self._ending:
            if not self._ended.is_set():
                cancel(self.run_dir)  # in this process only: the files are another run's

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
                    self._report = self._finish(facts)
                    self._drop_replaced()
                except BaseException as error:
                    self._job_over.set()
                    logger.debug("The run failed", exc_info=True)
                    self._note_counts()
                    self._end_early(error)
                else:
                    show_report(self._report, self.run_dir)
                    self._state = "done"
                    if self._wish is not None:
                        self._error = self._interruption("was interrupted when it was complete")
        except BaseException as error:
            self._error = error
            if self._state == "running":
                self._state = "failed"
        finally:
            try:
                self._write_record(request)
            finally:
                with self._ending:
                    discard(self.run_dir)
                    self._lock.release()
                    self._ended.set()

    def _write_record(self, request: RunRequest) -> None:
        if self._lost is not None:
            return
        state = self._record["state"] if request.mode == "finalize" else self._state
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
        if self._lost is not None:
            self._error = RunFailedError(f"{self._lost}; this run has ended.")
            self._state = "failed"
            return
        if self._wish is not None and self._state != "cancelled":
            self._error = self._interrupted(error)
            self._state = "interrupted"
            logger.info("%s", self._error)
            return
        self._error = error
        if self._state == "running":
            self._state = "failed"
        if self._request.mode != "finalize":
            logger.info("%s", self._hint())

    def _interrupted(self, error: BaseException) -> RunInterrupted:
        if not was_cancelled(error):
            reason = reason_of(error, self._request.graph.steps)
            logger.warning("The run ended before it could be interrupted: %s", reason)
        if self._winding_down is not None:
            self._winding_down.join()
        if self._wish == "rows" and self._write_part():
            return self._interruption(
                f"was interrupted; what is finished is in {self.run_dir}/{DISTISET}"
            )
        if self._record.get(_RESULT) == "whole":
            return self._interruption(
                f"was interrupted; what is finished is kept, and {self.run_dir}/{DISTISET} is "
                "still the whole result of an earlier run"
            )
        return self._interruption(f"was interrupted; what is finished is kept in {self.run_dir}")

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
            self._stages = plan_jobs(self._request, self._runner.local)
            self._report = self._finish(self._execute())
            self._record[_RESULT] = "part"
        except BaseException as error:
            logger.debug("What is finished could not be written", exc_info=True)
            if self._wish == "rows":
                reason = reason_of(error, request.graph.steps)
                logger.warning("What is finished could not be written as a Distiset: %s", reason)
            return False
        show_report(self._report, self.run_dir)
        return True

    def _execute(self) -> RunFacts:
        request = self._request
        directory = request.directory
        facts = self._prepare()
        self._prepare_checkpoint()
        context = dataclasses.replace(request.context(), spreads=not self._runner.local)
        jobs = StageJobs(request.graph, self._stages, directory.file(STAGES_FOLDER), context)
        done = threading.Event()
        steps = request.graph.in_order()
        watch = FailureWatch(self.run_dir, steps, request.failure_limit, self._cancel_job)
        shower = threading.Thread(target=self._show, args=(steps, watch, done), daemon=True)
        shower.start()
        try:
            with self._runner.started() as runner:
                limit = runner.worker_start_limit
                if limit is not None:
                    self._worker_watch = WorkerWatch(
                        self.run_dir, limit, self._cancel_job, runner.logs
                    )
                self._run_jobs(jobs, runner, facts, watch)
        except BaseException as error:
            directory.clear(STAGES_FOLDER)
            pushes = [n for n, s in request.graph.steps.items() if isinstance(s, PushToHub)]
            folders = [push_folder(directory.path, name) for name in pushes]
            for path in (directory.file(DISTISET), directory.path, *folders):
                remove_staging(path)
            if watch.verdict is not None and isinstance(error, Exception):
                raise self._gone_wrong(watch.verdict) from error
            workers = self._worker_watch
            if workers is not None and workers.verdict is not None and isinstance(error, Exception):
                raise RunFailedError(workers.verdict) from error
            raise
        finally:
            done.set()
            shower.join()
        return facts

    def _run_jobs(
        self, jobs: StageJobs, runner: RunnerSettings, facts: RunFacts, watch: FailureWatch
    ) -> None:
        for number, stage in enumerate(self._stages):
            if len(self._stages) > 1:
                names = ", ".join(stage)
                logger.info("Job %d of %d: %s", number + 1, len(self._stages), names)
            job = beam.Pipeline(runner=runner.runner(), options=runner.pipeline_options())
            outputs = jobs.apply(job, number)
            if outputs is not None:
                self._write(outputs, facts)
            if self._worker_watch is not None:
                self._worker_watch.apply(job, number)
            self._run_job(job)
            if watch.verdict is not None:
                raise self._gone_wrong(watch.verdict)
            if outputs is None:
                jobs.collect(number)

    def _write(self, outputs: GraphOutputs, facts: RunFacts) -> None:
        """Write the failures and the Distiset, and publish it if that is asked for."""
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
        for name, facts_of in notes.items():
            _ = facts_of | f"Note {name}" >> beam.Map(_note, directory.path, name)

    def _run_job(self, job: beam.Pipeline) -> None:
        """Run one Beam job to its end; afterwards none of its engines is left in this process."""
        run_dir = self._request.directory.path
        try:
            with rare_collections() if self._runner.local else contextlib.nullcontext():
                if self._must_not_begin():  # between two jobs
                    raise RunCancelled("the run was cancelled")
                self._job_over.clear()
                self._result = job.run()
                state = self._result.wait_until_finish()
            if state not in (None, PipelineState.DONE):
                raise RunFailedError(f"the runner ended the job with the state {state}.")
        finally:
            self._result = None
            self._job_over.set()
            # A job that failed has torn nothing down: what it has finished is written, and its
            # engines hold the accelerator.
            close_checkpoints(run_dir)
            engines.release_all(run_dir)
            forget(run_dir)

    def _must_not_begin(self) -> bool:
        part = self._request.mode == "finalize"
        return self._state == "cancelled" or self._wish == "now" or (not part and bool(self._wish))

    def _prepare(self) -> RunFacts:
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
            citations=tuple(self._citations()),
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
        if request.mode != "finalize":
            # At the start: what a run that dies has finished can be finalized by it.
            request.directory.write_text(PIPELINE_FILE, facts.definition_text())
        self._record["sources"] = dict(facts.sources)
        if request.dataset is not None:
            self._record["dataset"] = request.dataset
        request.directory.write_json(RUN_FILE, {**self._record, "pipeline": request.name})
        return facts

    def _prepare_checkpoint(self) -> None:
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

    def _show(self, steps: list[str], watch: FailureWatch, done: threading.Event) -> None:
        with ProgressDisplay(self.run_dir, steps, row_totals(self._request.graph)) as display:
            next_look = 0.0
            while not done.wait(0.2):
                display.update()
                if time.monotonic() >= next_look:
                    next_look = time.monotonic() + LOOK_SECONDS
                    watch.look()
                    if self._worker_watch is not None:
                        self._worker_watch.look()

    def _finish(self, facts: RunFacts) -> dict[str, Any]:
        directory = self._request.directory
        manifest, failed, commit = (
            directory.read_json(_note_file(name)) or {} for name in (DISTISET, FAILURES, COMMIT)
        )
        for name in (*map(_note_file, (DISTISET, FAILURES, COMMIT)), STAGING_FOLDER, STAGES_FOLDER):
            directory.clear(name)
        report = facts.report(manifest, failed)
        if len(self._stages) > 1:
            report["jobs"] = [list(stage) for stage in self._stages]
        if commit:
            report["published"] = commit
            self._record["published"] = commit
        # With the result: a run that fails leaves the earlier run's report beside its rows.
        directory.write_json(REPORT_FILE, report)
        write_card(
            directory.file(DISTISET),
            definition=facts.definition,
            report=report,
            citations=facts.citations,
        )
        verdict = facts.verdict()
        if verdict is not None and not facts.finished_only:
            raise RunFailedError(
                f"{verdict} The rows and their reasons: {directory.file(FAILURES)}."
            )
        return report

    def _citations(self) -> list[str]:
        steps = self._request.graph.steps.values()
        return list(dict.fromkeys(entry for step in steps for entry in citations_of(step)))


def _note(facts: Any, run_dir: str, name: str) -> None:
    """Leave what a write or commit tells of itself for the driver."""
    write_file(f"{run_dir}/{_note_file(name)}", json.dumps(facts))


def _note_file(name: str) -> str:
    return f".{name}.{MANIFEST}"


def empty_subset(columns: Iterable[str]) -> Any:
    """A DatasetDict without rows: a leaf that got none is a subset too."""
    from datasets import Dataset, DatasetDict

    return DatasetDict({SPLIT: Dataset.from_dict({name: [] for name in sorted(columns)})})


__all__ = ["RunHandle", "RunRequest", "start"]
