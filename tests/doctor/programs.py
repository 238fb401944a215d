"""Programs for a PATH of a test's own."""

from __future__ import annotations

from pathlib import Path

import pytest


def only_path(folder: Path, monkeypatch: pytest.MonkeyPatch, **programs: str) -> None:
    """Leave on PATH the shell scripts `programs`, by name, and what they need themselves.

    Args:
        folder: is made, and gets them.
        monkeypatch: of the test.
        programs: name to the text of a shell script; `_` stands for `-`.
    """
    folder.mkdir(exist_ok=True)
    for name, text in programs.items():
        program = folder / name.replace("_", "-")
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
