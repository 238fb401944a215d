"""The Step types under the import path of distilabel 1.5."""

from beam_distilabel.typing import GeneratorStepOutput, StepColumns, StepInput, StepOutput

__all__ = ["GeneratorStepOutput", "StepColumns", "StepInput", "StepOutput"]
