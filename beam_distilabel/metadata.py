"""The `distilabel_metadata` column: what happened to a row, per Step; nothing is overwritten."""

from __future__ import annotations

import functools
from collections.abc import Iterable
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


def merged_metadata(found: Iterable[Any]) -> Any:
    """The metadata of rows that become one: those of Steps before they parted occur once.

    Args:
        found: what each row has in `distilabel_metadata`: a dict, a list of dicts (one per
            generation, of rows that distilabel wrote), or None.

    Returns:
        A dict; where an entry differs, the list of its values. If there is a list among them, the
        list of all dicts.

    Example:
        >>> merged_metadata([{"raw_output_a": "x", "failure_load": None}, {"failure_load": None}])
        {'raw_output_a': 'x', 'failure_load': None}
        >>> merged_metadata([{"raw_output_a": "x"}, {"raw_output_a": "y"}])
        {'raw_output_a': ['x', 'y']}
    """
    several = [metadata for metadata in found if metadata is not None]
    if any(isinstance(metadata, list) for metadata in several):
        return [
            entry
            for metadata in several
            for entry in (metadata if isinstance(metadata, list) else [metadata])
        ]
    merged: dict[str, Any] = {}
    differing: dict[str, list[Any]] = {}
    for metadata in several:
        entries = metadata if isinstance(metadata, dict) else {"upstream": metadata}
        for name, value in entries.items():
            if name not in merged:
                merged[name] = value
            elif value not in (known := differing.get(name, [merged[name]])):
                differing[name] = [*known, value]
    return {**merged, **differing} if differing else merged


def merge_distilabel_metadata(*output_dicts: Row) -> Any:
    """The metadata of several rows as that of one: `merged_metadata`, for distilabel's scripts.

    Example:
        >>> merge_distilabel_metadata({METADATA: {"a": 1}}, {"x": 2}, {METADATA: {"b": 3}})
        {'a': 1, 'b': 3}
    """
    return merged_metadata(row.get(METADATA) for row in output_dicts)


def merge_rows(rows: Iterable[Row]) -> Row:
    """One row of several: of a column that more than one has, the last one's value; all metadata.

    Example:
        >>> merge_rows([{"x": 1, "a": 2}, {"x": 3, "b": 4}])
        {'x': 3, 'a': 2, 'b': 4}
    """
    merged: Row = {}
    metadata = []
    for row in rows:
        merged.update(row)
        if METADATA in row:
            metadata.append(row[METADATA])
    if len(metadata) > 1:
        merged[METADATA] = merged_metadata(metadata)
    return merged
