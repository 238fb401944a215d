"""Jobs that nobody waits for: what the waiting process does in a run, a worker does at their end.

For templates, whose launcher has to end before the job begins, and for launchers that can't stay.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import AsSingleton
from apache_beam.runners.runner import PipelineResult

from beam_distilabel.checkpoint import close_checkpoints, drop_segments
from beam_distilabel.errors import DistilabelUserError, RunFailedError
from beam_distilabel.layout import CHECKPOINT_FOLDER
from beam_distilabel.manifest import Manifest
from beam_distilabel.models.engine import engines
from beam_distilabel.pipeline.preflight import check_job, ready_runner
from beam_distilabel.pipeline.report import RunFacts
from beam_distilabel.pipeline.run import (
    COMMIT,
    DISTISET,
    FAILURES,
    Run,
    clear_notes,
    plan_jobs,
    record_of,
    write_report,
)
from beam_distilabel.pipeline.run_directory import RUN_FILE, STAGES_FOLDER, RunDirectory
from beam_distilabel.pipeline.run_lock import RunLock
from beam_distilabel.pipeline.run_request import RunRequest
from beam_distilabel.pipeline.stage_jobs import StageJobs
from beam_distilabel.progress import discard, forget, settle

logger = logging.getLogger(__name__)


def launch(request: RunRequest) -> PipelineResult:
    """Prepare the run directory, and start the job or have its runner describe it.

    The report and the card are written by a worker when the rows are; `run.json` then has the state
    "done" or "failed" in place of "launched". Nothing keeps two such jobs from using one run
    directory at once, and there is no log in it.

    Returns:
        What Beam's runner gives; it isn't waited for.

    Raises:
        DistilabelUserError: see `start`; or the run needs several jobs.
    """
    runner = ready_runner(request)
    stages = plan_jobs(request, runner.local)
    if len(stages) > 1:
        raise DistilabelUserError(
            f"the pipeline {request.name!r} runs as {len(stages)} jobs, one after the other, and "
            "a job that nobody waits for is one alone: leave out load_groups and memory_budget."
        )
    directory = request.directory
    known = directory.check(request.name, request.is_named)
    directory.make()
    record = {**record_of(request, known), "state": "launched"}
    run = Run(request, runner, record, stages)
    lost = threading.Event()
    lock = RunLock(directory.path, lambda reason: lost.set())
    lock.acquire()
    try:
        directory.claim(request.name, record, request.is_named)
        facts = run.prepare()
        run.prepare_checkpoint()
        context = request.context(has_workers=not runner.local)
        jobs = StageJobs(request.graph, stages, directory.file(STAGES_FOLDER), context)
        with runner.started() as started:
            job = beam.Pipeline(runner=started.runner(), options=started.pipeline_options())
            outputs = jobs.apply(job, 0)
            assert outputs is not None  # the first job of one is the last
            steps = request.graph.steps.items()
            replaced = [name for name, step in steps if not step.use_cache]
            _finish_in_job(run.write(outputs, facts), facts, replaced, request.launched)
            if not (started.local and started.shares_process):
                check_job(job, started.shares_process)
            result = job.run()
    finally:
        # What a runner that works in this process leaves there.
        close_checkpoints(directory.path)
        engines.release_all(directory.path)
        forget(directory.path)
        discard(directory.path)
        lock.release()
    if lost.is_set():
        raise RunFailedError(f"another run took the directory {directory.path!r} meanwhile.")
    logger.info("Launched the pipeline %r; its run directory: %s", request.name, directory.path)
    return result


def _finish_in_job(
    notes: Mapping[str, Any], facts: RunFacts, replaced: Sequence[str], launched: int
) -> None:
    """Have a worker write what tells of the result, when all of it is there."""
    commit = {"commit": AsSingleton(notes[COMMIT])} if COMMIT in notes else {}
    _ = notes[DISTISET] | "Finish" >> beam.Map(
        finish, facts, tuple(replaced), launched, failed=AsSingleton(notes[FAILURES]), **commit
    )


def finish(
    manifest: Manifest,
    facts: RunFacts,
    replaced: Sequence[str],
    launched: int,
    failed: Manifest,
    commit: Mapping[str, Any] | None = None,
) -> None:
    """Write the report, the card, and how the run has ended.

    Args:
        manifest: of the Distiset.
        facts: of the run.
        replaced: Steps whose answers of earlier runs are not to be used again.
        launched: when the run was, in nanoseconds since the epoch.
        failed: of the failures.
        commit: of the Hub, if the result was published.

    Raises:
        RunFailedError: all rows of a Step failed, or too many.
    """
    settle(facts.run_dir)
    write_report(facts, manifest, failed, {"published": commit} if commit else {})
    directory = RunDirectory(facts.run_dir)
    verdict = facts.verdict()
    record = directory.read_json(RUN_FILE) or {}
    state = "done" if verdict is None else "failed"
    directory.write_json(RUN_FILE, {**record, "state": state, "result": "whole"})
    if verdict is not None:
        raise RunFailedError(f"{verdict} The rows and their reasons: {directory.file(FAILURES)}.")
    for name in replaced:
        drop_segments(directory.file(f"{CHECKPOINT_FOLDER}/{name}"), launched)
    clear_notes(directory)
