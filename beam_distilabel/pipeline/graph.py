"""The graph of a pipeline's Steps: who sends rows to whom, where branches part and meet."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import Any

from beam_distilabel.errors import DistilabelUserError, PipelineValidationError
from beam_distilabel.join import JoinSpec
from beam_distilabel.problems import closest


class Graph:
    """Steps by name and the edges between them, in the order in which they were added.

    Attributes:
        steps: the Steps by name.
        routers: per Step, the router that chooses among its successors.
        unfinished: per Step, a router that was put after it and isn't followed by Steps yet.
    """

    def __init__(self) -> None:
        self.steps: dict[str, Any] = {}
        self.routers: dict[str, Any] = {}
        self.unfinished: dict[str, Any] = {}
        self._successors: dict[str, list[str]] = {}
        self._predecessors: dict[str, list[str]] = {}

    # -- building --------------------------------------------------------------------------------

    def add(self, step: Any) -> None:
        """Add a Step.

        Raises:
            PipelineValidationError: the name is taken.
        """
        if step.name in self.steps:
            raise PipelineValidationError(
                f"a Step named {step.name!r} already exists in this pipeline; give "
                f"{type(step).__name__} another `name`."
            )
        self.steps[step.name] = step
        self._successors[step.name] = []
        self._predecessors[step.name] = []

    def connect(self, source: str, target: str) -> None:
        """Add an edge; see `connect_all`."""
        self.connect_all([source], [target])

    def connect_all(
        self, sources: Sequence[str], targets: Sequence[str], router: Any = None
    ) -> None:
        """Add an edge from each of `sources` to each of `targets`: all of them, or none.

        Args:
            sources: the names of Steps; with a router of one.
            targets: the names of Steps.
            router: chooses among the targets.

        Raises:
            PipelineValidationError: a Step is unknown, an edge exists, it would close a cycle, or
                the router doesn't fit.
        """
        edges = [(source, target) for source in sources for target in targets]
        for position, (source, target) in enumerate(edges):
            self._check_edge(source, target, (source, target) in edges[:position])
        for source in sources:
            self._check_router(source, targets, router)
        for source, target in edges:
            self._successors[source].append(target)
            self._predecessors[target].append(source)
        if router is not None:
            for source in sources:
                self.routers[source] = router
                if self.unfinished.get(source) is router:
                    del self.unfinished[source]

    def _check_edge(self, source: str, target: str, again: bool) -> None:
        for name in (source, target):
            self.get(name)
        if again or target in self._successors[source]:
            raise PipelineValidationError(
                f"Step {source!r} is already connected to {target!r}; connect them once."
            )
        if source == target or source in self.descendants(target):
            raise PipelineValidationError(
                f"connecting {source!r} to {target!r} would create a cycle: {target!r} already "
                f"leads to {source!r}. A pipeline has to be acyclic."
            )
        if self.steps[target].is_generator:
            raise PipelineValidationError(
                f"Step {target!r} ({type(self.steps[target]).__name__}) makes rows of its own, so "
                f"nothing can be connected to it; {source!r} was."
            )

    def _check_router(self, source: str, targets: Sequence[str], router: Any) -> None:
        known = self.routers.get(source)
        connected = self._successors[source]
        if known is not None:
            raise PipelineValidationError(
                f"Step {source!r} already sends each row to what {known.name!r} chooses of "
                f"{', '.join(map(repr, connected))}, so it can't be connected to "
                f"{', '.join(map(repr, targets))} too. Put all of them after one router, or make "
                "the branches part at a Step before it."
            )
        if router is None:
            return
        if connected:
            raise PipelineValidationError(
                f"Step {source!r} already sends every row to {', '.join(map(repr, connected))}, so "
                f"no router can be put after it. Put all Steps after {router.name!r}, or make the "
                "branches part at a Step before it."
            )
        try:
            router.check_targets(list(targets))
        except DistilabelUserError as error:
            raise PipelineValidationError(f"Step {source!r}: {error}") from None

    def get(self, name: str) -> Any:
        """The Step called `name`.

        Raises:
            PipelineValidationError: there is none; the message has the closest name.
        """
        if name not in self.steps:
            raise PipelineValidationError(
                f"there is no Step {name!r} in this pipeline.{closest(name, self.steps)} It has: "
                f"{', '.join(self.steps) or 'none'}."
            )
        return self.steps[name]

    # -- reading ---------------------------------------------------------------------------------

    def successors(self, name: str) -> list[str]:
        return self._successors[name]

    def predecessors(self, name: str) -> list[str]:
        return self._predecessors[name]

    @property
    def roots(self) -> list[str]:
        """Steps that nothing is connected to."""
        return [name for name in self.steps if not self._predecessors[name]]

    @property
    def leaves(self) -> list[str]:
        """Steps that are connected to nothing: each becomes a subset."""
        return [name for name in self.steps if not self._successors[name]]

    def subsets(self) -> dict[str, str]:
        """Leaf to the name of its subset: its own, or "default" where it is the only one."""
        leaves = self.leaves
        return {leaves[0]: "default"} if len(leaves) == 1 else {name: name for name in leaves}

    def in_order(self) -> list[str]:
        """All Steps, predecessors first."""
        order: list[str] = []
        waiting = {name: len(self._predecessors[name]) for name in self.steps}
        ready = [name for name, count in waiting.items() if not count]
        while ready:
            name = ready.pop(0)
            order.append(name)
            for successor in self._successors[name]:
                waiting[successor] -= 1
                if not waiting[successor]:
                    ready.append(successor)
        return order

    def descendants(self, name: str) -> set[str]:
        """All Steps that rows of `name` lead to."""
        found: set[str] = set()
        todo = [name]
        while todo:
            for successor in self._successors[todo.pop()]:
                if successor not in found:
                    found.add(successor)
                    todo.append(successor)
        return found

    # -- joins -----------------------------------------------------------------------------------

    def marks_fork(self, name: str) -> bool:
        """Whether rows get a fork mark after `name`: several branches leave it and some meet."""
        return len(self._successors[name]) > 1 and any(
            len(self._predecessors[other]) > 1 for other in self.descendants(name)
        )

    def _fork_marks(self, name: str) -> tuple[str, ...]:
        """The Steps whose fork marks are in the ids of the rows that `name` sends on."""

        @functools.cache
        def marks(step: str) -> tuple[str, ...]:
            own = (step,) if self.marks_fork(step) else ()
            before = [marks(predecessor) for predecessor in self._predecessors[step]]
            return (*_common_prefix(before), *own)

        return marks(name)

    def join_spec(self, name: str) -> JoinSpec:
        """How the branches that meet at `name` are joined."""
        predecessors = self._predecessors[name]
        common = _common_prefix([self._fork_marks(predecessor) for predecessor in predecessors])
        if not common:
            sure = (any(self._leads(r, p) for r in self.roots) for p in predecessors)
            return JoinSpec(None, tuple(predecessors), tuple(map(int, sure)))
        ancestor = common[-1]
        routes = []
        for predecessor in predecessors:
            mask = 0
            for bit, branch in enumerate(self._successors[ancestor]):
                direct = predecessor == ancestor and branch == name
                if direct or self._leads(branch, predecessor):
                    mask |= 1 << bit
            routes.append(mask)
        return JoinSpec(len(common), tuple(predecessors), tuple(routes))

    def _leads(self, source: str, target: str) -> bool:
        """Whether a row of `source` gets to `target`, whatever the routers on the way choose."""

        @functools.cache
        def leads(step: str) -> bool:
            if step == target:
                return True
            successors = self._successors[step]
            if step in self.routers:
                return bool(successors) and all(map(leads, successors))
            return any(map(leads, successors))

        return leads(source)

    def with_steps(self, steps: dict[str, Any]) -> Graph:
        """This graph with other Steps under the same names."""
        other = Graph()
        other.steps = dict(steps)
        other.routers = dict(self.routers)
        other.unfinished = dict(self.unfinished)
        other._successors = {name: list(to) for name, to in self._successors.items()}
        other._predecessors = {name: list(to) for name, to in self._predecessors.items()}
        return other


def _common_prefix(paths: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    paths = list(paths)
    if not paths:
        return ()
    prefix = []
    for names in zip(*paths, strict=False):
        if len(set(names)) > 1:
            break
        prefix.append(names[0])
    return tuple(prefix)
