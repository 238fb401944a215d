"""A picture as PNG, by Pillow."""

from __future__ import annotations

import io
import itertools
from typing import Any

from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.pipeline.drawing.colours import COLOURS, EDGE, FAINT, PAPER, TEXT
from beam_distilabel.pipeline.drawing.picture import (
    LABEL_SIZE,
    SUBTITLE_SIZE,
    TITLE_SIZE,
    Box,
    Curve,
    Label,
    Picture,
    Point,
)

_SCALE = 2  # pixels per unit of the picture
_SMOOTH = 2  # drawn so many times as large, then made smaller
_MAX_PIXELS = 60_000_000
_FONTS = ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "Arial.ttf")
_BOLD_FONTS = ("DejaVuSans-Bold.ttf", "NotoSans-Bold.ttf", "Arial Bold.ttf")
_STEPS = 24  # straight pieces of a curve


def to_png(picture: Picture) -> bytes:
    """The picture as a PNG file.

    Raises:
        DistilabelUserError: Pillow isn't installed.
    """
    try:
        from PIL import Image, ImageDraw
    except ImportError:
        raise DistilabelUserError(
            "to draw a PNG, Pillow is needed: pip install 'beam-distilabel[draw]'. An SVG needs "
            'nothing: pipeline.draw("pipeline.svg").'
        ) from None
    scale = _SCALE * _SMOOTH
    while scale > 1 and picture.width * picture.height * scale**2 > _MAX_PIXELS:
        scale -= 1
    size = (round(picture.width * scale), round(picture.height * scale))
    image = Image.new("RGB", size, PAPER)
    _Canvas(ImageDraw.Draw(image), scale).draw(picture)
    if scale > _SMOOTH:
        image = image.resize(
            (size[0] // _SMOOTH, size[1] // _SMOOTH), resample=Image.Resampling.LANCZOS
        )
    file = io.BytesIO()
    image.save(file, format="PNG", optimize=True)
    return file.getvalue()


class _Canvas:
    def __init__(self, draw: Any, scale: int) -> None:
        self._draw = draw
        self._scale = scale
        self._fonts = {
            (size, bold): _font(size * scale, bold)
            for size, bold in (
                (TITLE_SIZE, True),
                (SUBTITLE_SIZE, False),
                (LABEL_SIZE, False),
            )
        }

    def draw(self, picture: Picture) -> None:
        for curve in picture.curves:
            self._curve(curve, picture.downwards)
        for label in picture.labels:
            self._label(label)
        for box in picture.boxes:
            self._box(box)

    def _scaled(self, *values: float) -> list[float]:
        return [value * self._scale for value in values]

    def _curve(self, curve: Curve, downwards: bool) -> None:
        points = [curve.start]
        for one, other, end in curve.segments:
            points += _pieces(points[-1], one, other, end)
        width = round(1.5 * self._scale)
        for stretch in _dashes(points, 5, 4) if curve.is_choice else [points]:
            scaled = [(x * self._scale, y * self._scale) for x, y in stretch]
            self._draw.line(scaled, fill=EDGE, width=width, joint="curve")
        x, y = points[-1]
        back = [(x - 4, y - 8), (x + 4, y - 8)] if downwards else [(x - 8, y - 4), (x - 8, y + 4)]
        corners = [(a * self._scale, b * self._scale) for a, b in [(x, y), *back]]
        self._draw.polygon(corners, fill=EDGE)

    def _label(self, label: Label) -> None:
        left, top = label.x - label.width / 2, label.y - label.height / 2
        right, bottom = left + label.width, top + label.height
        self._draw.rectangle(self._scaled(left, top, right, bottom), fill=PAPER)
        line = label.height / len(label.lines)
        for number, text in enumerate(label.lines):
            self._text(label.x, top + line * (number + 0.5), text, LABEL_SIZE, FAINT)

    def _box(self, box: Box) -> None:
        fill, stroke = COLOURS[box.kind]
        left, top = box.x - box.width / 2, box.y - box.height / 2
        self._draw.rounded_rectangle(
            self._scaled(left, top, left + box.width, top + box.height),
            radius=(box.height / 2 if box.kind in ("router", "subset") else 7) * self._scale,
            fill=fill,
            outline=stroke,
            width=round(1.5 * self._scale),
        )
        if box.subtitle:
            self._text(box.x, box.y - 8, box.title, TITLE_SIZE, TEXT, bold=True)
            self._text(box.x, box.y + 11, box.subtitle, SUBTITLE_SIZE, FAINT)
        else:
            self._text(box.x, box.y, box.title, TITLE_SIZE, TEXT, bold=True)

    def _text(
        self, x: float, y: float, text: str, size: int, colour: str, bold: bool = False
    ) -> None:
        font = self._fonts[size, bold]
        self._draw.text(self._scaled(x, y), text, fill=colour, font=font, anchor="mm")


def _font(size: int, bold: bool) -> Any:
    """A font of the machine's, or the one that Pillow brings along."""
    from PIL import ImageFont

    for name in _BOLD_FONTS if bold else _FONTS:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return ImageFont.load_default(size)


def _pieces(start: Point, one: Point, other: Point, end: Point) -> list[Point]:
    """Points on a Bézier curve, without its start."""
    points = []
    for step in range(1, _STEPS + 1):
        t = step / _STEPS
        weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3)
        x, y = (
            sum(w * p[axis] for w, p in zip(weights, (start, one, other, end), strict=True))
            for axis in (0, 1)
        )
        points.append((x, y))
    return points


def _dashes(points: list[Point], dash: float, gap: float) -> list[list[Point]]:
    """The stretches of a line that are drawn where it is dashed."""
    stretches: list[list[Point]] = [[points[0]]]
    left, draws = dash, True
    for start, end in itertools.pairwise(points):
        length = ((end[0] - start[0]) ** 2 + (end[1] - start[1]) ** 2) ** 0.5
        done = 0.0
        while length - done > left:
            done += left
            share = done / length
            point = (
                start[0] + (end[0] - start[0]) * share,
                start[1] + (end[1] - start[1]) * share,
            )
            if draws:
                stretches[-1].append(point)
            else:
                stretches.append([point])
            draws = not draws
            left = dash if draws else gap
        left -= length - done
        if draws:
            stretches[-1].append(end)
    return [stretch for stretch in stretches if len(stretch) > 1]


__all__ = ["to_png"]
