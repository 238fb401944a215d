"""Steps of worker processes that wait for their test."""

from __future__ import annotations

import time
from pathlib import Path

from beam_distilabel.step import Step
from beam_distilabel.typing import StepInput, StepOutput

PATIENCE_SECONDS = 300.0


class WaitsForFile(Step):
    """Makes the file `arrived` in `folder`, and passes rows on when there is a file `go`."""

    folder: str

    def process(self, inputs: StepInput) -> StepOutput:  # type: ignore[override]
        folder = Path(self.folder)
        (folder / "arrived").touch()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (folder / "go").exists():
            if time.monotonic() > deadline:
                raise TimeoutError(f"there is no file 'go' in {folder}")
            time.sleep(0.05)
        yield list(inputs)
