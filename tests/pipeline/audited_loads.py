"""Loads pipeline files in a process that notes what they cause; prints it as JSON.

Usage: python -m tests.pipeline.audited_loads FILE...
"""

from __future__ import annotations

import json
import sys
from typing import Any

from beam_distilabel.dumping import Dumpable
from beam_distilabel.pipeline import Pipeline
from beam_distilabel.pipeline.registry import known_classes

WATCHED = ("compile", "exec", "import", "open", "os.", "shutil.", "socket.", "subprocess.")
"""The beginnings of the events of `sys.audit` that loading a file must not cause."""

_events: list[str] | None = None


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if _events is not None and event.startswith(WATCHED):
        _events.append(f"{event} {arguments!r}"[:300])


def main(files: list[str]) -> None:
    """Load each file twice, first for what the process does once, and print what happened."""
    global _events
    known_classes(Dumpable)
    sys.addaudithook(_note)
    outcomes = []
    for file in files:
        modules = set(sys.modules)
        _events = []
        try:
            outcome = f"loaded {Pipeline.from_file(file).step_names}"
        except Exception as error:
            outcome = f"{type(error).__name__}: {error}"
        events, _events = _events, None
        events += [f"imported {name}" for name in sorted(set(sys.modules) - modules)]
        outcomes.append({"file": file, "outcome": outcome, "events": events})
    json.dump(outcomes, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])
