"""What the Steps that read files share: listing at launch, reading on workers."""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import functools
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.pvalue import PBegin, TaggedOutput
from pydantic import Field, PrivateAttr
from typing_extensions import Self

from beam_distilabel.errors import DistilabelUserError, RowError
from beam_distilabel.failures import Failure
from beam_distilabel.progress import step_progress
from beam_distilabel.row import RESERVED, ROW_ID, Row, number_equal_rows
from beam_distilabel.runtime_parameters import RuntimeParameter
from beam_distilabel.schema.features import declared_schema
from beam_distilabel.step import GeneratorStep, StepResult
from beam_distilabel.transforms.sources.files import Source, file_bytes
from beam_distilabel.transforms.sources.readers import (
    BadRecord,
    Block,
    differ_in_a_column,
    read_columns,
    read_schemas,
    read_work,
    union_schema,
)
from beam_distilabel.transforms.sources.units import Work, count_rows, distribute, list_units
from beam_distilabel.typing import GeneratorStepOutput

ENOUGH_PARTS = 1_000
"""A source that is read in so many parts keeps 100 workers about equally busy. Of fewer parts each
row goes on to any worker where a model is asked for it: to send a row costs little beside that."""

_FAILURES = "failures"
_ROWS = "rows"

_log = logging.getLogger("distilabel")


class ReadBlocks(beam.DoFn):
    """Emits the rows of the blocks that `read` makes of an element, and its bad records.

    Args:
        step: the Step, for its name, its mappings and the run; the Step itself stays in the driver.
        read: element to blocks; pickled.
        is_numbered: whether equal rows are numbered already, beyond single blocks.
    """

    def __init__(
        self,
        step: GeneratorStep,
        read: Callable[[Any], Iterable[Block]],
        is_numbered: bool = False,
    ) -> None:
        assert step.name is not None
        self._step = step.name
        self._described = step._described()
        self._mappings = dict(step.output_mappings)
        self._raises = step.on_failure == "raise"
        self._run_dir = step._context.run_dir
        self._read = read
        self._draw_columns = None if is_numbered else step._draw_columns

    def setup(self) -> None:
        self._progress = step_progress(self._run_dir, self._step)

    def process(self, element: Any) -> Iterator[Any]:
        progress = self._progress
        blocks = iter(self._read(element))
        while True:
            with naming(self._described):
                block = next(blocks, None)
            if block is None:
                return
            for record in block.bad:
                failure = self._failure(record)
                progress.failed(failure.kind, failure.message)
                progress.rows_failed += 1
                yield TaggedOutput(_FAILURES, failure)
            progress.rows_out += len(block.rows)
            progress.rows_passed += len(block.rows)
            rows = block.rows
            if self._mappings:
                rows = [renamed(row, self._mappings) for row in rows]
            columns = self._draw_columns
            if columns is not None and not differ_in_a_column(rows, columns):
                number_equal_rows(rows, columns=columns)
            yield from rows
            progress.flush()

    def finish_bundle(self) -> None:
        self._progress.end_bundle()

    def _failure(self, record: BadRecord) -> Failure:
        if self._raises:
            raise RowError(f"{self._described}: {record.message}")
        row = {ROW_ID: record.row_id, "file": record.path}
        return Failure(self._step, "read", record.message, row, raw_output=record.text)


def renamed(row: Row, mappings: Mapping[str, str]) -> Row:
    """`row` under the names that the pipeline expects; reserved keys keep theirs.

    Example:
        >>> renamed({"prompt": "Hi", "_row_id": "0-0"}, {"prompt": "instruction"})
        {'instruction': 'Hi', '_row_id': '0-0'}
    """
    return {
        name if name in RESERVED else mappings.get(name, name): value for name, value in row.items()
    }


@contextlib.contextmanager
def naming(step: str) -> Iterator[None]:
    """Says in the message of a user's error in which Step it happened."""
    try:
        yield
    except RowError:
        raise
    except DistilabelUserError as error:
        raise DistilabelUserError(f"{step}: {error}") from error.__cause__


