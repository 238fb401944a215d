"""The colours of pictures."""

from __future__ import annotations

from typing import Final

from beam_distilabel.pipeline.drawing.scheme import Kind

PAPER: Final = "#ffffff"
TEXT: Final = "#1f2430"
FAINT: Final = "#5b6472"
EDGE: Final = "#7b8494"

COLOURS: Final[dict[Kind, tuple[str, str]]] = {
    "source": ("#e6f4ea", "#3c8d57"),
    "step": ("#eaf1fb", "#4877b8"),
    "task": ("#f3ecfb", "#8154b5"),
    "global": ("#fdf0e2", "#c27a2c"),
    "router": ("#fffbe6", "#a8912c"),
    "subset": ("#f1f3f5", "#7b8494"),
}
"""Fill and outline of each kind of node."""

__all__ = ["COLOURS", "EDGE", "FAINT", "PAPER", "TEXT"]
