"""EvolQuality under the import path of distilabel 1.5."""

from beam_distilabel.transforms.tasks.evol_quality import EvolQuality

__all__ = ["EvolQuality"]