def emit(
    step: GeneratorStep,
    pbegin: Any,
    elements: Iterable[Any],
    read: Callable[[Any], Iterable[Block]],
    is_numbered: bool = False,
) -> StepResult:
    """Apply a source: `elements` are spread over the workers, and read there.

    Args:
        step: the source.
        pbegin: the start of a pipeline.
        elements: what is to be read, in parts.
        read: see `ReadBlocks`.
        is_numbered: likewise.

    Raises:
        DistilabelUserError: it isn't applied to the start of a pipeline.
    """
    if not isinstance(pbegin, (PBegin, beam.Pipeline)):
        raise DistilabelUserError(
            f"{step._described()} loads rows, so it can't be applied to rows; apply it to the "
            "pipeline: `p | step`."
        )
    elements = list(elements)
    spreads_rows = step._spreads and len(elements) < ENOUGH_PARTS
    if spreads_rows:
        # Flink leaves out the second of two Reshuffles that follow one another (BEAM-9824), so the
        # units are spread otherwise.
        units = (
            pbegin
            | "Units" >> beam.Create(list(enumerate(elements)), reshuffle=False)
            | "Apart" >> beam.GroupByKey()
            | "Each" >> beam.FlatMap(_grouped)
        )
    else:
        units = (
            pbegin
            | "Units" >> beam.Create(elements, reshuffle=False)
            | "Spread" >> beam.Reshuffle()
        )
    outputs = units | "Read" >> beam.ParDo(ReadBlocks(step, read, is_numbered)).with_outputs(
        _FAILURES, main=_ROWS
    )
    rows = outputs[_ROWS]
    if spreads_rows:
        rows |= "Spread rows" >> beam.Reshuffle()
    return StepResult(rows, outputs[_FAILURES])


def _grouped(keyed: tuple[int, Iterable[Any]]) -> Iterable[Any]:
    return keyed[1]


def in_batches(rows: Iterable[Row], batch_size: int) -> GeneratorStepOutput:
    """(rows, whether they are the last) in batches, at least one; reserved keys are left out."""
    batch: list[Row] = []
    for row in rows:
        if len(batch) == batch_size:
            yield batch, False
            batch = []
        batch.append({name: value for name, value in row.items() if name not in RESERVED})
    yield batch, True


def data_schema(schema: pa.Schema) -> pa.Schema:
    """`schema`, of files, as that of rows: plain types, without the reserved columns."""
    fields = [field for field in schema if field.name not in RESERVED]
    return declared_schema(pa.schema(fields, metadata=schema.metadata))


