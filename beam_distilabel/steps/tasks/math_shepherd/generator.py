"""MathShepherdGenerator under the import path of distilabel 1.5."""

from beam_distilabel.transforms.tasks.math_shepherd_generator import MathShepherdGenerator

__all__ = ["MathShepherdGenerator"]
