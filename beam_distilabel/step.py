"""Steps: the parts of a pipeline, each a pydantic model and a Beam PTransform."""

from __future__ import annotations

import itertools
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import apache_beam as beam
import pyarrow as pa
from apache_beam.transforms.resources import parse_resource_hints
from pydantic import ConfigDict, Field, PositiveInt, PrivateAttr, field_validator
from typing_extensions import Self

import beam_distilabel.notebooks  # noqa: F401  (so that Steps can be applied in one)
from beam_distilabel.artifacts import check_artifact, save as save_files
from beam_distilabel.checkpoint import CheckpointSettings
from beam_distilabel.context import RunContext
from beam_distilabel.dumping import Dumpable
from beam_distilabel.errors import DistilabelNotImplementedError, DistilabelTypeError
from beam_distilabel.failures import Failure, OnFailure
from beam_distilabel.join import JoinSpec
from beam_distilabel.keeping import kept_in
from beam_distilabel.metadata import METADATA, with_failure
from beam_distilabel.pickling import PicklesUnloaded
from beam_distilabel.requirements import missing
from beam_distilabel.row import RESERVED, ROW_ID, Row, content, identify, inherit
from beam_distilabel.runtime_parameters import RuntimeParameter, RuntimeParametersMixin
from beam_distilabel.signatures import takes_many_inputs
from beam_distilabel.typing import GeneratorStepOutput, StepColumns, StepInput, StepOutput

DEFAULT_BATCH_SIZE = 50

_DRIVER = "install-nvidia-driver:5xx"  # Dataflow's default driver is too old for vLLM

_OF_THE_RUN = ("_context", "_draw_columns", "_join", "_shares_input")

_BEAM_NAMES = ("annotations", "display_data", "label", "pipeline", "side_inputs")
_NAME = re.compile(r"[a-zA-Z0-9_-]+")

MAX_NAME = 200
"""The longest name of a Step, in characters."""


class StepResources(RuntimeParametersMixin):
    """What one copy of a Step needs.

    `memory` and `gpus` count towards the memory budget of a run, on top of what the models of this
    package say of themselves. All but `replicas` become Beam's resource hints, which runners on
    several hosts use to choose the hosts; Steps that share a model get the same.

    Attributes:
        replicas: how many copies distilabel would make. Accepted without effect: the runner makes
            as many as its parallelism allows, and each process has one engine per model.
        cpus: CPUs per copy.
        gpus: GPUs per copy.
        memory: bytes per copy.
        resources: other resources by name. A GPU type such as "nvidia-l4" names the accelerator
            that Dataflow is asked for; other names have no counterpart in Beam.

    Example:
        >>> StepResources(gpus=1, memory=2**30, resources={"nvidia-l4": 1}).resource_hints()
        {'min_ram': 1073741824, 'accelerator': 'type:nvidia-l4;count:1;install-nvidia-driver:5xx'}
    """

    model_config = ConfigDict(validate_default=True, validate_assignment=True, extra="forbid")

    replicas: RuntimeParameter[PositiveInt] = Field(
        default=1, description="The number of copies of the Step."
    )
    cpus: RuntimeParameter[PositiveInt] | None = Field(
        default=None, description="The number of CPUs of each copy."
    )
    gpus: RuntimeParameter[PositiveInt] | None = Field(
        default=None, description="The number of GPUs of each copy."
    )
    memory: RuntimeParameter[PositiveInt] | None = Field(
        default=None, description="The memory of each copy, in bytes."
    )
    resources: RuntimeParameter[dict[str, int]] | None = Field(
        default=None, description="Other resources of each copy: name to number."
    )

    def resource_hints(self) -> dict[str, Any]:
        """Beam's resource hints; those that a runner doesn't know it ignores."""
        hints: dict[str, Any] = {}
        if self.cpus:
            hints["cpu_count"] = str(self.cpus)
        if self.memory:
            hints["min_ram"] = self.memory
        kinds = [name for name in self.resources or {} if name.startswith("nvidia-")]
        if kinds:
            count = self.gpus or (self.resources or {})[kinds[0]]
            hints["accelerator"] = f"type:{kinds[0]};count:{count};{_DRIVER}"
        elif self.gpus:
            hints["accelerator"] = f"count:{self.gpus}"
        return hints


class StepResult(NamedTuple):
    """What a Step makes of its input: a PCollection of rows and one of `Failure`s."""

    rows: Any
    failures: Any


