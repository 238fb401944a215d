"""URIAL under the import path of distilabel 1.5."""

from beam_distilabel.transforms.tasks.urial import URIAL

__all__ = ["URIAL"]
