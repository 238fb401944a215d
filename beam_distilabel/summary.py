"""What a result holds, in few words: names, numbers of rows, types, and one row each."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from beam_distilabel.layout import first_row, read_splits, subset_names


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
    """

    name: str
    splits: Mapping[str, int]
    columns: Mapping[str, str] = field(default_factory=dict)
    sample: Mapping[str, Any] | None = None
    data_files: Mapping[str, str] = field(default_factory=dict)


def summarize(path: str) -> list[SubsetSummary]:
    """The subsets in the result folder `path`, from footers and one row each."""
    summaries = []
    for name in subset_names(path):
        splits = read_splits(posixpath.join(path, name))
        summaries.append(
            SubsetSummary(
                name=name,
                splits={split.name: split.rows for split in splits},
                columns={column.name: str(column.type) for column in splits[0].schema},
                sample=first_row(splits[0].files),
                data_files={split.name: f"{name}/{split.name}-*.parquet" for split in splits},
            )
        )
    return summaries


def summarize_dataset(name: str, value: Any) -> SubsetSummary:
    """The summary of a `DatasetDict`, or of a `Dataset`, which counts as `train`."""
    parts: dict[str, Any] = dict(value) if isinstance(value, dict) else {"train": value}
    first = next(iter(parts.values()))
    table = first.with_format("arrow")[:1] if len(first) else None
    return SubsetSummary(
        name=name,
        splits={split: len(dataset) for split, dataset in parts.items()},
        columns={name: str(feature) for name, feature in first.features.items()},
        sample=table.to_pylist()[0] if table is not None else None,
    )
