"""Genstruct under the import path of distilabel 1.5."""

from beam_distilabel.transforms.tasks.genstruct import Genstruct

__all__ = ["Genstruct"]
