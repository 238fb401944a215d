"""Pipeline: the recipe that users write, run, save, and apply in their own Beam pipelines."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import os
import re
import types
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from logging import Handler
from pathlib import Path
from typing import Any, Literal

import apache_beam as beam
import pyarrow as pa
from apache_beam.pvalue import PBegin
from apache_beam.runners.runner import PipelineResult
from rich.console import Console

from beam_distilabel.checkpoint import CheckpointSettings, as_settings
from beam_distilabel.context import RunContext
from beam_distilabel.distiset import Distiset
from beam_distilabel.errors import DistilabelUserError, PipelineValidationError
from beam_distilabel.hub import HubTarget, as_target
from beam_distilabel.keeping import kept_in
from beam_distilabel.pipeline import serialization
from beam_distilabel.pipeline.application import GraphOutputs, apply_graph
from beam_distilabel.pipeline.columns import number_by_prompts
from beam_distilabel.pipeline.drawing import draw, svg_of
from beam_distilabel.pipeline.failure_watch import MIN_FAILURE_SAMPLE, FailureLimit
from beam_distilabel.pipeline.graph import Graph
from beam_distilabel.pipeline.launch import launch
from beam_distilabel.pipeline.preview import (
    Preview,
    of_dry_run,
    preview,
    print_estimates,
    take_first_rows,
)
from beam_distilabel.pipeline.routing import Router, StepList, sample_n_steps
from beam_distilabel.pipeline.run import FAILURES, RunHandle, RunRequest, start
from beam_distilabel.pipeline.run_directory import (
    RUN_FILE,
    RunDirectory,
    default_cache_dir,
    may_go_on,
)
from beam_distilabel.pipeline.stages import LoadStages, checked_groups, load_stages
from beam_distilabel.pipeline.validation import (
    check_storage_parameters,
    set_parameters,
    validate,
)
from beam_distilabel.problems import closest
from beam_distilabel.requirements import checked, missing
from beam_distilabel.row import Row
from beam_distilabel.step import DEFAULT_BATCH_SIZE, RowStep, _Step, open_pipelines
from beam_distilabel.transforms.sources.load_data_from_dataset import dataset_loader
from beam_distilabel.transforms.sources.load_data_from_dicts import LoadDataFromDicts

DATASET_STEP = "load_dataset_of_run"
"""The name of the loader that `run(dataset=...)` puts before the roots."""

INPUT_STEP = "rows_received"
"""The name of the Step before several roots where rows are given: `rows | pipeline`."""


Parameters = Mapping[str, Any] | str | os.PathLike[str]
"""Step name to runtime parameters, or the path of a file with them."""


class Pipeline(beam.PTransform):
    """A graph of Steps.

    Steps created in its `with` block belong to it; `>>` connects them. `run()` executes it and
    returns a Distiset. As a PTransform it takes rows and gives `{"subset": PCollection}`.

    Args:
        name: default is "pipeline_" and the names of its Steps.
        description: for people.
        cache_dir: the folder of run directories; default is `DISTILABEL_CACHE_DIR`, else
            `~/.cache/beam_distilabel`.
        enable_metadata: accepted as in distilabel; `distilabel_metadata` is always kept.
        requirements: packages that the pipeline needs, as in a requirements file.
        response_cache_dir: a folder, on any filesystem, where models' answers are shared by their
            content: with other pipelines, and with other people who can write there.

    Example:
        >>> from beam_distilabel.steps import KeepColumns, LoadDataFromDicts
        >>> with Pipeline(name="doc-example") as pipeline:
        ...     load = LoadDataFromDicts(data=[{"a": 1, "b": 2}])
        ...     keep = KeepColumns(columns=["a"])
        ...     _ = load >> keep
        >>> import tempfile
        >>> distiset = pipeline.run(output_dir=tempfile.mkdtemp(), logging_handlers=[])
        >>> distiset["default"]["train"].to_list()
        [{'a': 1}]
    """

    def __init__(
        self,
        name: str | None = None,
        description: str | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        enable_metadata: bool = False,
        requirements: Sequence[str] | None = None,
        response_cache_dir: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__()
        if name is not None and not isinstance(name, str):
            raise DistilabelUserError(f"Pipeline: name={name!r} has to be a text.")
        if name is not None and not _is_folder_name(name):
            raise DistilabelUserError(
                f"Pipeline: name={name[:80]!r} can't be a folder's name; use no '/' and no leading "
                "'.', and no control characters."
            )
        self._name = name
        self.description = description
        self._cache_dir = Path(cache_dir) if cache_dir is not None else None
        self._enable_metadata = enable_metadata
        self._requirements = checked(requirements or (), f"Pipeline {name!r}")
        self._response_cache_dir = (
            None if response_cache_dir is None else RunDirectory(response_cache_dir).path
        )
        self._graph = Graph()
        self._times_applied = 0
        self._context = RunContext()

    # -- what it needs ---------------------------------------------------------------------------

    @property
    def requirements(self) -> list[str]:
        """The packages that the pipeline and its Steps need, in alphabetical order."""
        of_steps = (text for step in self.steps for text in step.requirements)
        return sorted({*self._requirements, *of_steps})

    @requirements.setter
    def requirements(self, requirements: Sequence[str]) -> None:
        """Those of the pipeline itself.

        Raises:
            DistilabelUserError: one of them is no requirement.
        """
        self._requirements = checked(requirements, f"Pipeline {self.name!r}")

    def requirements_to_install(self) -> list[str]:
        """Those of them that aren't installed in the version asked for."""
        return missing(self.requirements)

    # -- building --------------------------------------------------------------------------------

    def __enter__(self) -> Pipeline:
        # The token is not kept: it can't be pickled, and a script's Pipeline may have to be.
        open_pipelines.set((*open_pipelines.get(), self))
        return self

    def __exit__(self, *error: object) -> None:
        open_pipelines.set(open_pipelines.get()[:-1])

    @property
    def name(self) -> str:
        """The pipeline's name."""
        return self._name or "_".join(["pipeline", *self._graph.steps])

    def default_label(self) -> str:
        """The pipeline's name; numbered where it is applied again, as a Step is."""
        return f"{self.name}_{self._times_applied}" if self._times_applied else self.name

    @property
    def step_names(self) -> list[str]:
        """The names of the Steps, in the order of their creation."""
        return list(self._graph.steps)

    @property
    def steps(self) -> list[_Step]:
        """The Steps, in the order of their creation."""
        return list(self._graph.steps.values())

    @property
    def graph(self) -> Graph:
        """The Steps and their connections."""
        return self._graph

    def add_step(self, step: _Step) -> None:
        """Add a Step; Steps created in the `with` block add themselves.

        Raises:
            PipelineValidationError: its name is taken.
        """
        self._graph.add(step)

    def connect(self, source: _Step, targets: list[_Step], router: Any = None) -> None:
        """Connect `source` to each of `targets`, by a router if one is given.

        Raises:
            DistilabelUserError: a Step is none of this pipeline, or there is none.
            PipelineValidationError: an edge exists, would close a cycle, or the router doesn't fit.
        """
        if router is not None and not isinstance(router, Router):
            raise DistilabelUserError(
                f"Step {source.name!r}: {_shown(router)} is no routing function; "
                f"{_uncalled(router) or 'decorate it with @routing_batch_function.'}"
            )
        if router is not None and not targets:
            targets = self._named_by(router)
        if not targets:
            raise DistilabelUserError(
                f"Step {source.name!r} was connected to nothing; name the Steps: "
                "`a.connect(b, c, routing_batch_function=router)`."
            )
        for step in (source, *targets):
            self._check_own(step)
        self._graph.connect_all([source.unique_name], [t.unique_name for t in targets], router)

    def connect_right(self, source: _Step, other: Any) -> Any:
        """`source >> other`; returns `other`, or the Steps that a `Route` names."""
        if isinstance(other, Router):
            targets = self._named_by(other)
            if targets:
                self.connect(source, targets, other)
                return StepList(targets)
            self._check_own(source)
            other.follow(source)
            self._graph.unfinished[source.unique_name] = other
        elif isinstance(other, _Step):
            self.connect(source, [other])
        elif isinstance(other, list) and other:
            self.connect(source, other)
            return StepList(other)
        else:
            raise DistilabelUserError(
                f"Step {source.name!r} can't be connected to {_shown(other)}; "
                + (
                    _uncalled(other)
                    or "`>>` takes a Step, a list of Steps, a routing function, or a Route."
                )
            )
        return other

    def connect_left(self, sources: Any, target: _Step) -> _Step:
        """`[a, b] >> target`; returns `target`."""
        if not isinstance(sources, list) or not sources:
            raise DistilabelUserError(
                f"{_shown(sources)} can't be connected to Step {target.name!r}; `>>` takes a Step "
                "or a list of Steps."
            )
        for step in (*sources, target):
            self._check_own(step)
        self._graph.connect_all([s.unique_name for s in sources], [target.unique_name])
        return target

    def _named_by(self, router: Router) -> list[_Step]:
        """The Steps that a router names itself."""
        return [self._graph.get(step) if isinstance(step, str) else step for step in router.targets]

    def _check_own(self, step: Any) -> None:
        if isinstance(step, (list, tuple)):
            raise DistilabelUserError(
                f"{_shown(step)} is no Step, and lists of Steps can't be nested; make one list of "
                "all: `a >> [b, c, d]`, or `a.connect(b, c, d)`."
            )
        if not isinstance(step, _Step) or self._graph.steps.get(step.unique_name) is not step:
            raise DistilabelUserError(
                f"{_shown(step)} is no Step of the pipeline {self.name!r}; create it in the same "
                "`with` block."
            )

    # -- running ---------------------------------------------------------------------------------

    def run(
        self,
        parameters: Parameters | None = None,
        load_groups: Any = None,
        use_cache: bool = True,
        storage_parameters: Mapping[str, Any] | None = None,
        use_fs_to_pass_data: bool = False,
        dataset: Any = None,
        dataset_batch_size: int = 50,
        logging_handlers: list[Handler] | None = None,
        *,
        runner: Any = None,
        options: Any = None,
        output_dir: str | os.PathLike[str] | None = None,
        push_to_hub: str | HubTarget | Mapping[str, Any] | None = None,
        memory_budget: int | None = None,
        checkpoint: CheckpointSettings | Mapping[str, Any] | None = None,
        max_failure_ratio: float | None = None,
        min_failure_sample: int = MIN_FAILURE_SAMPLE,
    ) -> Distiset:
        """Run the pipeline to its end.

        Args:
            parameters: Step name to runtime parameters, nested as the Steps are; or the path of a
                YAML or JSON file with them.
            load_groups: lists of Steps, or of their names, that are loaded together and apart from
                all others, or "sequential_step_execution" for each Step alone: every group runs in
                a Beam job of its own.
            use_cache: whether finished answers of an earlier run may be used again. If not, those
                in the run directory are removed at launch.
            storage_parameters: of distilabel; accepted and ignored: the runner passes the data.
            use_fs_to_pass_data: likewise.
            dataset: rows for a pipeline without a loader: a list of dicts, a `datasets.Dataset`, a
                pandas DataFrame, or the path of a folder of data files. For any pipeline the path
                of the `failures` folder in a run directory of its own: `retry` that run.
            dataset_batch_size: the batch size of the loader made of `dataset`.
            logging_handlers: where the run's messages go instead of the console.
            runner: None or "direct" for this process, "flink" and the others of
                `beam_distilabel.runners.RUNNERS`, or their settings; a Beam runner, or its name.
            options: of the runner: its settings as a dict, flags of Beam's (in a dict: `flags`), or
                Beam's PipelineOptions.
            output_dir: the run directory; default is `<cache_dir>/<name>`.
            push_to_hub: publish the result at the end of the run, in one commit: a repository's
                name, or a `HubTarget` or its arguments as a dict. Workers send their own shards;
                `Distiset.push_to_hub` does it from this process instead.
            memory_budget: the bytes of a worker's memory that models loaded at once may take
                together. Where they would take more, the pipeline runs as several Beam jobs, one
                after the other. Default is this host's available memory for the local runner, and
                no limit for others. Of GPUs, each has all of its memory to give.
            checkpoint: how many finished answers may be unwritten, so lost by a kill:
                `CheckpointSettings`, or a dict such as {"rows": 16, "seconds": 1.0}.
            max_failure_ratio: the share of a Step's rows that may fail, above 0 and up to 1. Where
                more do, the run is stopped; what is finished is kept. None (the default) allows
                any but all.
            min_failure_sample: how many rows a Step has to have done before that counts.

        Returns:
            The Distiset, which reads the run directory when it is asked.

        Raises:
            PipelineValidationError: the pipeline can't run as it is, or a model doesn't fit.
            RunFailedError: the run failed; the cause is chained. Also where all rows of a Step
                failed, or too many.
            RunInterrupted: Ctrl-C was pressed.
        """
        handle = self.submit(
            parameters,
            load_groups,
            use_cache,
            storage_parameters,
            use_fs_to_pass_data,
            dataset,
            dataset_batch_size,
            logging_handlers,
            runner=runner,
            options=options,
            output_dir=output_dir,
            push_to_hub=push_to_hub,
            memory_budget=memory_budget,
            checkpoint=checkpoint,
            max_failure_ratio=max_failure_ratio,
            min_failure_sample=min_failure_sample,
        )
        return handle.distiset()

    def submit(
        self,
        parameters: Parameters | None = None,
        load_groups: Any = None,
        use_cache: bool = True,
        storage_parameters: Mapping[str, Any] | None = None,
        use_fs_to_pass_data: bool = False,
        dataset: Any = None,
        dataset_batch_size: int = 50,
        logging_handlers: list[Handler] | None = None,
        *,
        runner: Any = None,
        options: Any = None,
        output_dir: str | os.PathLike[str] | None = None,
        push_to_hub: str | HubTarget | Mapping[str, Any] | None = None,
        memory_budget: int | None = None,
        checkpoint: CheckpointSettings | Mapping[str, Any] | None = None,
        max_failure_ratio: float | None = None,
        min_failure_sample: int = MIN_FAILURE_SAMPLE,
    ) -> RunHandle:
        """Start the run and return a handle; see `run` for the arguments."""
        check_storage_parameters(storage_parameters)
        if storage_parameters or use_fs_to_pass_data:
            warnings.warn(
                "storage_parameters and use_fs_to_pass_data have no effect: the Beam runner passes "
                "the data between Steps.",
                stacklevel=3,
            )
        limit = FailureLimit(max_failure_ratio, min_failure_sample)
        mode: Literal["run", "retry"] = "run"
        retried = self._run_of_failures(dataset, output_dir)
        if retried is not None:
            mode, output_dir, dataset = "retry", retried.path, None
        handle: RunHandle = self._submit(
            mode,
            parameters,
            dataset,
            output_dir,
            dataset_batch_size=dataset_batch_size,
            load_groups=load_groups,
            logging_handlers=logging_handlers,
            runner=runner,
            options=options,
            push_to_hub=push_to_hub,
            memory_budget=memory_budget,
            use_cache=use_cache,
            checkpoint=as_settings(checkpoint),
            failure_limit=limit,
        )
        return handle

    def launch(
        self,
        parameters: Parameters | None = None,
        dataset: str | os.PathLike[str] | None = None,
        *,
        output_dir: str | os.PathLike[str],
        runner: Any,
        options: Any = None,
        push_to_hub: str | HubTarget | Mapping[str, Any] | None = None,
        use_cache: bool = True,
        checkpoint: CheckpointSettings | Mapping[str, Any] | None = None,
        max_failure_ratio: float | None = None,
        min_failure_sample: int = MIN_FAILURE_SAMPLE,
    ) -> PipelineResult:
        """Start a job that needs nobody to wait for it, or have the runner describe it.

        A worker writes the report and the card at the end, so this process may end at once. That is
        what a template of Dataflow needs: `options` with a `template_location`. Too many failures
        are found at the end only, not while the job runs.

        Args:
            parameters: see `run`, as all others.
            dataset: the path of a folder of data files, for a pipeline without a loader.
            output_dir: the run directory, which the workers reach.

        Returns:
            What Beam's runner gives.

        Raises:
            PipelineValidationError: the pipeline can't run as it is.
            DistilabelUserError: the run directory is another run's, or one job isn't enough.
        """
        result: PipelineResult = self._submit(
            "run",
            parameters,
            dataset,
            output_dir,
            begin=launch,
            dataset_batch_size=50,
            runner=runner,
            options=options,
            push_to_hub=push_to_hub,
            use_cache=use_cache,
            checkpoint=as_settings(checkpoint),
            failure_limit=FailureLimit(max_failure_ratio, min_failure_sample),
        )
        return result

    def retry(
        self,
        output_dir: str | os.PathLike[str] | None = None,
        dataset: Any = None,
        *,
        parameters: Parameters | None = None,
        dataset_batch_size: int = 50,
        logging_handlers: list[Handler] | None = None,
        runner: Any = None,
        options: Any = None,
        push_to_hub: str | HubTarget | Mapping[str, Any] | None = None,
        memory_budget: int | None = None,
        checkpoint: CheckpointSettings | Mapping[str, Any] | None = None,
        max_failure_ratio: float | None = None,
        min_failure_sample: int = MIN_FAILURE_SAMPLE,
    ) -> Distiset:
        """Run again what failed in an earlier run, and put what comes of it in its place.

        All rows pass through the pipeline again, but models are asked only for the rows whose
        answers were of no use, up to `1 + max_retries` times more with other seeds, and for what
        depends on these; everything else is taken from the run's checkpoint. So the pipeline may
        have been mended in between: a parser, a limit, a Step's code.

        Args:
            output_dir: the run directory; default is that of `run`.
            dataset: the rows that the run was given, where it was given them in memory; a path is
                known.
            parameters: see `run`, as all others.

        Returns:
            The Distiset of all rows.

        Raises:
            DistilabelUserError: there is no run of this pipeline, or its rows have to be given.
            RunFailedError: see `run`.

        Example:
            >>> import tempfile
            >>> from beam_distilabel.steps import LoadDataFromDicts, StepInput, step
            >>> @step(inputs=["n"], outputs=["half"])
            ... def Halve(inputs: StepInput):
            ...     yield [{**row, "half": row["n"] // 2} for row in inputs]
            >>> def halves(*numbers):
            ...     with Pipeline(name="doc-retry") as pipeline:
            ...         _ = LoadDataFromDicts(data=[{"n": n} for n in numbers]) >> Halve()
            ...     return pipeline
            >>> folder = tempfile.mkdtemp()
            >>> distiset = halves(4, None).run(output_dir=folder, logging_handlers=[])
            >>> list(distiset["default"]["train"]["half"])
            [2, None]
            >>> distiset = halves(4, 6).retry(folder, logging_handlers=[])
            >>> list(distiset["default"]["train"]["half"])
            [2, 3]
        """
        handle: RunHandle = self._submit(
            "retry",
            parameters,
            dataset,
            output_dir,
            dataset_batch_size=dataset_batch_size,
            logging_handlers=logging_handlers,
            runner=runner,
            options=options,
            push_to_hub=push_to_hub,
            memory_budget=memory_budget,
            checkpoint=as_settings(checkpoint),
            failure_limit=FailureLimit(max_failure_ratio, min_failure_sample),
        )
        return handle.distiset()

    def _submit(
        self,
        mode: Literal["run", "retry", "finalize"],
        parameters: Parameters | None,
        dataset: Any,
        output_dir: str | os.PathLike[str] | None,
        *,
        dataset_batch_size: int,
        load_groups: Any = None,
        push_to_hub: str | HubTarget | Mapping[str, Any] | None = None,
        begin: Callable[[RunRequest], Any] = start,
        **fields: Any,
    ) -> Any:
        """Start a run; `fields` are those of the RunRequest. Returns what `begin` does."""
        if mode != "finalize":
            self._check_requirements()
        directory = self._run_directory(output_dir)
        graph = self._graph_of_run(parameters)
        if mode != "run" and dataset is None:
            dataset = self._dataset_of_run(graph, directory, mode)
        definition = serialization.dump_pipeline(self, graph)
        if dataset is not None:
            _add_loader(graph, dataset, dataset_batch_size)
        _check_data(graph)
        groups = checked_groups(graph, load_groups)
        validate(graph, has_input=False)
        return begin(
            RunRequest(
                name=self.name,
                is_named=self._name is not None,
                graph=graph,
                directory=directory,
                definition=definition,
                load_groups=groups,
                hub=None if push_to_hub is None else as_target(push_to_hub, "push_to_hub"),
                response_cache_dir=self._response_cache_dir,
                mode=mode,
                dataset=os.fspath(dataset) if isinstance(dataset, (str, os.PathLike)) else None,
                **fields,
            )
        )

    def finalize(
        self,
        output_dir: str | os.PathLike[str] | None = None,
        dataset: Any = None,
        parameters: Parameters | None = None,
        *,
        dataset_batch_size: int = 50,
        logging_handlers: list[Handler] | None = None,
        runner: Any = None,
        options: Any = None,
    ) -> Distiset:
        """The Distiset of what a run has finished so far; no model is asked or loaded.

        For a run that was interrupted or has died. It can be resumed afterwards, and finalized
        again. Rows that a Task has no answer for are left out; Steps that ask a model in a
        `process` of their own leave out all of theirs. Steps without a model run as ever, on the
        rows that are finished. Nothing is published.

        Args:
            output_dir: the run directory; default is `<cache_dir>/<name>`.
            dataset: the rows that the run was given, where it was given them in memory; a path is
                known.
            parameters: as they were given to `run`: they decide which answers are looked up.
            dataset_batch_size: as in `run`.
            logging_handlers: as in `run`.
            runner: as in `run`.
            options: as in `run`.

        Returns:
            The Distiset; the report and the card say which part it is.

        Raises:
            DistilabelUserError: there is no run of this pipeline, or it is under way.
        """
        handle: RunHandle = self._submit(
            "finalize",
            parameters,
            dataset,
            output_dir,
            dataset_batch_size=dataset_batch_size,
            logging_handlers=logging_handlers,
            runner=runner,
            options=options,
            dry_run=True,
        )
        return handle.distiset()

    def _run_of_failures(
        self, dataset: Any, output_dir: str | os.PathLike[str] | None
    ) -> RunDirectory | None:
        """The run directory whose failures `dataset` names, if it is one of this pipeline."""
        if not isinstance(dataset, (str, os.PathLike)):
            return None
        parent, _, name = RunDirectory(dataset).path.rpartition("/")
        if name != FAILURES or not parent:
            return None
        directory = RunDirectory(parent)
        record = directory.read_json(RUN_FILE) or {}
        if "pipeline" not in record or not may_go_on(record, self.name, self._name is not None):
            return None
        if output_dir is not None and RunDirectory(output_dir).path != directory.path:
            raise DistilabelUserError(
                f"dataset={os.fspath(dataset)!r} are the failures of a run of this pipeline, which "
                f"are put in place of its null rows there: leave out output_dir={output_dir!r}."
            )
        return directory

    def _dataset_of_run(self, graph: Graph, directory: RunDirectory, mode: str) -> str | None:
        """The path of the data that a run in `directory` was given; None where it needs none.

        Raises:
            DistilabelUserError: there is no run, or its data was in memory.
        """
        record = directory.read_json(RUN_FILE)
        if record is None:
            raise DistilabelUserError(
                f"{directory.path!r} holds no run of the pipeline {self.name!r}, so there is "
                f"nothing to {mode}; name the output_dir of a run."
            )
        empty = without_data(graph)
        if not empty and any(graph.steps[name].is_generator for name in graph.roots):
            return None
        known: str | None = record.get("dataset")
        if known is None:
            raise DistilabelUserError(
                f"the run in {directory.path!r} was given its rows in memory; give them again: "
                f"`pipeline.{mode}(output_dir={directory.path!r}, dataset=...)`."
            )
        return known

    def validate(
        self,
        parameters: Parameters | None = None,
        dataset: Any = None,
        load_groups: Any = None,
    ) -> None:
        """Make sure that `run` with these arguments could begin; nothing is started or loaded.

        Args:
            parameters: see `run`.
            dataset: see `run`.
            load_groups: see `run`.

        Raises:
            PipelineValidationError: the pipeline can't run as it is; has the Step and the remedy.
            ModuleNotFoundError: a package of its `requirements` isn't installed.

        Example:
            >>> from beam_distilabel.steps import KeepColumns
            >>> with Pipeline(name="doc-validate") as pipeline:
            ...     _ = KeepColumns(name="keep", columns=["a"])
            >>> pipeline.validate(dataset=[{"a": 1}])
            >>> pipeline.validate()
            Traceback (most recent call last):
            beam_distilabel.errors.PipelineValidationError: Step 'keep' (KeepColumns) cannot be ...
        """
        self._check_requirements()
        graph = self._graph_of_run(parameters)
        if dataset is not None:
            _add_loader(graph, dataset, batch_size=1)
        _check_data(graph)
        checked_groups(graph, load_groups)
        validate(graph, has_input=False)

    def dry_run(
        self,
        parameters: Parameters | None = None,
        batch_size: int = 1,
        dataset: Any = None,
    ) -> Distiset:
        """Run on the first `batch_size` rows of each loader, in a run directory of its own.

        Nothing is published. What all rows would take is printed, as far as these tell; `preview`
        shows more.

        Raises:
            PipelineValidationError: the pipeline can't run as it is.
        """
        graph, definition = self._graph_of_dry_run(parameters, dataset, batch_size)
        taken = take_first_rows(graph, batch_size)
        name = f"{self.name}.dry_run"
        handle = start(
            RunRequest(
                name=name,
                graph=graph,
                directory=RunDirectory(self._default_cache() / name),
                definition=definition,
                dry_run=True,
            )
        )
        distiset = handle.distiset()
        told = of_dry_run(graph, self.name, taken, handle.report["steps"])
        print_estimates(told, Console(stderr=True))
        return distiset

    def preview(
        self,
        rows: int = 5,
        parameters: Parameters | None = None,
        dataset: Any = None,
        prices: Mapping[str, Any] | None = None,
    ) -> Preview:
        """Run the first rows of each loader, and judge by them what the whole run takes.

        Models are really asked. Nothing is published, and nothing is kept. Rows that fail, were it
        all of them, are part of what is shown; what else goes wrong is an error whose message names
        a temporary folder with the log.

        Args:
            rows: how many of each loader.
            parameters: as in `run`.
            dataset: as in `run`.
            prices: name of a model, of its class or of a Step to its price: (input, output) per
                million tokens, or a dict, {"gpu_hour": 2.5, "gpus": 1} for GPUs of one's own; in
                any one currency.

        Returns:
            Prompts and answers, rows, failures, and estimates with ranges; `print()` shows them.

        Raises:
            PipelineValidationError: the pipeline can't run as it is.
            DistilabelUserError: a price is none, or of a model that isn't there.
            RunFailedError: an engine can't start, say.

        Example:
            >>> from beam_distilabel.steps import KeepColumns, LoadDataFromDicts
            >>> with Pipeline(name="doc-preview") as pipeline:
            ...     _ = LoadDataFromDicts(data=[{"a": i} for i in range(100)]) >> KeepColumns(
            ...         name="keep", columns=["a"]
            ...     )
            >>> preview = pipeline.preview(rows=2)
            >>> preview.subsets["default"], preview.steps[1].whole["rows"].value
            ([{'a': 0}, {'a': 1}], 100.0)
        """
        graph, definition = self._graph_of_dry_run(parameters, dataset, rows)
        return preview(graph, self.name, definition, rows, prices)

    def _graph_of_dry_run(
        self, parameters: Parameters | None, dataset: Any, rows: int
    ) -> tuple[Graph, dict[str, Any]]:
        """The validated graph of a run on some rows, and what its pipeline.yaml says."""
        if isinstance(rows, bool) or not isinstance(rows, int) or rows < 1:
            raise DistilabelUserError(
                f"Pipeline {self.name!r}: {rows!r} rows can't be tried; give an integer of 1 or "
                "more."
            )
        self._check_requirements()
        graph = self._graph_of_run(parameters)
        definition = serialization.dump_pipeline(self, graph)
        if dataset is not None:
            _add_loader(graph, dataset, rows)
        _check_data(graph)
        validate(graph, has_input=False)
        return graph, definition

    def ray(self, *args: Any, **kwargs: Any) -> None:
        """distilabel's Ray runner.

        Raises:
            DistilabelUserError: always; Beam's runners take its place.
        """
        raise DistilabelUserError(
            "there is no Ray runner here: to run on many machines use Flink or Dataflow, "
            '`pipeline.run(runner="FlinkRunner", options={...})`.'
        )

    def get_load_stages(self, load_groups: Any = None) -> LoadStages:
        """The stages in which the Steps are loaded, as distilabel does: (stages, last Steps).

        Global Steps and `load_groups` are stages of their own. The jobs of a run are other ones:
        they are cut at `load_groups` and where models don't fit together, not at global Steps.

        Raises:
            PipelineValidationError: `load_groups` doesn't fit the pipeline.
        """
        return load_stages(self._graph, checked_groups(self._graph, load_groups))

    def get_runtime_parameters_info(self) -> dict[str, list[dict[str, Any]]]:
        """Step name to its runtime parameters: name, optionality, description."""
        return {
            name: step.get_runtime_parameters_info() for name, step in self._graph.steps.items()
        }

    def _graph_of_run(self, parameters: Parameters | None) -> Graph:
        """The graph with copies of the Steps that have the run's parameters."""
        if isinstance(parameters, (str, os.PathLike)):
            parameters = serialization.read_parameters(parameters)
        graph = self._graph.with_steps(
            {name: step.copied() for name, step in self._graph.steps.items()}
        )
        set_parameters(graph, {} if parameters is None else parameters)
        return graph

    def _default_cache(self) -> Path:
        return self._cache_dir or default_cache_dir()

    def _run_directory(self, output_dir: str | os.PathLike[str] | None) -> RunDirectory:
        return RunDirectory(output_dir if output_dir else self._default_cache() / self.name)

    def _check_requirements(self) -> None:
        absent = self.requirements_to_install()
        if absent:
            raise ModuleNotFoundError(
                f"Pipeline {self.name!r} requires packages that are not installed: "
                f"pip install {' '.join(map(repr, absent))}"
            )

    # -- Beam ------------------------------------------------------------------------------------

    def outputs(self, pcoll: Any) -> GraphOutputs:
        """Apply the pipeline inside of `expand`: the rows of each subset, and the failures."""
        graph = self._graph.with_steps(
            {name: step.copied() for name, step in self._graph.steps.items()}
        )
        has_input = not isinstance(pcoll, PBegin)
        if has_input:
            graph = receiving_rows(graph)
        _check_data(graph)
        validate(graph, has_input=has_input)
        if has_input and len(graph.roots) > 1:
            # Rows get their ids before they part, so that branches can be joined by them.
            with _no_open_pipeline():
                _add_root(graph, _RowsReceived(name=INPUT_STEP))
        number_by_prompts(graph)
        return apply_graph(graph, pcoll, self._context)

    def with_checkpoint(
        self,
        folder: str | os.PathLike[str],
        settings: CheckpointSettings | Mapping[str, Any] | None = None,
    ) -> Pipeline:
        """This pipeline for a Beam pipeline of one's own, keeping what models have answered.

        `rows | pipeline.with_checkpoint("gs://bucket/answers")`: a job that runs again, or was
        killed, asks nothing twice. See `Step.with_checkpoint` for the arguments.
        """
        duplicate = copy.copy(self)
        path = RunDirectory(folder).path
        context = kept_in(path, settings, self.step_names)
        shared = self._response_cache_dir
        duplicate._context = dataclasses.replace(context, response_cache_dir=shared)
        return duplicate

    def expand(self, pcoll: Any) -> dict[str, Any]:
        """Rows in (or nothing, where it has a loader), `{"subset": PCollection of rows}` out."""
        subsets = self.outputs(pcoll).subsets
        self._times_applied += 1
        return subsets

    # -- files -----------------------------------------------------------------------------------

    def dump(self) -> dict[str, Any]:
        """The pipeline as JSON-like data, in the form of distilabel's `pipeline.yaml`."""
        return serialization.dump_pipeline(self)

    def save(self, path: str | os.PathLike[str] | None = None, format: str | None = None) -> None:
        """Write the pipeline to a file; without secrets, and without rows that are in memory.

        Args:
            path: the file, on any filesystem; folders that aren't there are made. A name without an
                extension is a folder, and None the current one, in which the file is called
                `distilabel-file.json`, as in distilabel.
            format: "json" or "yaml"; default is that of the path's extension.

        Raises:
            DistilabelUserError: the format is unknown, or the file can't be written.
        """
        serialization.save(self.dump(), path, format)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Pipeline:
        """The pipeline that `dump` wrote, here or in distilabel 1.5.

        Raises:
            DistilabelUserError: names are unknown, all of which are listed, or a value doesn't fit;
                nothing that the data names is imported, read or called.
        """
        pipeline = cls(**serialization.pipeline_arguments(data))
        serialization.add_steps(pipeline, data)
        return pipeline

    @classmethod
    def from_json(cls, path: str | os.PathLike[str]) -> Pipeline:
        """Load a JSON file; see `from_file`."""
        return cls.from_dict(serialization.read(path, "json"))

    @classmethod
    def from_yaml(cls, path: str | os.PathLike[str]) -> Pipeline:
        """Load a YAML file; see `from_file`."""
        return cls.from_dict(serialization.read(path, "yaml"))

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Pipeline:
        """Load a JSON or YAML file, by its extension, or by its content where it has none.

        Args:
            path: local, on any filesystem that fsspec or Beam knows, or a URL. What is on the
                Hugging Face Hub is `hf://datasets/org/repo/pipeline.yaml`, or the address of its
                page; its token goes to the host of `HF_ENDPOINT` alone.

        Raises:
            DistilabelUserError: the file isn't there, can't be read, or describes no pipeline that
                can be loaded here; see `from_dict`.

        Example:
            >>> from beam_distilabel.steps import KeepColumns
            >>> with Pipeline("doc-file") as pipeline:
            ...     keep = KeepColumns(columns=["a"])
            >>> pipeline.save("memory://doc/pipeline.yaml")
            >>> Pipeline.from_file("memory://doc/pipeline.yaml")
            Pipeline(name='doc-file', steps=['keep_columns_0'])
        """
        return cls.from_dict(serialization.read(path, serialization.format_of(path)))

    # -- pictures --------------------------------------------------------------------------------

    def draw(
        self,
        path: str | os.PathLike[str] | None = "pipeline.png",
        top_to_bottom: bool = False,
        show_edge_labels: bool = True,
        format: str | None = None,
    ) -> str:
        """Draw the Steps, routers and subsets, and how rows go from one to the other.

        Nothing is sent anywhere, and no data is read: the columns of files aren't shown.

        Args:
            path: the file: `.svg`, `.png` (needs the extra `draw`), or `.mmd` for Mermaid text;
                folders that aren't there are made.
            top_to_bottom: whether rows go from top to bottom, not from left to right.
            show_edge_labels: whether to show the columns that each Step makes.
            format: "svg", "png" or "mermaid", whatever the file's name says.

        Returns:
            The path.

        Raises:
            DistilabelUserError: the format isn't known, Pillow isn't installed, or the file can't
                be written.

        Example:
            >>> import tempfile, pathlib
            >>> from beam_distilabel.steps import KeepColumns, LoadDataFromDicts
            >>> with Pipeline(name="doc-draw") as pipeline:
            ...     _ = LoadDataFromDicts(data=[{"a": 1}]) >> KeepColumns(columns=["a"])
            >>> file = pipeline.draw(pathlib.Path(tempfile.mkdtemp(), "pipeline.svg"))
            >>> pathlib.Path(file).read_text()[:4]
            '<svg'
        """
        return draw(
            self._graph,
            self.name,
            "pipeline.png" if path is None else path,
            top_to_bottom,
            show_edge_labels,
            format,
        )

    def _repr_html_(self) -> str:
        """The drawing, for notebooks; every text in it is escaped."""
        return svg_of(self._graph, self.name)

    def __repr__(self) -> str:
        return f"Pipeline(name={self.name!r}, steps={self.step_names})"

    __str__ = __repr__


