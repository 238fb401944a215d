"""Steps that tell where they run."""

from __future__ import annotations

import os

from beam_distilabel.step import Step
from beam_distilabel.typing import StepInput, StepOutput


class Where(Step):
    """Adds the worker's process, and the one that started it."""

    @property
    def inputs(self) -> list[str]:
        return []

    @property
    def outputs(self) -> list[str]:
        return ["worker", "starter"]

    def process(self, inputs: StepInput) -> StepOutput:
        yield [{**row, "worker": os.getpid(), "starter": os.getppid()} for row in inputs]
