"""Load stages: which Steps are loaded together, and which of them run in one Beam job.

A GlobalStep is a load stage of its own, as in distilabel, but not a job of its own: Beam waits for
all of its rows by itself. A pipeline is cut into jobs only where `load_groups` asks for it, or
where the models of one job would not fit together.
"""

from __future__ import annotations

import heapq
import logging
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from beam_distilabel.errors import PipelineValidationError
from beam_distilabel.pipeline.graph import Graph
from beam_distilabel.step import GlobalStep

logger = logging.getLogger(__name__)

SEQUENTIAL = "sequential_step_execution"
"""As `load_groups`: every Step is loaded alone."""

MAX_STATES = 2_000
"""How many ways to order the models of a pipeline are looked at before one is taken as it comes."""

Stage = list[str]
"""Steps by name, predecessors first."""


class LoadStages(NamedTuple):
    """What `Pipeline.get_load_stages` gives.

    Attributes:
        stages: the Steps of each stage, in the order of the stages.
        last_steps: of each stage, the Steps that send rows to none of the same stage.
    """

    stages: list[Stage]
    last_steps: list[Stage]


def checked_groups(graph: Graph, load_groups: Any) -> list[Stage]:
    """`load_groups` as lists of the names of Steps.

    Args:
        graph: the Steps.
        load_groups: lists of Steps or their names; `SEQUENTIAL`; or None for none.

    Raises:
        PipelineValidationError: a Step is unknown, occurs twice, is global and with others, or a
            group can't be loaded at once because a Step between two of its Steps isn't in it.
    """
    if load_groups is None:
        return []
    if isinstance(load_groups, str) and load_groups == SEQUENTIAL:
        return [[name] for name in graph.in_order()]
    if not isinstance(load_groups, (list, tuple)) or not all(
        isinstance(group, (list, tuple)) for group in load_groups
    ):
        raise PipelineValidationError(
            f"load_groups={load_groups!r}: expected a list of lists of Steps or '{SEQUENTIAL}'."
        )
    position = {name: i for i, name in enumerate(graph.in_order())}
    groups: list[Stage] = []
    seen: set[str] = set()
    for group in load_groups:
        names = [_name_of(member) for member in group]
        for name in names:
            step = graph.get(name)
            if name in seen:
                raise PipelineValidationError(f"load_groups names Step {name!r} twice.")
            seen.add(name)
            if isinstance(step, GlobalStep) and len(names) > 1:
                raise PipelineValidationError(
                    f"load_groups puts the global Step {name!r} with others; it has to be alone."
                )
        if names:
            groups.append(sorted(names, key=position.__getitem__))
    _arranged(graph, groups)
    _tell_order(graph, groups)
    return groups


def _tell_order(graph: Graph, groups: Sequence[Stage]) -> None:
    """Say in the log where groups are named in another order than they can run in."""
    for position, group in enumerate(groups):
        after = {other for name in group for other in graph.descendants(name)}
        for earlier in groups[:position]:
            if after.intersection(earlier):
                logger.warning(
                    "load_groups names %s before %s, whose rows it needs. Groups run in the order "
                    "of the pipeline, as in distilabel, whatever their order in the list.",
                    earlier,
                    group,
                )
                return


def _name_of(member: Any) -> str:
    name = member if isinstance(member, str) else getattr(member, "name", None)
    if not isinstance(name, str):
        raise PipelineValidationError(
            f"load_groups has {member!r}; expected Steps or the names of Steps."
        )
    return name


def load_stages(graph: Graph, groups: Sequence[Stage]) -> LoadStages:
    """The stages in which distilabel loads the Steps: groups, and global Steps, are apart.

    Args:
        graph: the Steps.
        groups: of `checked_groups`.
    """
    grouped = {name for group in groups for name in group}
    alone = [[n] for n, step in graph.steps.items() if step.is_global and n not in grouped]
    stages = _stages(graph, [*groups, *alone])
    return LoadStages(stages, [_last_steps(graph, stage) for stage in stages])


def job_stages(
    graph: Graph,
    groups: Sequence[Stage],
    models: Mapping[str, frozenset[str]],
    fits: Callable[[Collection[str]], bool],
) -> list[Stage]:
    """The Steps of each Beam job: as few jobs as groups and memory allow.

    Args:
        graph: the Steps.
        groups: of `checked_groups`.
        models: Step to the keys of what it loads; those of one Step fit.
        fits: whether models can be loaded at once, by their keys.
    """
    return [part for stage in _stages(graph, groups) for part in _split(graph, stage, models, fits)]