def _uncalled(value: Any) -> str | None:
    """What to do with a class, or a maker of routing functions, in place of what it makes."""
    if value is sample_n_steps:
        return "it has to be called: `sample_n_steps(1)`."
    if isinstance(value, type) and issubclass(value, (_Step, Router)):
        return f"it is a class: write `{value.__name__}(...)`."
    return None


def _shown(value: Any) -> str:
    """A value for a message; of a Step its name, of a class or function too."""
    if isinstance(value, (type, types.FunctionType)):
        return value.__name__
    if isinstance(value, _Step):
        return value._described()
    if isinstance(value, (list, tuple)) and any(isinstance(one, _Step) for one in value):
        return f"{type(value).__name__} of {', '.join(map(_shown, value))}"
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."


_NOT_IN_NAME = re.compile(r"[/\\\x00-\x1f\x7f]")


class _RowsReceived(RowStep):
    """Leaves rows as they are, but for mappings; they have ids afterwards."""

    @property
    def outputs(self) -> dict[str, bool]:
        return dict.fromkeys(self.output_mappings, False)

    def _types_made_of(self, types: Mapping[str, pa.DataType]) -> dict[str, pa.DataType]:
        return {name: types[name] for name in self.output_mappings if name in types}

    def transform_row(self, row: Row) -> Row:
        return row


