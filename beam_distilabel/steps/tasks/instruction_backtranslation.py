"""InstructionBacktranslation under the import path of distilabel 1.5."""

from beam_distilabel.transforms.tasks.instruction_backtranslation import InstructionBacktranslation

__all__ = ["InstructionBacktranslation"]
