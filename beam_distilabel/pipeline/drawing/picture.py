"""Where everything of a picture is: boxes, labels and curves, ready to be drawn."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from beam_distilabel.pipeline.drawing.layers import Spot, arrange
from beam_distilabel.pipeline.drawing.scheme import Kind, Node, Scheme
from beam_distilabel.pipeline.drawing.text_width import cut, width_of

TITLE_SIZE, SUBTITLE_SIZE, LABEL_SIZE = 14, 11, 11
"""Sizes of the texts, in pixels."""

_MARGIN = 24.0
_PADDING = 14.0
_GAP = 22.0  # between boxes side by side
_LINE = LABEL_SIZE + 4
_MAX_COLUMNS = 4
_MAX_CHARACTERS = 42

Point = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class Box:
    """A node: its middle, its size, and what stands in it."""

    kind: Kind
    x: float
    y: float
    width: float
    height: float
    title: str
    subtitle: str
    hint: str


@dataclasses.dataclass(frozen=True)
class Label:
    """Columns beside an edge: the middle of the text, its size and its lines."""

    x: float
    y: float
    width: float
    height: float
    lines: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Curve:
    """An edge: a start, and Bézier segments of two control points and an end.

    Attributes:
        start: where it begins.
        segments: how it goes on.
        is_choice: whether only some of the rows take it.
    """

    start: Point
    segments: tuple[tuple[Point, Point, Point], ...]
    is_choice: bool


@dataclasses.dataclass(frozen=True)
class Picture:
    """Everything that is drawn, in pixels from the upper left corner."""

    width: float
    height: float
    boxes: tuple[Box, ...]
    labels: tuple[Label, ...]
    curves: tuple[Curve, ...]
    downwards: bool


def picture_of(scheme: Scheme, top_to_bottom: bool, show_edge_labels: bool) -> Picture:
    """Arrange a scheme from left to right, or from top to bottom."""
    sizes = [_box_size(node) for node in scheme.nodes]
    lines = [_label_lines(node) if show_edge_labels else () for node in scheme.nodes]
    texts = [_label_size(several) for several in lines]
    spots = []
    for (width, height), (label_width, label_height) in zip(sizes, texts, strict=True):
        along, across = (height, width) if top_to_bottom else (width, height)
        stem, beside = (label_height, label_width) if top_to_bottom else (label_width, label_height)
        stem = stem + 20 if stem else 10
        spots.append(Spot(along, max(across, beside), stem))
    places = arrange(spots, scheme.edges, _GAP)

    def at(main: float, cross: float) -> Point:
        point = (cross, main) if top_to_bottom else (main, cross)
        return point[0] + _MARGIN, point[1] + _MARGIN

    boxes, labels = [], []
    for node, spot, place, size, text, several in zip(
        scheme.nodes, spots, places.nodes, sizes, texts, lines, strict=True
    ):
        x, y = at(place.main + spot.along / 2, place.cross)
        title, subtitle = (cut(part, _MAX_CHARACTERS) for part in (node.title, node.subtitle))
        boxes.append(Box(node.kind, x, y, size[0], size[1], title, subtitle, _hint(node)))
        if several:
            x, y = at(place.main + spot.along + spot.stem / 2, place.cross)
            labels.append(Label(x, y, text[0], text[1], several))
    curves = [
        _curve([at(*point) for point in route], scheme.is_choice(edge), top_to_bottom)
        for edge, route in zip(scheme.edges, places.routes, strict=True)
    ]
    width, height = at(places.length, places.breadth)
    return Picture(
        width + _MARGIN,
        height + _MARGIN,
        tuple(boxes),
        tuple(labels),
        tuple(curves),
        top_to_bottom,
    )


def _box_size(node: Node) -> tuple[float, float]:
    title = width_of(cut(node.title, _MAX_CHARACTERS), TITLE_SIZE * 1.06)  # bold
    subtitle = width_of(cut(node.subtitle, _MAX_CHARACTERS), SUBTITLE_SIZE)
    return max(title, subtitle, 40) + 2 * _PADDING, 50 if node.subtitle else 32


def _label_lines(node: Node) -> tuple[str, ...]:
    columns = node.columns or ()
    shown = columns if len(columns) <= _MAX_COLUMNS else columns[: _MAX_COLUMNS - 1]
    rest = len(columns) - len(shown)
    more = [f"and {rest} more"] if rest else []
    return (*(cut(column, 28) for column in shown), *more)


def _label_size(lines: Sequence[str]) -> tuple[float, float]:
    if not lines:
        return 0, 0
    return max(width_of(line, LABEL_SIZE) for line in lines) + 8, _LINE * len(lines) + 4


def _hint(node: Node) -> str:
    parts = [node.title, node.subtitle, node.hint]
    if node.columns:
        parts.append("columns: " + ", ".join(node.columns))
    return "\n".join(filter(None, parts))


def _curve(points: list[Point], is_choice: bool, downwards: bool) -> Curve:
    """A smooth way through points; every second stretch, from the first on, is straight."""
    segments = []
    for number, (start, end) in enumerate(zip(points, points[1:], strict=False)):
        if number % 2 == 0:
            segments.append((start, end, end))
        elif downwards:
            middle = (start[1] + end[1]) / 2
            segments.append(((start[0], middle), (end[0], middle), end))
        else:
            middle = (start[0] + end[0]) / 2
            segments.append(((middle, start[1]), (middle, end[1]), end))
    return Curve(points[0], tuple(segments), is_choice)


__all__ = [
    "LABEL_SIZE",
    "SUBTITLE_SIZE",
    "TITLE_SIZE",
    "Box",
    "Curve",
    "Label",
    "Picture",
    "picture_of",
]
