"""Drawing a graph to a file."""

from __future__ import annotations

import os
from pathlib import Path

from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.pipeline.drawing.mermaid import to_mermaid
from beam_distilabel.pipeline.drawing.picture import picture_of
from beam_distilabel.pipeline.drawing.png import to_png
from beam_distilabel.pipeline.drawing.scheme import scheme_of
from beam_distilabel.pipeline.drawing.svg import to_svg
from beam_distilabel.pipeline.graph import Graph
from beam_distilabel.problems import closest

DRAW_FORMATS = {"png": "png", "svg": "svg", "mmd": "mermaid", "mermaid": "mermaid"}
"""Extension of a file to the format that it stands for."""


def draw(
    graph: Graph,
    title: str,
    path: str | os.PathLike[str],
    top_to_bottom: bool = False,
    show_edge_labels: bool = True,
    format: str | None = None,
) -> str:
    """Draw `graph` to a file; see `Pipeline.draw`.

    Raises:
        DistilabelUserError: the format isn't known, or needs a package that isn't there; or the
            file can't be written.
    """
    kind = _format(path, format)
    if kind == "mermaid":
        text = to_mermaid(scheme_of(graph), top_to_bottom, show_edge_labels) + "\n"
        drawn = text.encode("utf-8", "backslashreplace")
    elif kind == "svg":
        drawn = svg_of(graph, title, top_to_bottom, show_edge_labels).encode()
    else:
        drawn = to_png(picture_of(scheme_of(graph), top_to_bottom, show_edge_labels))
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(drawn)
    except OSError as error:
        raise DistilabelUserError(f"{os.fspath(path)!r} can't be written: {error}") from error
    return os.fspath(path)


def svg_of(
    graph: Graph, title: str, top_to_bottom: bool = False, show_edge_labels: bool = True
) -> str:
    """`graph` as an SVG element."""
    return to_svg(picture_of(scheme_of(graph), top_to_bottom, show_edge_labels), title)


def _format(path: str | os.PathLike[str], format: str | None) -> str:
    name = (format or Path(path).suffix).lstrip(".").lower()
    kind = DRAW_FORMATS.get(name)
    if kind is None:
        given = f"format={format!r}" if format else f"the file {os.fspath(path)!r}"
        raise DistilabelUserError(
            f"{given} says no format that a pipeline can be drawn in.{closest(name, DRAW_FORMATS)} "
            f"There are: {', '.join(DRAW_FORMATS)}."
        )
    return kind


__all__ = ["DRAW_FORMATS", "draw", "svg_of"]
