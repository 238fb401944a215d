"""A pipeline drawn as text.

A Step's only successor stands below it, several are branches. A Step that joins several is drawn
once, on its own, and named where each of its inputs ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from beam_distilabel.card.definition import Definition, read_definition
from beam_distilabel.card.markdown import one_line

MAX_LINES = 200
"""A longer drawing is cut."""


def draw_pipeline(definition: Mapping[str, Any]) -> str:
    """The Steps of a `pipeline.yaml`'s content and how rows go through them, as text.

    Example:
        >>> steps = [{"name": name, "step": {}} for name in ("load", "ask", "keep", "merge")]
        >>> connections = [
        ...     {"from": "load", "to": ["ask", "keep"]},
        ...     {"from": "ask", "to": ["merge"]},
        ...     {"from": "keep", "to": ["merge"]},
        ... ]
        >>> print(draw_pipeline({"pipeline": {"steps": steps, "connections": connections}}))
        load
        ├─ ask
        │  ↓
        │  to merge
        └─ keep
           ↓
           to merge
        <BLANKLINE>
        merge, which joins ask and keep
        ↓
        subset "default"
    """
    return draw(read_definition(definition))


def draw(definition: Definition) -> str:
    """The same, of what was read already."""
    lines = _Drawing(definition).lines()
    left_out = len(lines) - MAX_LINES
    if left_out > 0:
        lines = [*lines[:MAX_LINES], f"... {left_out:,} more lines"]
    return "\n".join(lines)


class _Drawing:
    def __init__(self, definition: Definition) -> None:
        self._definition = definition
        self._classes = {step.name: step.class_name for step in definition.steps}
        self._successors = definition.connections
        self._predecessors: dict[str, list[str]] = {name: [] for name in self._classes}
        for name, targets in self._successors.items():
            for target in targets:
                self._predecessors[target].append(name)
        self._leaves = [name for name in self._classes if not self._successors[name]]
        self._drawn: set[str] = set()

    def lines(self) -> list[str]:
        lines: list[str] = []
        for name in self._tops():
            if name not in self._drawn:
                lines.extend([""] if lines else [])
                lines.extend(self._tree(name))
        return lines

    def _tops(self) -> Iterator[str]:
        """The Steps that aren't drawn below another one, predecessors first."""
        waiting = {name: len(before) for name, before in self._predecessors.items()}
        ready = [name for name, count in waiting.items() if not count]
        while ready:
            name = ready.pop(0)
            if len(self._predecessors[name]) != 1:
                yield name
            for target in self._successors[name]:
                waiting[target] -= 1
                if not waiting[target]:
                    ready.append(target)
        # Only in a file that no pipeline has written: Steps in a circle.
        yield from self._classes

    def _tree(self, name: str) -> list[str]:
        lines: list[str] = []
        current: str | None = name
        while current is not None:
            if current in self._drawn or (lines and len(self._predecessors[current]) > 1):
                return [*lines, f"to {_name(current)}"]
            self._drawn.add(current)
            lines.append(self._label(current))
            targets = self._successors[current]
            if not targets:
                return [*lines, "↓", self._subset(current)]
            router = self._definition.routers.get(current)
            if router is not None:
                bar = "│ " if len(targets) > 1 else ""
                lines.append(f"{bar}each row to what {one_line(router)} chooses")
            if len(targets) > 1:
                return [*lines, *self._branches(targets)]
            lines.append("↓")
            current = targets[0]
        return lines

    def _branches(self, targets: list[str]) -> Iterator[str]:
        for target in targets:
            last = target == targets[-1]
            joins = len(self._predecessors[target]) > 1
            inner = [f"to {_name(target)}"] if joins else self._tree(target)
            yield f"{'└─' if last else '├─'} {inner[0]}"
            for line in inner[1:]:
                yield f"{'  ' if last else '│ '} {line}"

    def _label(self, name: str) -> str:
        class_name = one_line(self._classes[name])
        label = f"{_name(name)} ({class_name})" if class_name else _name(name)
        before = [_name(other) for other in self._predecessors[name]]
        if len(before) < 2:
            return label
        return f"{label}, which joins {', '.join(before[:-1])} and {before[-1]}"

    def _subset(self, leaf: str) -> str:
        return f'subset "{_name(leaf) if len(self._leaves) > 1 else "default"}"'


def _name(name: str) -> str:
    return one_line(name)
