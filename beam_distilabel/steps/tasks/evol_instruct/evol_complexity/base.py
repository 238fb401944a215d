"""EvolComplexity under the import path of distilabel 1.5."""

from beam_distilabel.transforms.tasks.evol_complexity import EvolComplexity

__all__ = ["EvolComplexity"]
