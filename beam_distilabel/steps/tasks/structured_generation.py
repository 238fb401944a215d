"""StructuredGeneration under the import path of distilabel 1.5."""

from beam_distilabel.transforms.tasks.structured_generation import StructuredGeneration

__all__ = ["StructuredGeneration"]
