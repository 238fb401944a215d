"""Pictures of a pipeline's graph: SVG, PNG and Mermaid text, without any network."""

from beam_distilabel.pipeline.drawing.draw import DRAW_FORMATS, draw, svg_of

__all__ = ["DRAW_FORMATS", "draw", "svg_of"]
