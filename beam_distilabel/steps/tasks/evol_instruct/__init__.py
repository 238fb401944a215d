"""EvolInstruct under the import path of distilabel 1.5."""

from beam_distilabel.transforms.tasks.evol_instruct import EvolInstruct

__all__ = ["EvolInstruct"]
