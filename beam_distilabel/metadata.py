"""The `distilabel_metadata` column: what happened to a row, per Step; nothing is overwritten."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

from beam_distilabel.row import Row

METADATA = "distilabel_metadata"


class MetadataKeys(NamedTuple):
    """What a Task calls its entries."""

    raw_input: str
    raw_output: str
    statistics: str
    finish_reason: str
    failure: str
    reasoning: str


@functools.cache
def metadata_keys(step: str) -> MetadataKeys:
    """The names of the entries of the Task `step`."""
    return MetadataKeys(*(f"{name}_{step}" for name in MetadataKeys._fields))


def metadata_of(row: Row) -> dict[str, Any]:
    """A copy of the row's metadata; what isn't a dict is kept under `upstream`."""
    metadata = row.get(METADATA)
    if metadata is None:
        return {}
    if isinstance(metadata, dict):
        return dict(metadata)
    return {"upstream": metadata}


def with_failure(row: Row, step: str, reason: dict[str, Any]) -> Row:
    """`row` with the reason why the Step `step` could not finish it."""
    return {**row, METADATA: {**metadata_of(row), f"failure_{step}": reason}}
