"""APIGenGenerator under the import path of distilabel 1.5."""

from beam_distilabel.transforms.tasks.api_gen_generator import APIGenGenerator

__all__ = ["APIGenGenerator"]