def _is_folder_name(name: str) -> bool:
    return bool(name) and not name.startswith(".") and not _NOT_IN_NAME.search(name)


def _add_loader(graph: Graph, dataset: Any, batch_size: int) -> None:
    """Put a loader of `run(dataset=...)` before the roots of `graph`."""
    empty = without_data(graph)
    generators = [
        name for name in graph.roots if graph.steps[name].is_generator and name not in empty
    ]
    if generators:
        raise PipelineValidationError(
            f"the pipeline loads its own rows by Step {generators[0]!r}, so "
            "`dataset` can't be given too; leave out one of them."
        )
    _check_one(empty)
    with _no_open_pipeline():
        if empty:
            graph.steps[empty[0]] = _in_place_of(graph.steps[empty[0]], dataset)
            return
        loader = dataset_loader(dataset, batch_size=batch_size, name=DATASET_STEP)
    _add_root(graph, loader)


def _check_one(empty: Sequence[str]) -> None:
    if len(empty) > 1:
        raise PipelineValidationError(
            f"Steps {', '.join(map(repr, empty))} have no data, and the rows given can't be that "
            f"of all of them; set their `data`: `pipeline.graph.get({empty[0]!r}).data = [...]`."
        )


def receiving_rows(graph: Graph) -> Graph:
    """`graph` with the rows that it is given in the place of a loader's that has none."""
    empty = without_data(graph)
    _check_one(empty)
    if not empty:
        return graph
    loader = graph.steps[empty[0]]
    with _no_open_pipeline():
        step = _RowsReceived(name=loader.name, output_mappings=loader.output_mappings)
    return graph.with_steps({**graph.steps, empty[0]: step})


