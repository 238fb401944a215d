"""ComplexityScorer under the import path of distilabel 1.5."""

from beam_distilabel.transforms.tasks.complexity_scorer import ComplexityScorer

__all__ = ["ComplexityScorer"]
