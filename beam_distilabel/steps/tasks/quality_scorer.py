"""QualityScorer under the import path of distilabel 1.5."""

from beam_distilabel.transforms.tasks.quality_scorer import QualityScorer

__all__ = ["QualityScorer"]
