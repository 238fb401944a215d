"""Splits on the Hub in formats that only `datasets` reads: streamed by it, shard by shard."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import pyarrow as pa
from pydantic import SecretStr

from beam_distilabel.errors import DistilabelError
from beam_distilabel.row import ROW_ID, Row, number_equal_rows, position_id
from beam_distilabel.secrets.references import plain_if_there
from beam_distilabel.transforms.sources.hub_repository import patiently, unreadable
from beam_distilabel.transforms.sources.readers import Block
from beam_distilabel.transforms.sources.units import BLOCK_BYTES, BLOCK_ROWS

_FILES_AT_ONCE = 16


class Stream(NamedTuple):
    """A split that only `datasets` can read: what a worker needs to do so."""

    repo_id: str
    config: str | None
    split: str
    revision: str
    token: SecretStr | None

    @property
    def plain_token(self) -> str | None:
        """The token as text, for `datasets` alone."""
        return plain_if_there(self.token)


class Part(NamedTuple):
    """What one worker reads of a split at a time: shards in turn.

    Attributes:
        first: the first shard.
        stop: the one after the last.
        shards: how many the split has.
        limit: how many rows at most, None for all.
    """

    first: int
    stop: int
    shards: int
    limit: int | None = None


def open_stream(stream: Stream) -> Any:
    """The split as an `IterableDataset`.

    Raises:
        DistilabelUserError: `datasets` doesn't open it; says what to do.
    """
    import datasets

    with _explaining(stream):
        return patiently(
            f"the dataset {stream.repo_id!r}",
            lambda: datasets.load_dataset(
                stream.repo_id,
                stream.config,
                split=stream.split,
                revision=stream.revision,
                token=stream.plain_token,
                streaming=True,
            ),
        )


def read_stream(stream: Stream, part: Part) -> Iterator[Block]:
    """The rows of a part of a split, block by block, with ids of shard and index in it.

    Images and audio stay encoded; what the dataset has as files of their own is read in.

    Raises:
        DistilabelUserError: `datasets` can't read it; says what to do.
    """
    remaining = part.limit
    dataset = open_stream(stream)
    features = dataset.features
    if features is not None:
        dataset = dataset.decode(False)
    for shard in range(part.first, part.stop):
        if remaining is not None and remaining <= 0:
            return
        rows = dataset
        if part.shards > 1:
            rows = dataset.shard(num_shards=part.shards, index=shard)
        sized = _with_files(itertools.islice(rows, remaining), features, stream)
        block: list[Row] = []
        num_bytes = 0
        index = -1
        numbered = enumerate(sized)
        while True:
            with _explaining(stream):
                index, (row, size) = next(numbered, (index, (None, 0)))
            if row is None:
                break
            block.append({**row, ROW_ID: position_id(shard, index)})
            num_bytes += size
            if len(block) >= BLOCK_ROWS or num_bytes >= BLOCK_BYTES:
                yield _numbered(block)
                block, num_bytes = [], 0
        if block:
            yield _numbered(block)
        if remaining is not None:
            remaining -= index + 1


@contextlib.contextmanager
def _explaining(stream: Stream) -> Iterator[None]:
    """Says of whatever `datasets` raises what was read, and what to do.

    Raises:
        DistilabelUserError: in place of any exception.
    """
    try:
        yield
    except DistilabelError:
        raise
    except Exception as error:
        raise unreadable(stream.repo_id, stream.revision, stream.plain_token, error) from error


def _numbered(rows: list[Row]) -> Block:
    number_equal_rows(rows)
    return Block(rows, [])


def _with_files(rows: Iterable[Row], features: Any, stream: Stream) -> Iterator[tuple[Row, int]]:
    """Rows with the contents of files in place of their paths, and about how large these are."""
    import datasets
    from datasets.features.features import require_storage_embed
    from datasets.table import embed_table_storage

    names = [name for name, kind in (features or {}).items() if require_storage_embed(kind)]
    if not names:
        yield from ((row, 0) for row in rows)
        return
    schema = datasets.Features({name: features[name] for name in names}).arrow_schema
    rows = iter(rows)
    while group := list(itertools.islice(rows, _FILES_AT_ONCE)):
        table = pa.Table.from_pylist([{n: row.get(n) for n in names} for row in group], schema)
        # A path of the machine that reads is no part of a dataset on the Hub.
        table = embed_table_storage(
            table, token_per_repo_id={stream.repo_id: stream.plain_token}, local_files=False
        )
        size = table.nbytes // len(group)
        for row, read in zip(group, table.to_pylist(), strict=True):
            yield {**row, **read}, size
