"""CLAIR under the import path of distilabel 1.5."""

from beam_distilabel.transforms.tasks.clair import CLAIR

__all__ = ["CLAIR"]
