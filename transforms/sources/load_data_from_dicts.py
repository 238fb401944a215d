"""LoadDataFromDicts: rows that are in memory."""

from __future__ import annotations

import functools
import itertools
import pickle
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa
from pydantic import Field, PrivateAttr

from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.row import DRAW, ROW_ID, Row, content, number_equal_rows, position_id
from beam_distilabel.step import GeneratorStep, StepResult
from beam_distilabel.transforms.sources.files import Source, SourceFile
from beam_distilabel.transforms.sources.loader import emit, in_batches, naming
from beam_distilabel.transforms.sources.readers import Block, read_work
from beam_distilabel.transforms.sources.staging import (
    decode_row,
    encode_rows,
    stage_texts,
    staging_folder,
)
from beam_distilabel.transforms.sources.units import Work, distribute, list_units
from beam_distilabel.typing import GeneratorStepOutput

GRAPH_BYTES = 1 << 20
"""Data of fewer bytes travels in the job graph, other data is staged."""

_CHUNKS = 64
_CHUNK_ROWS = 1000

Chunk = tuple[int, list[str | Row]]
"""Index of the first row, and rows: encoded, or as they are where JSON can't hold them."""


class LoadDataFromDicts(GeneratorStep):
    """Load rows from a list of dicts.

    The data is neither serialized with the pipeline nor pickled with the Step. Less than
    `GRAPH_BYTES` travels in the job graph; more is staged as Parquet in the run directory, where
    the workers read it. Equal rows are numbered over the whole list.

    Attributes:
        data: the rows.

    Output columns:
        the keys of all rows, in order of first appearance.

    Example:
        >>> loader = LoadDataFromDicts(data=[{"instruction": "Say hi."}])
        >>> loader.load()
        >>> next(loader.process())
        ([{'instruction': 'Say hi.'}], True)
    """

    data: list[dict[str, Any]] = Field(default_factory=list, exclude=True, repr=False)

    _schema: pa.Schema | None = PrivateAttr(None)

    @property
    def outputs(self) -> list[str]:
        """The keys of all rows, in order of first appearance."""
        names = dict.fromkeys(itertools.chain.from_iterable(self.data))
        return [name for name in names if name not in (ROW_ID, DRAW)]

    def output_schema(self) -> pa.Schema | None:
        """The types and features of the `datasets.Dataset` that the rows were made of, if any."""
        return self._schema

    @property
    def needs_data(self) -> bool:
        """Whether the Step was loaded from a file, which has no rows, and given none since."""
        makes_own = type(self).process is not LoadDataFromDicts.process
        return "data" not in self.model_fields_set and not makes_own

    def missing_data(self) -> str:
        """What to say and to do where there are no rows."""
        return (
            f"{self._described()} has no data: a pipeline is serialized without it. Give it with "
            "`pipeline.run(dataset=...)`, with `rows | pipeline` in Beam, or set the Step's `data`."
        )

    def described_source(self) -> dict[str, Any] | None:
        """What is read, as JSON-like facts for the record of a run."""
        return {"rows": len(self.data)}

    def count_rows(self) -> int | None:
        """How many rows the Step loads."""
        return len(self.data)

    def _data_rows(self) -> Iterable[Row]:
        """The rows, in order."""
        return self.data

    def process(self, offset: int = 0) -> GeneratorStepOutput:
        """Yield (rows, whether they are the last), starting at row `offset`."""
        assert self.batch_size is not None
        yield from in_batches(itertools.islice(self._data_rows(), offset, None), self.batch_size)

    def apply_to(self, pbegin: Any) -> StepResult:
        """Put the rows into the job graph, or stage them."""
        if type(self).process is not LoadDataFromDicts.process:
            return super().apply_to(pbegin)  # a subclass makes rows its own way
        if self.needs_data:
            raise DistilabelUserError(self.missing_data())
        with naming(self._described()):
            inline = self._inline()
            if inline is not None:
                return emit(self, pbegin, to_chunks(inline), read_chunk, is_numbered=True)
            work, source = self._stage()
        return emit(self, pbegin, work, functools.partial(read_work, source), is_numbered=True)

    def _inline(self) -> list[str] | list[Row] | None:
        """The rows as they travel in the job graph; None if they are too large for it."""
        size = 0
        texts = []
        try:
            for text in encode_rows(self._data_rows(), self._draws_by()):
                size += len(text)
                if size >= GRAPH_BYTES:
                    return None
                texts.append(text)
        except DistilabelUserError:
            for row in self._data_rows():
                size += len(pickle.dumps(row))
                if size >= GRAPH_BYTES:
                    raise  # objects that can't be staged
            rows = [content(row) for row in self._data_rows()]
            number_equal_rows(rows, columns=self._draws_by())
            return rows
        return texts

    def _stage(self) -> tuple[list[Work], Source]:
        assert self.name is not None
        folder = staging_folder(self._context.run_dir, self.name)
        files = stage_texts(encode_rows(self._data_rows(), self._draws_by()), folder)
        source = Source(tuple(SourceFile(file, "staged") for file in files))
        return distribute(list_units(source)), source

    def __getstate__(self) -> dict[Any, Any]:
        state = super().__getstate__()
        if type(self).process is LoadDataFromDicts.process:
            state = {**state, "__dict__": {**state["__dict__"], "data": []}}
        return state


def to_chunks(rows: Sequence[str] | Sequence[Row]) -> list[Chunk]:
    """`rows` in pieces that are spread over the workers."""
    size = max(1, min(-(-len(rows) // _CHUNKS), _CHUNK_ROWS))
    return [(start, list(rows[start : start + size])) for start in range(0, len(rows), size)]


def read_chunk(chunk: Chunk) -> Iterator[Block]:
    """The rows of one chunk, with their ids."""
    first, encoded = chunk
    rows = []
    for index, row in enumerate(encoded, first):
        decoded = decode_row(row) if isinstance(row, str) else dict(row)
        decoded[ROW_ID] = position_id(0, index)
        rows.append(decoded)
    yield Block(rows, [])


__all__ = ["GRAPH_BYTES", "LoadDataFromDicts"]
