"""Loads pipeline files in a process that notes what they cause; prints it, and which classes are
known there, as JSON.

Usage: python -m tests.pipeline.audited_loads FILE...
"""

from __future__ import annotations

import json
import resource
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
    """Load each file, and print what came of it."""
    global _events
    known = sorted(known_classes(Dumpable))
    sys.addaudithook(_note)
    outcomes = []
    for file in files:
        modules = set(sys.modules)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        _events = []
        try:
            outcome = f"loaded {Pipeline.from_file(file).step_names}"
        except Exception as error:
            outcome = f"{type(error).__name__}: {error}"
        events, _events = _events, None
        events += [f"imported {name}" for name in sorted(set(sys.modules) - modules)]
        grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak)
        outcomes.append({"file": file, "outcome": outcome, "events": events, "grown": grown})
    json.dump({"known": known, "files": outcomes}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])