def default_name(cls: type) -> str:
    """The name of a Step that was given none: its class in snake case (each capital starts a word).

    Example:
        >>> default_name(type("KeepColumns", (), {}))
        'keep_columns'
    """
    return re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()


open_pipelines: ContextVar[tuple[Any, ...]] = ContextVar("open_pipelines", default=())
"""The pipelines whose `with` blocks are open in this thread, innermost last."""


class _Step(PicklesUnloaded, Dumpable, RuntimeParametersMixin, beam.PTransform):
    """What every kind of Step has.

    Attributes:
        name: unique in its pipeline; default is the class name in snake case plus a number.
        resources: see `StepResources`.
        input_mappings: name that the Step expects to the column that has it.
        output_mappings: name that the Step produces to the column wanted.
        use_cache: whether finished rows of an earlier run may be used again.
        on_failure: what becomes of a row that fails: "null" (the default) lets it go on with None
            outputs and the reason in `distilabel_metadata`, "drop" leaves it out, "raise" ends the
            run.
    """

    name: str | None = None
    resources: StepResources = Field(default_factory=StepResources)
    input_mappings: dict[str, str] = Field(default_factory=dict)
    output_mappings: dict[str, str] = Field(default_factory=dict)
    use_cache: bool = True
    on_failure: OnFailure = "null"

    _pipeline: Any = PrivateAttr(None)
    _context: RunContext = PrivateAttr(default_factory=RunContext)
    _times_applied: int = PrivateAttr(0)
    _logger: Any = PrivateAttr(default_factory=lambda: logging.getLogger("beam_distilabel.step"))
    _shares_input: bool = PrivateAttr(True)
    _holds_model: bool = PrivateAttr(False)
    _spreads: bool = PrivateAttr(False)
    _join: JoinSpec = PrivateAttr(default_factory=JoinSpec)
    # By which columns rows count as equal when they are numbered (`DRAW`); None for all.
    _draw_columns: tuple[str, ...] | None = PrivateAttr(None)

    is_generator: ClassVar[bool] = False
    is_global: ClassVar[bool] = False
    keeps_other_columns: ClassVar[bool] = True
    _requirements: ClassVar[tuple[str, ...]] = ()

    def __init__(self, /, pipeline: Any = None, **data: Any) -> None:
        super().__init__(**data)
        if pipeline is None and open_pipelines.get():
            pipeline = open_pipelines.get()[-1]
        if pipeline is not None and not hasattr(pipeline, "add_step"):
            raise DistilabelTypeError(
                f"{type(self).__name__}: pipeline={pipeline!r} has to be a Pipeline; or create the "
                "Step in its `with` block."
            )
        taken = pipeline.step_names if pipeline is not None else ()
        if self.name is None:
            stem = default_name(type(self))
            self.__dict__["name"] = next(
                name for i in itertools.count() if (name := f"{stem}_{i}") not in taken
            )
        self._tell_owner(self._described())
        if pipeline is not None:
            pipeline.add_step(self)
            self._pipeline = pipeline

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        taken = [name for name in _BEAM_NAMES if name in cls.model_fields]
        if taken:
            raise DistilabelTypeError(
                f"{cls.__name__} has a field {taken[0]!r}, a name that Beam gives to every "
                "PTransform; call the field something else."
            )

    @field_validator("name")
    @classmethod
    def _name_is_plain(cls, name: str | None) -> str | None:
        if name is not None and not _NAME.fullmatch(name):
            raise ValueError(
                f"{name!r} can't be a Step's name: use letters, digits, '_' and '-' only."
            )
        if name is not None and len(name) > MAX_NAME:  # folders are named after Steps
            raise ValueError(
                f"{name!r} can't be a Step's name: it has {len(name)} characters, use at most "
                f"{MAX_NAME}."
            )
        return name

    # -- pydantic and Beam in one object ---------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        if name in type(self).model_fields or name in type(self).__private_attributes__:
            super().__setattr__(name, value)
        elif hasattr(beam.PTransform, name) or name in ("_type_hints", "_resource_hints"):
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other

    @property
    def pipeline(self) -> None:
        """None: Beam takes the pipeline from what the Step is applied to."""
        return None

    @pipeline.setter
    def pipeline(self, value: Any) -> None:
        # Beam remembers here what a PTransform was last applied to, and would refuse another.
        del value

    @property
    def label(self) -> str:
        """What Beam calls the Step: what it was told to, or the Step's name."""
        # Not by `default_label()`, which is a field of some of distilabel's Tasks.
        return self._user_label or self._name_here()

    @label.setter
    def label(self, value: str | None) -> None:
        self._user_label = value

    def _name_here(self) -> str:
        """The Step's name; numbered where the Step is applied again.

        Beam doesn't say to which pipeline, so the number counts them all.
        """
        assert self.name is not None
        return f"{self.name}_{self._times_applied}" if self._times_applied else self.name

    def default_label(self) -> str:
        return self._name_here()

    def __getstate__(self) -> dict[Any, Any]:
        state = super().__getstate__()
        private = {
            **(state["__pydantic_private__"] or {}),
            "_pipeline": None,
            "_times_applied": 0,
            # The run's, not `load`'s: set also where `load` was called before the run.
            **{name: getattr(self, name) for name in _OF_THE_RUN},
        }
        attributes = {k: v for k, v in state["__dict__"].items() if k != "_user_label"}
        return {**state, "__dict__": attributes, "__pydantic_private__": private}

    # -- columns ---------------------------------------------------------------------------------

    @property
    def inputs(self) -> StepColumns:
        """The columns that the Step needs: a list, or a dict of name to whether it is required."""
        return []

    @property
    def outputs(self) -> StepColumns:
        """The columns that the Step adds: a list, or a dict of name to whether every row has it."""
        return []

    @property
    def _removed_columns(self) -> list[str]:
        """The columns that rows no longer have after the Step, under their names before mappings.

        Of a Step with `keeps_other_columns = False` all are, but its outputs.
        """
        return []

    def output_schema(self) -> pa.Schema | None:
        """The Arrow types of columns that the Step makes, under their names before mappings.

        Those that aren't known are left out, or null; None (the default) means that none is. The
        metadata may have features of `datasets`. It is a hint: values that don't fit it win.
        """
        return None

    def _types_made_of(self, types: Mapping[str, pa.DataType]) -> dict[str, pa.DataType]:
        """The types of outputs that follow from those of the input's columns.

        Args:
            types: the columns of a row, under their names for the Step; null where a type isn't
                known.
        """
        return {}

    def get_inputs(self) -> dict[str, bool]:
        """The columns that a row must have before mappings: name to whether it is required."""
        return {self.input_mappings.get(k, k): v for k, v in column_flags(self.inputs).items()}

    def get_outputs(self) -> dict[str, bool]:
        """The columns that a row has afterwards, after mappings."""
        return {self.output_mappings.get(k, k): v for k, v in column_flags(self.outputs).items()}

    def impute_step_outputs(self, rows: Sequence[Row]) -> list[Row]:
        """`rows` with None in every output column."""
        return [{**row, **dict.fromkeys(self.get_outputs())} for row in rows]

    def _map_inputs(self, row: Row) -> Row:
        """`row` under the names that the Step expects."""
        if not self.input_mappings:
            return row
        mapped = dict(row)
        taken = {}
        for expected, present in self.input_mappings.items():
            if present in row:
                taken[expected] = row[present]
                mapped.pop(present, None)
        mapped.update(taken)
        return mapped

    def _map_outputs(self, row: Row, source: Row | None) -> Row:
        """`row` under the names that the pipeline expects.

        Args:
            row: a row that `process` yielded.
            source: the row it was made of, as it was before `_map_inputs`, where that is known.
        """
        if not self.input_mappings and not self.output_mappings:
            return row
        back = {
            expected: present
            for expected, present in self.input_mappings.items()
            if source is None or present in source
        }
        mapped: Row = {}
        made = {wanted for name, wanted in self.output_mappings.items() if name in row}
        for name, value in row.items():
            wanted = self.output_mappings.get(name, back.get(name, name))
            if wanted == name:
                mapped.setdefault(name, value)  # a column that was renamed to this wins
            elif name in self.output_mappings or wanted not in made:
                mapped[wanted] = value  # an output that takes the place of an input wins
        if source is not None and self.keeps_other_columns:
            # A column that made way for a mapped one comes back, unless the Step wrote it anew.
            displaced = [*back]
            displaced += [back.get(made, made) for made in self.output_mappings if made in row]
            gone = {self.input_mappings.get(name, name) for name in self._removed_columns}
            for name in displaced:
                if name in source and name not in mapped and name not in gone:
                    mapped[name] = source[name]
        return mapped

    def print(self) -> None:
        """Show the columns that the Step reads and makes."""
        from beam_distilabel.showing import show_columns

        show_columns(self)

    # -- what it needs ---------------------------------------------------------------------------

    @property
    def requirements(self) -> list[str]:
        """The packages that the Step needs, in alphabetical order; see `requirements`, the
        decorator."""
        return sorted(type(self)._requirements)

    def requirements_to_install(self) -> list[str]:
        """Those of them that aren't installed in the version asked for."""
        return missing(self.requirements)

    def _draws_by(self) -> list[str] | None:
        """`_draw_columns` under the names that the Step has for them."""
        if self._draw_columns is None:
            return None
        names = {present: expected for expected, present in self.input_mappings.items()}
        names.update({wanted: made for made, wanted in self.output_mappings.items()})
        return [names.get(column, column) for column in self._draw_columns]

    # -- life cycle ------------------------------------------------------------------------------

    def load(self) -> None:
        """Called once per worker copy before the first row: make clients, open files, ... ."""

    def unload(self) -> None:
        """Called when the worker copy is no longer needed."""

    @property
    def unique_name(self) -> str:
        """The Step's name."""
        assert self.name is not None
        return self.name

    @property
    def is_normal(self) -> bool:
        """Whether the Step is neither a generator nor global."""
        return not self.is_generator and not self.is_global

    def has_multiple_inputs(self) -> bool:
        """Whether `process` takes one list of rows per predecessor."""
        return takes_many_inputs(type(self).process)  # type: ignore[attr-defined]

    def _described(self) -> str:
        return f"Step {self.name!r} ({type(self).__name__})"

    def _whose(self) -> str:
        return self._described()

    def copied(self) -> Self:
        """A copy whose runtime parameters can be set without changing this one."""
        duplicate = super().copied()
        duplicate._tell_owner(self._described())
        return duplicate

    def _rows_of_failure(self, row: Row, failure: Failure) -> list[Row]:
        """What stands for `row`, as it came, where the Step could not finish it."""
        made = self.get_outputs().items()
        nulls = {name: None for name, always in made if always and name != METADATA}
        if not self.keeps_other_columns:
            row = {name: row[name] for name in (METADATA, *RESERVED) if name in row}
        elif gone := {self.input_mappings.get(name, name) for name in self._removed_columns}:
            row = {name: value for name, value in row.items() if name not in gone}
        return [with_failure({**row, **nulls}, self.unique_name, failure.reason())]

    def save_artifact(
        self,
        name: str,
        write_function: Callable[[Path], object],
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Keep files with the run: `<run directory>/artifacts/<step>/<name>/`.

        To be called on workers, from `load`, `process` or `unload`, as often as they run: saving
        again under the same name replaces what was saved before. Outside of `Pipeline.run()` there
        is no run directory; then nothing is saved, and a warning says so.

        Args:
            name: the artifact's name, a plain folder name.
            write_function: receives an empty local folder and writes the files there; what it
                returns is ignored. If it raises, nothing is saved or replaced.
            metadata: what JSON has; kept as `metadata.json` beside the files.

        Raises:
            DistilabelUserError: the name is no plain folder name, the metadata isn't JSON, or the
                function left a link that leads out of the folder.

        Example:
            >>> def write(folder: Path) -> None:
            ...     _ = (folder / "counts.txt").write_text("3")
            >>> class Count(Step):
            ...     def process(self, inputs: StepInput) -> StepOutput:
            ...         self.save_artifact("counts", write, metadata={"unit": "rows"})
            ...         yield inputs
        """
        checked = check_artifact(name, metadata, self._described())
        if self._context.run_dir is None:
            logging.getLogger("distilabel").warning(
                "%s: the artifact %r was not saved, because there is no run directory outside of "
                "`Pipeline.run()`.",
                self._described(),
                name,
            )
            return
        save_files(
            self._context.run_dir,
            self.unique_name,
            name,
            write_function,
            checked,
            self._described(),
        )

    # -- the graph -------------------------------------------------------------------------------

    def connect(self, *steps: _Step, routing_batch_function: Any = None) -> None:
        """Send this Step's rows to `steps`, by a router if one is given."""
        self._graph().connect(self, list(steps), routing_batch_function)

    def __rshift__(self, other: Any) -> Any:
        """`step >> other`: connect to a Step, a list of Steps, or a router; returns `other`."""
        return self._graph().connect_right(self, other)

    def __rrshift__(self, other: Any) -> Any:
        """`[a, b] >> step` connects; `"label" >> step` is Beam's way to name an application."""
        if isinstance(other, str):
            return super().__rrshift__(other)
        return self._graph().connect_left(other, self)

    def _graph(self) -> Any:
        if self._pipeline is None:
            raise DistilabelTypeError(
                f"{self._described()} belongs to no pipeline, so it can't be connected; create it "
                "in a `with Pipeline(...)` block."
            )
        return self._pipeline

    # -- Beam ------------------------------------------------------------------------------------

    def get_resource_hints(self) -> dict[str, bytes]:
        """Beam's hints: what `with_resource_hints` has set, and what `resources` say."""
        hints: dict[str, bytes] = super().get_resource_hints()
        for urn, value in parse_resource_hints(self.resources.resource_hints()).items():
            hints.setdefault(urn, value)
        return hints

    def apply_to(self, rows: Any) -> StepResult:
        """Apply the Step inside of `expand`: rows and failures."""
        raise DistilabelNotImplementedError(f"{type(self).__name__} defines no `apply_to`.")

    def expand(self, pcoll: Any) -> Any:
        """Rows in, rows out; see `with_failures` for the rows that failed."""
        result = self.apply_to(pcoll)
        self._times_applied += 1
        return result.rows

    def with_checkpoint(
        self, folder: str, settings: CheckpointSettings | Mapping[str, Any] | None = None
    ) -> Self:
        """A copy of this Step that keeps what its model has answered, and asks nothing twice.

        For Beam pipelines of one's own, streaming ones above all; `Pipeline.run` does it anyway. A
        job that runs again, or was killed, finds the answers by their content.

        Args:
            folder: local, or on any filesystem that the workers share; one job at a time uses it.
            settings: how many answers may be unwritten, and for how long: `CheckpointSettings`, or
                a dict such as {"rows": 16, "seconds": 1.0}.

        Raises:
            CheckpointError: the folder can't be read or written.
            DistilabelUserError: a setting can't be used.

        Example:
            >>> class Upper(Step):
            ...     def process(self, inputs: StepInput) -> StepOutput:
            ...         yield [{**row, "text": row["text"].upper()} for row in inputs]
            >>> import tempfile
            >>> kept = Upper(name="upper").with_checkpoint(tempfile.mkdtemp())
            >>> [row["text"] for row in [{"text": "a"}] | kept]
            ['A']
        """
        duplicate = self.copied()
        duplicate._context = kept_in(folder, settings, [self.unique_name])
        return duplicate

    def with_failures(self) -> WithFailures:
        """This Step as a PTransform with two outputs: `{"rows": ..., "failures": ...}`."""
        return WithFailures(self)


class WithFailures(beam.PTransform):
    """A Step that also returns the `Failure`s of the rows that it could not finish."""

    def __init__(self, step: _Step) -> None:
        super().__init__()
        self._step = step

    def default_label(self) -> str:
        return self._step._name_here()

    def expand(self, pcoll: Any) -> dict[str, Any]:
        result = self._step.apply_to(pcoll)
        self._step._times_applied += 1
        return result._asdict()


class Step(_Step):
    """A Step that turns rows into rows; subclasses define `process`.

    Attributes:
        input_batch_size: how many rows `process` receives at once, at most.

    Example:
        >>> class Upper(Step):
        ...     @property
        ...     def inputs(self): return ["text"]
        ...     @property
        ...     def outputs(self): return ["upper"]
        ...     def process(self, inputs: StepInput):
        ...         yield [{**row, "upper": row["text"].upper()} for row in inputs]
        >>> next(Upper().process([{"text": "a"}]))
        [{'text': 'a', 'upper': 'A'}]
    """

    input_batch_size: RuntimeParameter[PositiveInt] = Field(
        default=DEFAULT_BATCH_SIZE,
        description="The number of rows that `process` receives at once, at most.",
    )

    def process(self, *inputs: StepInput) -> StepOutput:
        """Turn rows into rows; receives one list of rows per predecessor, may yield often."""
        raise DistilabelNotImplementedError(
            f"{type(self).__name__} has to define `process(self, inputs: StepInput)`."
        )

    def process_applying_mappings(self, *args: list[Row]) -> Iterator[list[Row]]:
        """`process` on rows with the pipeline's column names."""
        if not (self.input_mappings or self.output_mappings) or not args or not args[0]:
            yield from self.process(*args)
            return
        # The ids tell which row each yielded one was made of, so whose columns come back.
        sources = {str(i): row for i, row in enumerate(args[0])}
        named = [{**row, ROW_ID: row_id} for row_id, row in sources.items()]
        mapped = [[self._map_inputs(row) for row in rows] for rows in (named, *args[1:])]
        for rows in self.process(*mapped):
            yield [
                inherit(self._map_outputs(content(row), source), source)
                for row, parent in identify(named, [rows])
                for source in (sources[parent[ROW_ID]],)
            ]

    def apply_to(self, rows: Any) -> StepResult:
        from beam_distilabel.processing import apply_process

        return apply_process(self, rows)


class RowStep(Step):
    """A Step that turns each row into one row on its own; subclasses define `transform_row`."""

    def transform_row(self, row: Row) -> Row:
        """The row that `row` becomes; pure. Reserved keys are kept by the caller."""
        raise DistilabelNotImplementedError(
            f"{type(self).__name__} has to define `transform_row(self, row)`."
        )

    def process(self, *inputs: StepInput) -> StepOutput:
        """Yields the transformed rows, one batch per predecessor."""
        for rows in inputs:
            yield [
                {**self.transform_row(row), **{k: row[k] for k in RESERVED if k in row}}
                for row in rows
            ]


class JoinStep(Step):
    """A Step that makes one row of those that its predecessors made of the same row; subclasses
    define `join_rows`.

    With one predecessor it receives that one's row. A column that a predecessor's rows have to
    have, and one of them lacks, is a failure of kind `column`.
    """

    def join_rows(self, rows: Sequence[Row]) -> Row:
        """The row that `rows` become; pure. Reserved keys are kept by the caller.

        Args:
            rows: one per predecessor, in their order; those that routing left out aren't there.
        """
        raise DistilabelNotImplementedError(
            f"{type(self).__name__} has to define `join_rows(self, rows)`."
        )

    def process(self, *inputs: StepInput) -> StepOutput:
        """Yields one batch: the n-th rows of all inputs as one row, as far as the shortest goes."""
        yield [
            {**self.join_rows(rows), **{k: rows[0][k] for k in RESERVED if k in rows[0]}}
            for rows in zip(*inputs, strict=False)
        ]


class GlobalStep(Step):
    """A Step that needs all rows at once: `process` is called once (per window and pane).

    All rows are gathered on one worker and have to fit its memory.
    """

    is_global: ClassVar[bool] = True

    def _check_usable(self, row: Row) -> None:
        """Raise for a row that the Step can't use, under the names that it expects; pure.

        Such a row is a failure on its own, and the others go on without it: what `process` raises
        ends the run. The default takes every row.
        """


class GeneratorStep(_Step):
    """A Step that makes rows of nothing, or loads them; subclasses define `process(offset)`.

    Attributes:
        batch_size: how many rows `process` yields at once.
    """

    is_generator: ClassVar[bool] = True

    batch_size: RuntimeParameter[PositiveInt] = Field(
        default=DEFAULT_BATCH_SIZE,
        description="The number of rows that `process` yields at once.",
    )

    def count_rows(self) -> int | None:
        """How many rows the Step makes, where that is known without making them."""
        return None

    def described_source(self) -> dict[str, Any] | None:
        """What is read, as JSON-like facts without secrets; None where there is nothing to say."""
        return None

    def source_bytes(self) -> int | None:
        """The size of what is read, where that is known."""
        return None

    def process(self, offset: int = 0) -> GeneratorStepOutput:
        """Yield (rows, whether they are the last), starting at row `offset`."""
        raise DistilabelNotImplementedError(
            f"{type(self).__name__} has to define `process(self, offset: int = 0)`."
        )

    def process_applying_mappings(self, offset: int = 0) -> GeneratorStepOutput:
        """`process` with the pipeline's column names."""
        for batch in self.process(offset=offset):
            if not isinstance(batch, tuple) or len(batch) != 2:
                raise DistilabelTypeError(
                    f"{self._described()}: `process` of a generator has to yield (rows, whether "
                    f"they are the last), `yield rows, False`; it gave {str(batch)[:80]!r}."
                )
            rows, last = batch
            yield [self._map_outputs(row, None) for row in rows], last

    def apply_to(self, pcoll: Any) -> StepResult:
        from beam_distilabel.processing import apply_generator

        return apply_generator(self, pcoll)


def column_flags(columns: StepColumns) -> dict[str, bool]:
    """Declared columns as a dict of name to whether it is required."""
    return dict(columns) if isinstance(columns, dict) else dict.fromkeys(columns, True)
