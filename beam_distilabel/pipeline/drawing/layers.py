"""A layered layout of an acyclic graph (Sugiyama et al. 1981): nodes in the layer of the longest
way to it, few crossings, neighbours opposite each other.

"main" is the direction in which rows go, "cross" the other one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

_SWEEPS = 8
_BEND_BREADTH = 10.0  # of an edge that passes a layer


class Spot(NamedTuple):
    """The room that a node takes.

    Attributes:
        along: in the main direction.
        across: in the cross direction.
        stem: after it in the main direction, where its edges are one.
    """

    along: float
    across: float
    stem: float


class Place(NamedTuple):
    """Where a node is: its beginning in the main direction, its middle in the cross direction."""

    main: float
    cross: float


@dataclasses.dataclass
class Places:
    """Where everything is.

    Attributes:
        nodes: one place per node.
        routes: per edge the (main, cross) points that it passes: straight from the first to the
            second, curved to the third, straight to the fourth, and so on to the last.
        length: of all in the main direction.
        breadth: of all in the cross direction.
    """

    nodes: list[Place]
    routes: list[list[tuple[float, float]]]
    length: float
    breadth: float


def arrange(spots: Sequence[Spot], edges: Sequence[tuple[int, int]], gap: float) -> Places:
    """Find a place for every node and a way for every edge.

    Args:
        spots: the nodes, predecessors first.
        edges: (from, to), positions among the nodes.
        gap: between two nodes of a layer.

    Example:
        >>> box = Spot(10, 10, 5)
        >>> places = arrange([box, box, box], [(0, 1), (0, 2)], gap=4)
        >>> [place.cross for place in places.nodes]
        [12.0, 5.0, 19.0]
    """
    if not spots:
        return Places([], [], 0, 0)
    spots = list(spots)
    layer_of = [0] * len(spots)
    for source, target in sorted(edges):
        layer_of[target] = max(layer_of[target], layer_of[source] + 1)
    # An edge that passes layers gets a bend in each, so that it goes around their nodes.
    chains = []
    links: list[tuple[int, int]] = []
    for source, target in edges:
        chain = [source]
        for layer in range(layer_of[source] + 1, layer_of[target]):
            chain.append(len(spots))
            spots.append(Spot(0, _BEND_BREADTH, 0))
            layer_of.append(layer)
        chain.append(target)
        chains.append(chain)
        links.extend(zip(chain, chain[1:], strict=False))
    layers: list[list[int]] = [[] for _ in range(max(layer_of) + 1)]
    for node, layer in enumerate(layer_of):
        layers[layer].append(node)
    before: list[list[int]] = [[] for _ in spots]
    after: list[list[int]] = [[] for _ in spots]
    for source, target in links:
        before[target].append(source)
        after[source].append(target)
    _order(layers, before, after)
    cross = _spread(layers, before, after, [spot.across for spot in spots], gap)
    main, thickness, length = _lengthwise(layers, spots, cross, after)
    breadth = max(c + spot.across / 2 for c, spot in zip(cross, spots, strict=True))
    count = len(layer_of) - sum(len(chain) - 2 for chain in chains)
    nodes = [Place(main[layer_of[node]], cross[node]) for node in range(count)]
    routes = []
    for chain in chains:
        source, *bends, target = chain
        begin = main[layer_of[source]]
        route = [
            (begin + spots[source].along, cross[source]),
            (begin + thickness[layer_of[source]], cross[source]),
        ]
        for bend in bends:
            at = main[layer_of[bend]]
            route += [(at, cross[bend]), (at + thickness[layer_of[bend]], cross[bend])]
        route.append((main[layer_of[target]], cross[target]))
        routes.append(route)
    return Places(nodes, routes, length, breadth)


def _order(layers: list[list[int]], before: list[list[int]], after: list[list[int]]) -> None:
    """Order each layer by the middle of the neighbours, back and forth; the best order stays."""
    best, fewest = [list(layer) for layer in layers], _crossings(layers, after)
    for sweep in range(_SWEEPS):
        neighbours = after if sweep % 2 else before
        for layer in reversed(layers) if sweep % 2 else layers:
            position = {node: i for row in layers for i, node in enumerate(row)}
            keys = {
                node: (
                    sum(position[other] for other in neighbours[node]) / len(neighbours[node])
                    if neighbours[node]
                    else position[node]
                )
                for node in layer
            }
            layer.sort(key=lambda node: (keys[node], position[node]))  # noqa: B023
        crossings = _crossings(layers, after)
        if crossings < fewest:
            best, fewest = [list(layer) for layer in layers], crossings
    layers[:] = best


def _crossings(layers: list[list[int]], after: list[list[int]]) -> int:
    """How many pairs of links cross."""
    count = 0
    for layer, following in zip(layers, layers[1:], strict=False):
        position = {node: i for i, node in enumerate(following)}
        ends: list[int] = []
        for node in layer:
            own = sorted(position[other] for other in after[node])
            count += sum(1 for end in own for earlier in ends if earlier > end)
            ends += own
    return count


def _spread(
    layers: list[list[int]],
    before: list[list[int]],
    after: list[list[int]],
    across: list[float],
    gap: float,
) -> list[float]:
    """The cross position of each node: near the middle of its neighbours, none on another."""
    cross = [0.0] * len(across)

    def place(layer: list[int], wanted: list[float]) -> None:
        steps = [0.0]
        for one, other in zip(layer, layer[1:], strict=False):
            steps.append(steps[-1] + (across[one] + across[other]) / 2 + gap)
        level = _never_falling([w - s for w, s in zip(wanted, steps, strict=True)])
        for node, base, step in zip(layer, level, steps, strict=True):
            cross[node] = base + step

    for layer in layers:
        place(layer, [0.0] * len(layer))
    for sweep in range(2 * _SWEEPS):
        neighbours = after if sweep % 2 else before
        for layer in reversed(layers) if sweep % 2 else layers:
            place(
                layer,
                [
                    sum(cross[other] for other in neighbours[node]) / len(neighbours[node])
                    if neighbours[node]
                    else cross[node]
                    for node in layer
                ],
            )
    lowest = min(c - size / 2 for c, size in zip(cross, across, strict=True))
    return [c - lowest for c in cross]


def _never_falling(wanted: list[float]) -> list[float]:
    """The numbers that never fall and are closest to the wanted ones (pool adjacent violators).

    Example:
        >>> _never_falling([1.0, 3.0, 1.0])
        [1.0, 2.0, 2.0]
    """
    pools: list[list[float]] = []  # sum and count
    for value in wanted:
        pools.append([value, 1])
        while len(pools) > 1 and pools[-2][0] * pools[-1][1] > pools[-1][0] * pools[-2][1]:
            total, count = pools.pop()
            pools[-1][0] += total
            pools[-1][1] += count
    return [total / count for total, count in pools for _ in range(int(count))]


def _lengthwise(
    layers: list[list[int]], spots: list[Spot], cross: list[float], after: list[list[int]]
) -> tuple[list[float], list[float], float]:
    """Per layer its beginning and its thickness, and the end of the last."""
    main, thickness, at = [], [], 0.0
    for layer in layers:
        leads_on = any(after[node] for node in layer)
        thick = max(spots[node].along + (spots[node].stem if after[node] else 0) for node in layer)
        rise = max((abs(cross[node] - cross[o]) for node in layer for o in after[node]), default=0)
        main.append(at)
        thickness.append(thick)
        at += thick + (min(140.0, 34 + rise / 5) if leads_on else 0)
    return main, thickness, at


__all__ = ["Place", "Places", "Spot", "arrange"]
