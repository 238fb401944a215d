"""What a result holds, in few words: names, numbers of rows, sizes, types, and one row each."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from beam_distilabel.layout import (
    SplitFiles,
    first_row,
    list_shards,
    read_splits,
    split_of,
    subset_names,
)
from beam_distilabel.manifest import Manifest, WrittenFile, read_schema_text


@dataclass(frozen=True)
class SubsetSummary:
    """What the card says of one subset.

    Attributes:
        name: of the subset.
        splits: split name to its number of rows.
        columns: column name to type, as text.
        sample: one row, if there is one.
        data_files: split name to the pattern of its files, relative to the card; empty where the
            card shouldn't name files.
        bytes: split name to the size of its data without compression, where that is known.
        file_bytes: split name to the size of its files, where there are files.
        schema: the Arrow schema of all splits with its metadata; None where it isn't known, or
            isn't the same in all of them.

    Example:
        >>> SubsetSummary("default", {"train": 2, "test": 1}).rows
        3
    """

    name: str
    splits: Mapping[str, int]
    columns: Mapping[str, str] = field(default_factory=dict)
    sample: Mapping[str, Any] | None = None
    data_files: Mapping[str, str] = field(default_factory=dict)
    bytes: Mapping[str, int] = field(default_factory=dict)
    file_bytes: Mapping[str, int] = field(default_factory=dict)
    schema: pa.Schema | None = None

    @property
    def rows(self) -> int:
        """The rows of all splits."""
        return sum(self.splits.values())


def summarize(path: str) -> list[SubsetSummary]:
    """The subsets in the result folder `path`, from footers and one row each.

    Args:
        path: a local path or any URL that fsspec knows.
    """
    summaries = []
    for name in subset_names(path):
        folder = posixpath.join(path, name)
        splits = read_splits(folder)
        sizes = {
            split: sum(int(entry["size"]) for entry in entries)
            for split, entries in list_shards(folder).items()
        }
        summaries.append(summarize_files(name, splits, first_row(splits[0].files), sizes))
    return summaries


def summarize_files(
    name: str,
    splits: Sequence[SplitFiles],
    sample: Mapping[str, Any] | None,
    file_bytes: Mapping[str, int] | None = None,
    drop: Collection[str] = (),
) -> SubsetSummary:
    """The summary of a subset whose footers were read.

    Args:
        name: of the subset.
        splits: its splits, at least one.
        sample: one of its rows.
        file_bytes: split name to the size of its files.
        drop: columns that the card leaves out. The files hold them, so that the summary then names
            no files and has no sizes.
    """
    schema = splits[0].schema
    shown = [column for column in schema if column.name not in drop]
    summary = SubsetSummary(
        name=name,
        splits={split.name: split.rows for split in splits},
        columns={column.name: str(column.type) for column in shown},
        sample={k: v for k, v in sample.items() if k not in drop} if sample else None,
    )
    if len(shown) < len(schema):
        return summary
    return SubsetSummary(
        name=name,
        splits=summary.splits,
        columns=summary.columns,
        sample=summary.sample,
        data_files={split.name: f"{_literal(name)}/{split.name}-*.parquet" for split in splits},
        bytes={split.name: split.bytes for split in splits},
        file_bytes=dict(file_bytes or {}),
        schema=schema if all(split.schema.equals(schema) for split in splits) else None,
    )


def summarize_manifest(manifest: Manifest, splits: Collection[str] = ()) -> list[SubsetSummary]:
    """The subsets of a result by what its write told; no file is read.

    Args:
        manifest: what the write told. Of a subset without files the summary has no rows and names
            no files, so that a card can take out what it says of older ones.
        splits: that were written. A subset without files has none of its own: with these the
            summary tells which splits of it have no rows.
    """
    written_splits = dict.fromkeys(splits, 0)
    summaries = []
    for name, written in manifest.items():
        if not written["files"]:
            summaries.append(SubsetSummary(name, written_splits, columns=dict(written["schema"])))
            continue
        schema = read_schema_text(written["arrow_schema"])
        by_split: dict[str, list[WrittenFile]] = {}
        for file in written["files"]:
            by_split.setdefault(split_of(posixpath.basename(file["path"])) or "", []).append(file)
        summaries.append(
            SubsetSummary(
                name=name,
                splits={split: sum(f["rows"] for f in files) for split, files in by_split.items()},
                columns={column.name: str(column.type) for column in schema},
                sample=written["sample"],
                data_files={split: f"{_literal(name)}/{split}-*.parquet" for split in by_split},
                bytes={s: sum(f["data_bytes"] for f in files) for s, files in by_split.items()},
                file_bytes={s: sum(f["bytes"] for f in files) for s, files in by_split.items()},
                schema=schema,
            )
        )
    return summaries


def summarize_dataset(name: str, value: Any) -> SubsetSummary:
    """The summary of a `DatasetDict`, or of a `Dataset`, which counts as `train`."""
    parts: dict[str, Any] = dict(value) if isinstance(value, dict) else {"train": value}
    first = next(iter(parts.values()))
    table = first.with_format("arrow")[:1] if len(first) else None
    same = all(dataset.features == first.features for dataset in parts.values())
    return SubsetSummary(
        name=name,
        splits={split: len(dataset) for split, dataset in parts.items()},
        columns={name: str(feature) for name, feature in first.features.items()},
        sample=table.to_pylist()[0] if table is not None else None,
        bytes={split: _bytes_of(dataset) for split, dataset in parts.items()},
        schema=first.features.arrow_schema if same else None,
    )


def _bytes_of(dataset: Any) -> int:
    """The size of a Dataset's rows, about, where it shows a part of its table."""
    table = dataset.data
    return int(table.nbytes * len(dataset) / table.num_rows) if table.num_rows else 0


def _literal(name: str) -> str:
    """`name` in a pattern that stands for it alone."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)
