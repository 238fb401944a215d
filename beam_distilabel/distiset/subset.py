"""One subset that lies on disk as Parquet, and how it becomes a `DatasetDict` without a cache."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from beam_distilabel.distiset.lazy_dict import Unopened
from beam_distilabel.filesystems import url_to_fs
from beam_distilabel.layout import Snapshot, SplitFiles, is_local
from beam_distilabel.summary import SubsetSummary, summarize_files

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

IN_MEMORY_BYTES = 1_000_000_000
"""A split of more bytes is memory-mapped from an Arrow file instead of read into memory."""

_ARROW_FOLDER = ".arrow"
_BATCH_ROWS = 1_000


@dataclass(frozen=True)
class Subset(Unopened):
    """The subset at `<path>/<name>`.

    Attributes:
        path: the result's folder.
        name: of the subset.
        drop: columns to leave out.
        shards: its files.
    """

    path: str
    name: str
    drop: tuple[str, ...]
    shards: Snapshot

    def open(self) -> DatasetDict:
        from datasets import DatasetDict

        return DatasetDict({split.name: self._open_split(split) for split in self.shards.splits()})

    def _open_split(self, split: SplitFiles) -> Dataset:
        from datasets import Dataset, NamedSplit

        columns = [name for name in split.schema.names if name not in self.drop]
        if split.bytes <= IN_MEMORY_BYTES:
            tables = []
            for file in split.files:
                with self.shards.open(file) as parquet:
                    tables.append(parquet.read(columns=columns))
            # The fingerprint is that of the files: computing one from the rows takes long.
            name = NamedSplit(split.name)
            return Dataset(pa.concat_tables(tables), split=name, fingerprint=split.fingerprint)
        dataset = Dataset.from_file(
            _convert_to_arrow(self.path, self.name, split, self.shards),
            split=NamedSplit(split.name),
        )
        return dataset.select_columns(columns)

    def __repr__(self) -> str:
        parts = []
        for split in self.shards.splits():
            columns = [name for name in split.schema.names if name not in self.drop]
            parts.append(
                f"    {split.name}: Dataset({{\n        features: {columns},\n"
                f"        num_rows: {split.rows}\n    }})"
            )
        body = "\n".join(parts)
        return f"DatasetDict({{\n{body}\n}})"

    def is_as_written(self) -> bool:
        """Whether its files are what it holds: no column is left out, and none was replaced."""
        return not self.drop and self.shards.is_unchanged()

    def summary(self) -> SubsetSummary:
        """What the card says of it."""
        return summarize_files(
            self.name,
            self.shards.splits(),
            self.shards.first_row(),
            self.shards.file_bytes(),
            self.drop,
        )


def _convert_to_arrow(path: str, subset: str, split: SplitFiles, shards: Snapshot) -> str:
    """The Arrow file with the rows of `split`; written once, batch by batch."""
    name = f"{split.name}-{split.fingerprint}.arrow"
    folder = _arrow_folder(path, subset)
    target = os.path.join(folder, name)
    if os.path.exists(target):
        return target
    writing = os.path.join(folder, f"{uuid.uuid4().hex}.writing")
    try:
        with pa.OSFile(writing, "wb") as sink, pa.ipc.new_stream(sink, split.schema) as stream:
            for file in split.files:
                with shards.open(file) as parquet:
                    for batch in parquet.iter_batches(batch_size=_BATCH_ROWS):
                        stream.write_batch(batch)
        os.replace(writing, target)
    finally:
        if os.path.exists(writing):
            os.remove(writing)
    for other in os.listdir(folder):
        if other.startswith(f"{split.name}-") and other.endswith(".arrow") and other != name:
            os.remove(os.path.join(folder, other))
    return target


def _arrow_folder(path: str, subset: str) -> str:
    if is_local(path):
        folder = os.path.join(url_to_fs(path)[1], _ARROW_FOLDER, subset)
        try:
            os.makedirs(folder, exist_ok=True)
        except OSError:
            pass  # a read-only result
        if os.access(folder, os.W_OK):
            return folder
    # Remote or read-only: a copy for this process alone, since a shared one could be tampered with.
    folder = tempfile.mkdtemp(prefix="distiset-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
