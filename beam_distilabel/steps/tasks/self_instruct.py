"""SelfInstruct under the import path of distilabel 1.5."""

from beam_distilabel.transforms.tasks.self_instruct import SelfInstruct

__all__ = ["SelfInstruct"]
