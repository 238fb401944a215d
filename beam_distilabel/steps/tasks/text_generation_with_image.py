"""TextGenerationWithImage under the import path of distilabel 1.5."""

from beam_distilabel.transforms.tasks.text_generation_with_image import TextGenerationWithImage

__all__ = ["TextGenerationWithImage"]
