"""MagpieGenerator under the import path of distilabel 1.5."""

from beam_distilabel.transforms.tasks.magpie import MagpieGenerator

__all__ = ["MagpieGenerator"]
