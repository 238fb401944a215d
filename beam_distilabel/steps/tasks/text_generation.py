"""Text generation under the import path of distilabel 1.5."""

from beam_distilabel.transforms.tasks.text_generation import ChatGeneration, TextGeneration

__all__ = ["ChatGeneration", "TextGeneration"]
