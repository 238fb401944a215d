"""What a write tells of its result."""

from __future__ import annotations

from typing import TypedDict


class WrittenFile(TypedDict):
    """A final shard; `path` is relative to the result's folder."""

    path: str
    rows: int
    bytes: int
    sha256: str


class WrittenSubset(TypedDict):
    """What was written of one subset; `schema` maps columns to Arrow types, as text."""

    rows: int
    files: list[WrittenFile]
    schema: dict[str, str]


Manifest = dict[str, WrittenSubset]
"""Subset name to what was written of it; a subset without rows and known columns has no files."""
