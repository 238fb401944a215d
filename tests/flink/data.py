"""The rows that go from Parquet to Parquet, and what has to be true of the result."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

DROPPED = "source"
KEPT_SCHEMA = pa.schema(
    [
        ("instruction", pa.string()),
        ("generation", pa.string()),
        ("tokens", pa.int64()),
        ("score", pa.float64()),
    ]
)
COLUMNS = KEPT_SCHEMA.names

_FILES = 8
_GROUP_ROWS = 25_000
_WORDS = np.array("what why how the number of rows is in a table so that one may know it".split())


class Content(NamedTuple):
    """What is compared of input and result; none of it depends on the order of rows.

    Attributes:
        rows: by the files' footers.
        columns: their names and types.
        tokens: the sum of the column.
        texts: the sums of the lengths, and of the numbers that the texts begin with.
    """

    rows: int
    columns: tuple[tuple[str, str], ...]
    tokens: int
    texts: tuple[int, ...]


def make_input(folder: Path, rows: int) -> Content:
    """Write `rows` rows to several Parquet files of several row groups each (zstd)."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    schema = KEPT_SCHEMA.append(pa.field(DROPPED, pa.string()))
    bounds = [rows * i // _FILES for i in range(_FILES + 1)]
    for number, (start, stop) in enumerate(zip(bounds, bounds[1:], strict=False)):
        with pq.ParquetWriter(folder / f"{number}.parquet", schema, compression="zstd") as writer:
            for first in range(start, stop, _GROUP_ROWS):
                indices = np.arange(first, min(first + _GROUP_ROWS, stop))
                table = pa.table(
                    [
                        _texts(random, indices, 10),
                        _texts(random, indices, 16),
                        pa.array(random.integers(1, 4096, len(indices))),
                        pa.array(random.random(len(indices))),
                        pa.array([f"https://example.org/{i}" for i in indices]),
                    ],
                    schema=schema,
                )
                writer.write_table(table)
    return checked(folder, columns=COLUMNS)


def _texts(random: np.random.Generator, indices: np.ndarray, words: int) -> pa.Array:
    """A text per index, which it begins with, of at most `words` words."""
    table = _WORDS[random.integers(0, len(_WORDS), (len(indices), words))]
    return pa.array([f"{i} {' '.join(row)}" for i, row in zip(indices, table, strict=True)])


def checked(folder: Path, columns: list[str] | None = None) -> Content:
    """The content of all Parquet files below `folder`.

    Args:
        folder: has at least one.
        columns: those that are looked at; None for all.
    """
    rows = tokens = 0
    names: set[tuple[tuple[str, str], ...]] = set()
    texts = [0] * 4
    for path in sorted(folder.rglob("*.parquet")):
        file = pq.ParquetFile(path)
        rows += file.metadata.num_rows
        for batch in file.iter_batches(65_536, columns=columns):
            names.add(tuple((field.name, str(field.type)) for field in batch.schema))
            tokens += pc.sum(batch["tokens"]).as_py()
            for position, name in enumerate(("instruction", "generation")):
                numbers = pc.extract_regex(batch[name], r"^(?P<number>\d+) ")
                numbers = pc.struct_field(numbers, "number").cast(pa.int64())
                texts[2 * position] += pc.sum(pc.binary_length(batch[name])).as_py()
                # Squares, so that two changes don't cancel each other out.
                texts[2 * position + 1] += pc.sum(pc.multiply(numbers, numbers)).as_py()
    [found] = names
    return Content(rows, found, tokens, tuple(texts))
