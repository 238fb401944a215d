"""ImageGeneration under the import path of distilabel 1.5."""

from beam_distilabel.transforms.tasks.image_generation import ImageGeneration

__all__ = ["ImageGeneration"]
