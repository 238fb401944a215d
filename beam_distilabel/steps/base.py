"""The Step base classes under the import path of distilabel 1.5."""

from beam_distilabel.runtime_parameters import RuntimeParameter
from beam_distilabel.step import (
    DEFAULT_BATCH_SIZE as DEFAULT_INPUT_BATCH_SIZE,
    GeneratorStep,
    GlobalStep,
    Step,
    StepResources,
    _Step,
)
from beam_distilabel.typing import StepInput

__all__ = [
    "DEFAULT_INPUT_BATCH_SIZE",
    "GeneratorStep",
    "GlobalStep",
    "RuntimeParameter",
    "Step",
    "StepInput",
    "StepResources",
    "_Step",
]
