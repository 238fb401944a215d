"""What a write tells of its result: enough to publish and describe it without reading it again."""

from __future__ import annotations

import base64
from typing import Any, TypedDict

import pyarrow as pa


class WrittenFile(TypedDict):
    """A final shard.

    Keys:
        path: relative to the result's folder.
        rows: by its footer.
        bytes: the file's size.
        data_bytes: of the rows when they aren't compressed, by its footer.
        sha256: of the file, in hex.
    """

    path: str
    rows: int
    bytes: int
    data_bytes: int
    sha256: str


class WrittenSubset(TypedDict):
    """What was written of one subset.

    Keys:
        rows: of all files.
        files: in order.
        schema: column to Arrow type, as text.
        arrow_schema: the files' schema as an Arrow IPC message in base64; empty without files.
        sample: one row, long values cut; None without rows.
    """

    rows: int
    files: list[WrittenFile]
    schema: dict[str, str]
    arrow_schema: str
    sample: dict[str, Any] | None


Manifest = dict[str, WrittenSubset]
"""Subset name to what was written of it; a subset without rows and known columns has no files."""


def schema_text(schema: pa.Schema) -> str:
    """A schema as text that JSON can hold; `read_schema_text` gives it back."""
    return base64.b64encode(schema.serialize().to_pybytes()).decode()


def read_schema_text(text: str) -> pa.Schema:
    """The schema that `schema_text` wrote; one without columns for an empty text.

    Example:
        >>> read_schema_text(schema_text(pa.schema([("a", pa.int64())]))).names
        ['a']
    """
    return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(text))) if text else pa.schema([])