def without_data(graph: Graph) -> list[str]:
    """The `LoadDataFromDicts` whose rows were not written to the file that they come from."""
    return [
        name
        for name, step in graph.steps.items()
        if isinstance(step, LoadDataFromDicts) and step.needs_data
    ]


def _in_place_of(loader: LoadDataFromDicts, dataset: Any) -> _Step:
    """A loader of `dataset` with the name, mappings and batch size of one without data."""
    size = loader.batch_size or DEFAULT_BATCH_SIZE
    made: _Step = dataset_loader(dataset, batch_size=size, name=loader.name)
    columns = made.get_outputs()
    lacking = [column for column in loader.output_mappings if columns and column not in columns]
    if lacking:
        raise PipelineValidationError(
            f"{loader._described()}: `dataset` has no column {lacking[0]!r}, which output_mappings="
            f"{loader.output_mappings!r} of the loader in whose place it is given renames."
            f"{closest(lacking[0], columns)} It has: {', '.join(sorted(columns))}."
        )
    for name in ("output_mappings", "resources", "on_failure", "use_cache"):
        made.__dict__[name] = getattr(loader, name)
    return made


def _check_data(graph: Graph) -> None:
    """Raise where a loader has no data.

    Raises:
        PipelineValidationError: names the Step and the remedy.
    """
    for name in without_data(graph):
        raise PipelineValidationError(graph.steps[name].missing_data())


def _add_root(graph: Graph, step: _Step) -> None:
    """Put `step` before all roots of `graph`."""
    roots = graph.roots
    graph.add(step)
    for root in roots:
        graph.connect(step.unique_name, root)


@contextlib.contextmanager
def _no_open_pipeline() -> Iterator[None]:
    """Steps created here belong to no pipeline, also in the `with` block of one."""
    token = open_pipelines.set(())
    try:
        yield
    finally:
        open_pipelines.reset(token)
