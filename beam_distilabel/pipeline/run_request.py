"""What a run is asked to do."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from logging import Handler
from typing import Any, Literal

from beam_distilabel.checkpoint import CheckpointSettings
from beam_distilabel.context import RunContext
from beam_distilabel.hub import HubTarget
from beam_distilabel.pipeline.failure_watch import FailureLimit
from beam_distilabel.pipeline.graph import Graph
from beam_distilabel.pipeline.run_directory import RunDirectory
from beam_distilabel.pipeline.stages import Stage

SEED = 0
"""The run seed; the same rows and engines give the same prompts, keys and sampling seeds."""


@dataclasses.dataclass
class RunRequest:
    """One run.

    Attributes:
        name: the pipeline's name.
        is_named: whether the pipeline was given its name; else it is made of its Steps' names.
        graph: this run's own copies of the Steps, with its parameters set.
        directory: the run directory.
        definition: the pipeline's dump, with the run's parameters.
        runner: see `choose_runner`.
        options: see `choose_runner`.
        logging_handlers: where messages go; None for the console.
        hub: where the result is published, by a worker at the end of the run.
        dry_run: whether nothing leaves the run directory.
        load_groups: Steps by name that are loaded together, and apart from others.
        memory_budget: see `Pipeline.run`.
        use_cache: whether what earlier runs have finished is used.
        checkpoint: how what is finished is kept.
        response_cache_dir: see `Pipeline`.
        mode: "run", "retry" asks rows again whose answers couldn't be used, "finalize" asks
            nothing and makes a Distiset of what is finished.
        failure_limit: how many rows may fail before the run is stopped; None where it doesn't
            matter, also if all do.
        launched: when, in nanoseconds since the epoch.
        dataset: the path of the data that the run was given, if it was given one.
        shows_report: whether the console is told what the run has made, at its end.
    """

    name: str
    graph: Graph
    directory: RunDirectory
    definition: dict[str, Any]
    runner: Any = None
    options: Any = None
    logging_handlers: list[Handler] | None = None
    hub: HubTarget | None = None
    dry_run: bool = False
    load_groups: Sequence[Stage] = ()
    memory_budget: int | None = None
    use_cache: bool = True
    checkpoint: CheckpointSettings = dataclasses.field(default_factory=CheckpointSettings)
    response_cache_dir: str | None = None
    mode: Literal["run", "retry", "finalize"] = "run"
    failure_limit: FailureLimit | None = dataclasses.field(default_factory=FailureLimit)
    dataset: str | None = None
    shows_report: bool = True
    is_named: bool = True
    launched: int = dataclasses.field(default_factory=time.time_ns)

    def context(self, has_workers: bool) -> RunContext:
        """The run, as its workers see it.

        Args:
            has_workers: whether there may be several, among which rows are spread.
        """
        return RunContext(
            run_dir=self.directory.path,
            seed=SEED,
            dry_run=self.dry_run,
            checkpoint=self.checkpoint,
            response_cache_dir=self.response_cache_dir,
            finished_only=self.mode == "finalize",
            retries_failures=self.mode == "retry",
            launched=self.launched,
            spreads=has_workers,
        )
