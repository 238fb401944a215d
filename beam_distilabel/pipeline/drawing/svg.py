"""A picture as SVG, one element that HTML can hold."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from beam_distilabel.pipeline.drawing.colours import COLOURS, EDGE, FAINT, PAPER, TEXT
from beam_distilabel.pipeline.drawing.picture import (
    LABEL_SIZE,
    SUBTITLE_SIZE,
    TITLE_SIZE,
    Box,
    Curve,
    Label,
    Picture,
)

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_FONT = "ui-sans-serif, system-ui, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"


def to_svg(picture: Picture, title: str) -> str:
    """The picture as an SVG element; every text in it is escaped."""
    width, height = _number(picture.width), _number(picture.height)
    svg = ElementTree.Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": f"0 0 {width} {height}",
            "width": width,
            "height": height,
            "role": "img",
            "font-family": _FONT,
            "style": "max-width: 100%; height: auto",
        },
    )
    ElementTree.SubElement(svg, "title").text = _text(title)
    ElementTree.SubElement(
        svg, "rect", {"width": width, "height": height, "rx": "8", "fill": PAPER}
    )
    for curve in picture.curves:
        _add_curve(svg, curve, picture.downwards)
    for label in picture.labels:
        _add_label(svg, label)
    for box in picture.boxes:
        _add_box(svg, box)
    return ElementTree.tostring(svg, encoding="unicode")


def _add_curve(svg: ElementTree.Element, curve: Curve, downwards: bool) -> None:
    parts = [f"M{_number(curve.start[0])} {_number(curve.start[1])}"]
    for points in curve.segments:
        parts.append("C" + " ".join(f"{_number(x)} {_number(y)}" for x, y in points))
    attributes = {"d": "".join(parts), "fill": "none", "stroke": EDGE, "stroke-width": "1.5"}
    if curve.is_choice:
        attributes["stroke-dasharray"] = "5 4"
    ElementTree.SubElement(svg, "path", attributes)
    x, y = curve.segments[-1][-1]
    back = [(x - 4, y - 8), (x + 4, y - 8)] if downwards else [(x - 8, y - 4), (x - 8, y + 4)]
    corners = " ".join(f"{_number(a)},{_number(b)}" for a, b in [(x, y), *back])
    ElementTree.SubElement(svg, "polygon", {"points": corners, "fill": EDGE})


def _add_label(svg: ElementTree.Element, label: Label) -> None:
    left, top = label.x - label.width / 2, label.y - label.height / 2
    ElementTree.SubElement(
        svg,
        "rect",
        {
            "x": _number(left),
            "y": _number(top),
            "width": _number(label.width),
            "height": _number(label.height),
            "fill": PAPER,
        },
    )
    line = label.height / len(label.lines)
    for number, text in enumerate(label.lines):
        y = top + line * (number + 0.5) + LABEL_SIZE * 0.35
        _add_text(svg, label.x, y, text, LABEL_SIZE, FAINT)


def _add_box(svg: ElementTree.Element, box: Box) -> None:
    group = ElementTree.SubElement(svg, "g")
    ElementTree.SubElement(group, "title").text = _text(box.hint)
    fill, stroke = COLOURS[box.kind]
    rounded = box.kind in ("router", "subset")
    attributes = {
        "x": _number(box.x - box.width / 2),
        "y": _number(box.y - box.height / 2),
        "width": _number(box.width),
        "height": _number(box.height),
        "rx": _number(box.height / 2 if rounded else 7),
        "fill": fill,
        "stroke": stroke,
        "stroke-width": "1.5",
    }
    ElementTree.SubElement(group, "rect", attributes)
    if box.subtitle:
        _add_text(group, box.x, box.y - 3, box.title, TITLE_SIZE, TEXT, bold=True)
        _add_text(group, box.x, box.y + 15, box.subtitle, SUBTITLE_SIZE, FAINT)
    else:
        _add_text(group, box.x, box.y + 5, box.title, TITLE_SIZE, TEXT, bold=True)


def _add_text(
    parent: ElementTree.Element,
    x: float,
    y: float,
    text: str,
    size: int,
    colour: str,
    bold: bool = False,
) -> None:
    attributes = {
        "x": _number(x),
        "y": _number(y),
        "font-size": str(size),
        "fill": colour,
        "text-anchor": "middle",
    }
    if bold:
        attributes["font-weight"] = "600"
    ElementTree.SubElement(parent, "text", attributes).text = _text(text)


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _text(text: str) -> str:
    """`text` without what XML can't hold."""
    return _NOT_XML.sub("\ufffd", text)


__all__ = ["to_svg"]
