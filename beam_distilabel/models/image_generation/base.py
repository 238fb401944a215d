"""Image generation under the import path of distilabel 1.5."""

from beam_distilabel.models.image_generation import AsyncImageGenerationModel, ImageGenerationModel

__all__ = ["AsyncImageGenerationModel", "ImageGenerationModel"]