def _stages(graph: Graph, groups: Sequence[Stage]) -> list[Stage]:
    """The groups, and between them what belongs to none."""
    grouped = {name for group in groups for name in group}
    stages: list[Stage] = []
    loose: Stage = []
    for unit in _arranged(graph, groups):
        if unit[0] in grouped:
            if loose:
                stages.append(loose)
                loose = []
            stages.append(list(unit))
        else:
            loose.extend(unit)
    return [*stages, loose] if loose else stages


def _arranged(graph: Graph, groups: Iterable[Stage]) -> list[tuple[str, ...]]:
    """Groups and other Steps, each after all that it needs; earlier Steps first.

    Raises:
        PipelineValidationError: rows would have to leave a group and come back.
    """
    position = {name: i for i, name in enumerate(graph.in_order())}
    units = [tuple(group) for group in groups]
    grouped = {name for unit in units for name in unit}
    units += [(name,) for name in position if name not in grouped]
    units.sort(key=lambda unit: position[unit[0]])
    unit_of = {name: i for i, unit in enumerate(units) for name in unit}
    after: list[set[int]] = [set() for _ in units]
    before: list[set[int]] = [set() for _ in units]
    for name in position:
        for successor in graph.successors(name):
            source, target = unit_of[name], unit_of[successor]
            if source != target:
                after[source].add(target)
                before[target].add(source)
    ready = [i for i, needed in enumerate(before) if not needed]
    order: list[int] = []
    while ready:
        unit = heapq.heappop(ready)
        order.append(unit)
        for target in after[unit]:
            before[target].discard(unit)
            if not before[target]:
                heapq.heappush(ready, target)
    if len(order) < len(units):
        stuck = set(range(len(units))) - set(order)
        group = next(units[i] for i in sorted(stuck) if len(units[i]) > 1)
        between = sorted({n for i in stuck for n in units[i]} - set(group))
        raise PipelineValidationError(
            f"load_groups: the Steps {', '.join(map(repr, group))} can't be loaded together, since "
            f"rows go from one to another by Steps that aren't in the group "
            f"({', '.join(map(repr, between))}). Put these in it too, or make several groups."
        )
    return [units[i] for i in order]


def _last_steps(graph: Graph, stage: Stage) -> Stage:
    return sorted(n for n in stage if not set(graph.successors(n)) & set(stage))


def _split(
    graph: Graph,
    stage: Stage,
    models: Mapping[str, frozenset[str]],
    fits: Callable[[Collection[str]], bool],
) -> list[Stage]:
    """`stage` in parts whose models fit together; the fewest that a search finds."""
    if fits(_models_of(stage, models)):
        return [stage]
    start: frozenset[str] = frozenset()
    paths: dict[frozenset[str], list[Stage]] = {start: []}
    todo = deque([start])
    while todo:
        done = todo.popleft()
        pending = [name for name in stage if name not in done]
        if not pending:
            return paths[done]
        choices = _choices(pending, models, fits)
        parts = [_runnable(graph, pending, loaded, models) for loaded in choices]
        # The part that gets furthest first: it is the one that is taken where there are too many.
        parts = sorted((part for part in parts if part), key=len, reverse=True)
        if len(paths) > MAX_STATES:
            todo.clear()
            parts = parts[:1]
        for part in parts:
            reached = done.union(part)
            if reached not in paths:
                paths[reached] = [*paths[done], part]
                todo.append(reached)
    raise AssertionError("a Step's own models don't fit, which has to be checked before")


def _models_of(steps: Iterable[str], models: Mapping[str, frozenset[str]]) -> frozenset[str]:
    return frozenset().union(*(models.get(name, ()) for name in steps))


def _choices(
    pending: Sequence[str],
    models: Mapping[str, frozenset[str]],
    fits: Callable[[Collection[str]], bool],
) -> list[frozenset[str]]:
    """What may be loaded next: for each Step its models, and with them what else fits."""
    wanted = list(dict.fromkeys(models[name] for name in pending if models.get(name)))
    choices: dict[frozenset[str], None] = {}
    for first in wanted:
        loaded = first
        for other in wanted:
            if fits(loaded | other):
                loaded |= other
        choices[loaded] = None
    return list(choices) or [frozenset()]


def _runnable(
    graph: Graph,
    pending: Sequence[str],
    loaded: frozenset[str],
    models: Mapping[str, frozenset[str]],
) -> Stage:
    """The Steps of `pending` that can run with the models `loaded`, in order."""
    waiting = set(pending)
    part = []
    for name in pending:
        if waiting.isdisjoint(graph.predecessors(name)) and models.get(name, loaded) <= loaded:
            part.append(name)
            waiting.discard(name)
    return part


__all__ = ["SEQUENTIAL", "LoadStages", "checked_groups", "job_stages", "load_stages"]
