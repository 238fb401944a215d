"""What streams in tests are made of: an LLM that counts, and files with times of their own."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from beam_distilabel.models.base import AsyncLLM
from beam_distilabel.typing import GenerateOutput


class CountingLLM(AsyncLLM):
    """Answers in capitals, and writes down what it was asked, on whichever worker it is.

    Attributes:
        journal: the file that gets one line per question.
    """

    journal: str

    @property
    def model_name(self) -> str:
        return "counting"

    async def agenerate(  # type: ignore[override]
        self, input: list[dict[str, str]], num_generations: int = 1
    ) -> GenerateOutput:
        text = input[-1]["content"]
        file = os.open(self.journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            os.write(file, f"{text}\n".encode())  # one call: lines of several workers don't mix
        finally:
            os.close(file)
        return {"generations": [text.upper()] * num_generations}


def asked(journal: Path) -> Counter[str]:
    """Question to how often it was asked."""
    return Counter(journal.read_text().splitlines()) if journal.exists() else Counter()


class FileClock:
    """A clock that shows what a file says, so that a test decides when windows end."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)

    def __call__(self) -> float:
        return float(Path(self._path).read_text())

    def set(self, seconds: float) -> None:
        new = Path(f"{self._path}.new")
        new.write_text(repr(seconds))
        new.rename(self._path)


def drop(folder: Path, name: str, changed: float, rows: Iterable[dict[str, Any]]) -> None:
    """Let a file of rows, last changed at `changed`, appear in `folder` as a whole."""
    folder.mkdir(parents=True, exist_ok=True)
    hidden = folder / f".{name}"
    hidden.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    os.utime(hidden, (changed, changed))
    hidden.rename(folder / name)
