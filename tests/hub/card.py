"""The YAML block at the top of a README.md."""

from __future__ import annotations

import re
from typing import Any

import yaml

_BLOCK = re.compile(r"\A\s*---[ \t]*\r?\n(.*?)^---[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE)


def metadata_of(readme: str) -> dict[str, Any]:
    """The metadata of a repository card; empty if it has none.

    Raises:
        yaml.YAMLError: The block is not YAML.
        ValueError: The block is not a mapping.

    Example:
        >>> metadata_of("---\\nlicense: mit\\n---\\n# Title")
        {'license': 'mit'}
    """
    match = _BLOCK.match(readme)
    metadata = yaml.safe_load(match.group(1)) if match else None
    if metadata is None:
        return {}
    if not isinstance(metadata, dict):
        raise ValueError(f"expected a mapping, got {type(metadata).__name__}")
    return metadata
