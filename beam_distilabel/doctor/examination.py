"""What is examined, and by which checks."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from functools import partial
from typing import Any

from beam_distilabel.doctor.check import QUICK_SECONDS, Check, Finding
from beam_distilabel.doctor.engines import look_at_vllm
from beam_distilabel.doctor.gpus import (
    BrokenDriver,
    look_at_cuda,
    look_at_gpu_memory,
    look_at_gpus,
    look_at_visible_gpus,
    seen_gpus,
)
from beam_distilabel.doctor.host import (
    look_at_clock,
    look_at_memory,
    look_at_ports,
    look_at_run_directory,
    look_at_shared_memory,
    look_at_temporary_folder,
)
from beam_distilabel.doctor.hub import hub_endpoint, look_at_rights, look_at_token
from beam_distilabel.doctor.job import look_at_job
from beam_distilabel.doctor.programs import look_at_flink_jars, look_at_java, look_at_prism
from beam_distilabel.doctor.versions import look_at_packages, look_at_python
from beam_distilabel.models.base import LLM
from beam_distilabel.models.vllm import vLLM
from beam_distilabel.pipeline.run_directory import default_cache_dir
from beam_distilabel.runners import RunnerSettings, choose_runner
from beam_distilabel.runners.beam import BeamSettings
from beam_distilabel.runners.flink import FlinkSettings
from beam_distilabel.runners.prism import PrismSettings

IMPORT_SECONDS = 300.0
"""In which torch or vLLM has to be imported; from a cold disk that takes a minute."""

CLOCK_SECONDS = 10.0
MARGIN_SECONDS = 60.0
"""What a job may take to end after it was cancelled."""


@dataclasses.dataclass(frozen=True)
class Examination:
    """What is examined.

    Attributes:
        runner: see `Pipeline.run`.
        options: see `Pipeline.run`.
        llm: the model of the job; None for one that answers at once.
        output_dir: the folder for run directories; the default one if None.
        repo_id: the dataset that is to be published; None for any.
        job: whether three rows are run.
        job_seconds: in which they have to come through.
    """

    runner: str | RunnerSettings | None = None
    options: Any = None
    llm: LLM | None = None
    output_dir: str | None = None
    repo_id: str | None = None
    job: bool = True
    job_seconds: float = 900.0

    @property
    def folder(self) -> str:
        return self.output_dir or str(default_cache_dir())


def all_checks(examination: Examination) -> Iterator[Check]:
    """The checks, in the order in which what fails explains what fails after it."""
    runner = _runner(examination)
    known = None if isinstance(runner, Finding) else runner
    yield Check("runner", partial(_look_at_runner, runner))
    yield Check("Python", look_at_python)
    yield Check("packages", look_at_packages)
    yield Check("memory", look_at_memory)
    yield Check("shared memory", lambda: look_at_shared_memory(_count_gpus()))
    yield Check("run directory", partial(look_at_run_directory, examination.folder))
    yield Check("temporary folder", look_at_temporary_folder)
    yield Check("ports", look_at_ports)
    yield Check("GPUs", look_at_gpus)
    yield Check("visible GPUs", look_at_visible_gpus)
    yield Check("GPU memory", look_at_gpu_memory)
    yield Check("CUDA", partial(look_at_cuda, IMPORT_SECONDS), 2 * IMPORT_SECONDS)
    wanted = isinstance(examination.llm, vLLM) and examination.llm.place != "url"
    yield Check("vLLM", partial(look_at_vllm, IMPORT_SECONDS, wanted), 2 * IMPORT_SECONDS)
    flink = isinstance(known, FlinkSettings) and known.job_endpoint is None
    yield Check("Java", partial(look_at_java, flink))
    yield Check("Flink's jars", partial(look_at_flink_jars, flink))
    prism = known if isinstance(known, PrismSettings) else None
    yield Check("Prism", partial(look_at_prism, prism))
    yield Check("clock", _look_at_clock, QUICK_SECONDS)
    yield Check("Hub", look_at_token)
    yield Check("Hub rights", partial(look_at_rights, repo_id=examination.repo_id))
    if examination.job and known is not None:
        seconds = examination.job_seconds
        job = partial(
            look_at_job,
            known,
            None,
            examination.llm,
            examination.folder,
            seconds,
        )
        yield Check("a job of 3 rows", job, seconds + MARGIN_SECONDS)


def _runner(examination: Examination) -> RunnerSettings | Finding:
    try:
        return choose_runner(examination.runner, examination.options)
    except ValueError as error:
        return Finding(
            "failed", str(error), "The runners and their settings: `beam-distilabel runners`."
        )


def _look_at_runner(runner: RunnerSettings | Finding) -> Finding:
    if isinstance(runner, Finding):
        return runner
    try:
        runner.check()
    except RuntimeError as error:
        found, _, remedy = str(error).partition(". ")
        return Finding("failed", found, remedy)
    if isinstance(runner, BeamSettings):
        return Finding("ok", f"Beam's {type(runner.beam_runner).__name__}")
    given = runner.model_dump(exclude_defaults=True)
    said = ", ".join(f"{name}={value}" for name, value in given.items())
    return Finding("ok", f"{type(runner).__name__}({said})")


def _count_gpus() -> int:
    try:
        return len(seen_gpus() or ())
    except BrokenDriver:
        return 0


def _look_at_clock() -> Finding:
    endpoint = hub_endpoint()
    if endpoint is None:
        return Finding("skipped", "HF_HUB_OFFLINE is set: there is nobody to compare it with")
    return look_at_clock(endpoint, CLOCK_SECONDS)


__all__ = ["Examination", "all_checks"]
