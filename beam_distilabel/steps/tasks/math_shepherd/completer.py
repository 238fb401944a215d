"""MathShepherdCompleter under the import path of distilabel 1.5."""

from beam_distilabel.transforms.tasks.math_shepherd_completer import MathShepherdCompleter

__all__ = ["MathShepherdCompleter"]
