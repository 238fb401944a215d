"""A pipeline as Mermaid text, which GitHub and many wikis draw."""

from __future__ import annotations

from beam_distilabel.pipeline.drawing.colours import COLOURS
from beam_distilabel.pipeline.drawing.scheme import Node, Scheme
from beam_distilabel.pipeline.drawing.text_width import cut

_SHAPES = {"router": ("{{", "}}"), "subset": ("([", "])")}
_BOX = ("[", "]")
_HARMLESS = frozenset(" _-.,:()=·")


def to_mermaid(scheme: Scheme, top_to_bottom: bool, show_edge_labels: bool) -> str:
    """The scheme as a flowchart.

    Example:
        >>> one, other = Node("source", "load", "LoadDataFromDicts"), Node("subset", "default")
        >>> print(to_mermaid(Scheme([one, other], [(0, 1)]), False, True))
        flowchart LR
            n0["load<br>LoadDataFromDicts"]
            n1(["default"])
            n0 --> n1
            classDef source fill:#e6f4ea,stroke:#3c8d57
            classDef subset fill:#f1f3f5,stroke:#7b8494
            class n0 source
            class n1 subset
    """
    lines = [f"flowchart {'TD' if top_to_bottom else 'LR'}"]
    for number, node in enumerate(scheme.nodes):
        opened, closed = _SHAPES.get(node.kind, _BOX)
        text = "<br>".join(_text(part) for part in (node.title, node.subtitle) if part)
        lines.append(f'    n{number}{opened}"{text}"{closed}')
    for edge in scheme.edges:
        arrow = "-.->" if scheme.is_choice(edge) else "-->"
        label = _label(scheme.nodes[edge[0]]) if show_edge_labels else ""
        lines.append(f"    n{edge[0]} {arrow}{label} n{edge[1]}")
    kinds = list(dict.fromkeys(node.kind for node in scheme.nodes))
    for kind in kinds:
        fill, stroke = COLOURS[kind]
        lines.append(f"    classDef {kind} fill:{fill},stroke:{stroke}")
    for kind in kinds:
        names = (f"n{i}" for i, node in enumerate(scheme.nodes) if node.kind == kind)
        lines.append(f"    class {','.join(names)} {kind}")
    return "\n".join(lines)


def _label(node: Node) -> str:
    return f'|"{_text(", ".join(node.columns))}"|' if node.columns else ""


def _text(text: str) -> str:
    """A text in quotes; what Mermaid or HTML may read as more than text is written by number.

    Example:
        >>> _text('a "b" <c>')
        'a #34;b#34; #60;c#62;'
    """
    return "".join(c if c.isalnum() or c in _HARMLESS else f"#{ord(c)};" for c in cut(text, 200))


__all__ = ["to_mermaid"]
