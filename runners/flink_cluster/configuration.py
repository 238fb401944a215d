"""Flink's configuration file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

CONFIGURATION_FILE = "flink-conf.yaml"
"""Its name up to Flink 1.20, which reads `config.yaml` too."""


def write_configuration(folder: Path, settings: Mapping[str, object]) -> None:
    """Write `settings`, by Flink's own names, into the file in `folder` that Flink looks for.

    Raises:
        ValueError: a name or value would be more than one line.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> write_configuration(folder, {"restart-strategy.type": "none", "object-reuse": True})
        >>> print((folder / CONFIGURATION_FILE).read_text(), end="")
        restart-strategy.type: none
        object-reuse: true
    """
    lines = []
    for name, value in settings.items():
        text = json.dumps(value) if isinstance(value, bool) else str(value)
        if "\n" in name + text:
            raise ValueError(f"Flink's configuration: {name!r} has more than one line: {value!r}")
        lines.append(f"{name}: {text}\n")
    (folder / CONFIGURATION_FILE).write_text("".join(lines))