class FileLoader(GeneratorStep, abc.ABC):
    """A Step that reads files in parallel, by file and row group.

    Attributes:
        split: which split of the data.
        config: which configuration (subset) of the data.
        revision: which revision, where the data has several.
        streaming: accepted for distilabel's sake; reading always streams.
        num_examples: load exactly the first so many rows; None (the default) loads all.
        storage_options: for the filesystem (see fsspec). As they may hold secrets, they reach
            neither serialized pipelines nor messages; set them anew on a pipeline from a file.
    """

    split: RuntimeParameter[str] = Field(
        default="train", description="The split of the dataset that is loaded."
    )
    config: RuntimeParameter[str] | None = Field(
        default=None, description="The configuration (subset) of the dataset that is loaded."
    )
    revision: RuntimeParameter[str] | None = Field(
        default=None, description="The revision of the dataset: a branch, a tag or a commit."
    )
    streaming: RuntimeParameter[bool] = Field(
        default=False, description="Accepted for compatibility: reading always streams."
    )
    num_examples: RuntimeParameter[int] | None = Field(
        default=None,
        description="The number of rows to load, from the start; None loads all.",
        ge=0,
    )
    storage_options: dict[str, Any] | None = Field(
        default=None,
        description="Options for the filesystem that holds the files.",
        exclude=True,
        repr=False,
    )

    _found: dict[str, Any] = PrivateAttr(default_factory=dict)
    _needed: frozenset[str] | None = PrivateAttr(None)

    @abc.abstractmethod
    def _is_configured(self) -> bool:
        """Whether the parameters that say where the data is have values yet."""

    @abc.abstractmethod
    def _source(self) -> Source:
        """The files, listed now.

        Raises:
            DistilabelUserError: what was asked for doesn't exist; says what does.
        """

    @property
    def outputs(self) -> list[str]:
        """The columns of the data, read from its schema or first records."""
        if not self._is_configured():
            return []
        with naming(self._described()):
            return list(self._once("columns", self._read_columns))

    def _read_columns(self) -> list[str]:
        return read_columns(*self._typed())

    def _typed(self) -> tuple[Source, list[pa.Schema | None]]:
        """The files, and the schema of each that has one."""

        def find() -> tuple[Source, list[pa.Schema | None]]:
            source = self._source()
            return source, read_schemas(source)

        typed: tuple[Source, list[pa.Schema | None]] = self._once("schemas", find)
        return typed

    def output_schema(self) -> pa.Schema | None:
        """The types of the data's columns and the features of `datasets`; None if unknown."""
        if not self._is_configured():
            return None
        with naming(self._described()):
            schema: pa.Schema | None = self._once("schema", self._read_schema)
            return schema

    def _read_schema(self) -> pa.Schema | None:
        schema = union_schema(self._typed()[1])
        return None if schema is None else data_schema(schema)

    def described_source(self) -> dict[str, Any] | None:
        """What is read, as JSON-like facts for the record of a run; has no secrets.

        None where the Step doesn't know yet.
        """
        if not self._is_configured():
            return None
        with naming(self._described()):
            return dict(self._once("described", self._describe))

    def _describe(self) -> dict[str, Any]:
        source = self._source()
        return {"files": len(source.files), "bytes": file_bytes(source)}

    def source_bytes(self) -> int | None:
        """The size of what is read, compressed as it is; None if unknown.

        It is unknown where only a part of the files is read: some columns, or `num_examples`.
        """
        if self._needed is not None or self.num_examples is not None:
            return None
        described = self.described_source()
        return None if described is None else described.get("bytes")

    def read_only(self, columns: frozenset[str] | None) -> None:
        """Leave all columns but these unread, where the files allow it; None reads all.

        What the Step declares, its row ids and the cutting into units stay the same. Rows that
        differ in unread columns only are equal rows then.
        """
        self._needed = columns

    def _pruned(self, source: Source) -> Source:
        if self._needed is None:
            return source
        return dataclasses.replace(source, columns=tuple(sorted(self._needed)))

    def _once(self, what: str, find: Callable[[], Any]) -> Any:
        """What `find` returned, found anew where the Step's parameters have changed."""
        key = self._parameters()
        known = self._found.get(what)
        if known is None or known[0] != key:
            known = self._found[what] = (key, find())
        return known[1]

    def _parameters(self) -> tuple[str, ...]:
        return tuple(repr(getattr(self, name)) for name in type(self).model_fields)

    def copied(self) -> Self:
        """A copy, such as a run's, that looks anew for what this one has found."""
        duplicate = super().copied()
        duplicate._found = {}
        return duplicate

    def __getstate__(self) -> dict[Any, Any]:
        state = super().__getstate__()
        private = state["__pydantic_private__"] or {}
        kept = {**private, "_found": {}, "_needed": self._needed}
        return {**state, "__pydantic_private__": kept}

    def _plan(self) -> tuple[Callable[[Any], Iterable[Block]], list[Any]]:
        """How an element is read, and the elements, in source order."""
        source = self._source()
        read = functools.partial(read_work, self._pruned(source))
        return read, distribute(list_units(source), self.num_examples)

    def count_rows(self) -> int | None:
        """How many rows the Step loads; None if only reading them tells."""
        with naming(self._described()):
            return count_rows(self._plan()[1])

    def process(self, offset: int = 0) -> GeneratorStepOutput:
        """Yield (rows, whether they are the last) in source order, starting at row `offset`.

        Records that can't be read are logged, and raise with `on_failure="raise"`.
        """
        assert self.batch_size is not None
        with naming(self._described()):
            yield from in_batches(self._rows_from(offset), self.batch_size)

    def _rows_from(self, offset: int) -> Iterator[Row]:
        read, elements = self._plan()
        for element in elements:
            known = count_rows([element]) if isinstance(element, Work) else None
            if known is not None and known <= offset:
                offset -= known
                continue
            for block in read(element):
                for record in block.bad:
                    if self.on_failure == "raise":
                        raise RowError(f"{self._described()}: {record.message}")
                    _log.warning("%s: %s", self._described(), record.message)
                yield from block.rows[offset:]
                offset = max(0, offset - len(block.rows))

    def apply_to(self, pbegin: Any) -> StepResult:
        """List the files now, read them on the workers."""
        if type(self).process is not FileLoader.process:
            return super().apply_to(pbegin)  # a subclass makes rows its own way
        with naming(self._described()):
            read, elements = self._plan()
        return emit(self, pbegin, elements, read)
