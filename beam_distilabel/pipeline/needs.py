"""What the Steps of a pipeline load, what that takes, and whether it fits."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, NamedTuple

from beam_distilabel.errors import DistilabelUserError, PipelineValidationError
from beam_distilabel.models.base import EngineModel
from beam_distilabel.models.devices import Gpu, chosen_gpus, visible_gpus
from beam_distilabel.models.host_memory import available_memory
from beam_distilabel.models.memory import MemoryBudget, MemoryNeed
from beam_distilabel.pipeline.graph import Graph
from beam_distilabel.step import StepResources


class Loaded(NamedTuple):
    """A model, or a Step that was said to need memory or GPUs itself.

    Attributes:
        name: for messages.
        need: what it takes.
        steps: the Steps that use it.
    """

    name: str
    need: MemoryNeed
    steps: list[str]


class Needs:
    """What each Step of a graph loads; equal models count once.

    Args:
        graph: the Steps.
        is_open: whether a model is loaded already, so that it takes no more memory.

    Attributes:
        keys: Step to the keys of what it loads.
        loaded: key to what that is, only what needs anything.
    """

    def __init__(
        self, graph: Graph, is_open: Callable[[str], bool] = lambda fingerprint: False
    ) -> None:
        used: dict[str, list[str]] = {}
        names: dict[str, str] = {}
        needs: dict[str, MemoryNeed] = {}
        for name, step in graph.steps.items():
            models = {model.fingerprint(): model for model in models_of(step)}
            used[name] = list(models) or [f"step {name}"]
            names[used[name][0]] = type(step).__name__
            for key, model in models.items():
                names[key] = f"{type(model).__name__}({_model_name(model)})"
                if key not in needs:
                    needs[key] = model.memory_need()
            # What is said of a Step is meant for the (first) model that it loads.
            said, first = step.resources, used[name][0]
            need = needs.get(first, MemoryNeed())
            needs[first] = need.at_least(said.memory or 0, said.gpus or 0)
        self.loaded: dict[str, Loaded] = {}
        for key, need in needs.items():
            if is_open(key):
                need = dataclasses.replace(need, memory=0)
            if need:
                steps = [name for name, keys in used.items() if key in keys]
                self.loaded[key] = Loaded(names[key], need, steps)
        self.keys: dict[str, frozenset[str]] = {
            name: frozenset(key for key in keys if key in self.loaded)
            for name, keys in used.items()
        }

    def check(self, budget: MemoryBudget) -> None:
        """Raise where a model, or the models of one Step, can't be loaded at all.

        Raises:
            PipelineValidationError: names it and the numbers.
        """
        for entry in self.loaded.values():
            steps = ", ".join(map(repr, entry.steps))
            if budget.gpus and entry.need.devices:
                try:
                    chosen_gpus(entry.need.devices, budget.gpus)
                except DistilabelUserError as error:
                    raise PipelineValidationError(f"Step {steps}: {entry.name}: {error}") from None
            if not budget.fits([entry.need]):
                raise PipelineValidationError(
                    f"Step {steps}: {entry.name} needs {entry.need}, but there is {budget}. Take a "
                    "smaller model or KV cache, lower the Step's `resources`, or raise "
                    "`memory_budget` of `run`."
                )
        for name, keys in self.keys.items():
            if not self.fit(keys, budget):
                several = [entry for key, entry in self.loaded.items() if key in keys]
                needed = "; ".join(f"{entry.name}: {entry.need}" for entry in several)
                raise PipelineValidationError(
                    f"Step {name!r} loads several models that don't fit together ({needed}); there "
                    f"is {budget}. Put them in Steps of their own."
                )

    def fit(self, keys: Collection[str], budget: MemoryBudget) -> bool:
        """Whether what has these keys can be loaded at once."""
        # In the order of the Steps, so that every look at the same set says the same.
        return budget.fits([e.need for key, e in self.loaded.items() if key in keys])


def budget_of_run(needs: Needs, memory_budget: int | None, local: bool) -> MemoryBudget:
    """What the models of a job may take together.

    Args:
        needs: of the run.
        memory_budget: bytes of a worker host's memory, where the user says.
        local: whether the workers are in this process, so that this host's numbers are theirs.
    """
    whole = isinstance(memory_budget, int) and not isinstance(memory_budget, bool)
    if memory_budget is not None and not (whole and memory_budget > 0):
        raise PipelineValidationError(
            f"memory_budget={memory_budget!r} has to be a positive whole number of bytes, such as "
            "16 * 2**30."
        )
    memory = memory_budget
    gpus: tuple[Gpu, ...] = ()
    if local:
        # Asked for only where it matters: it may take a second.
        wanted = [entry.need for entry in needs.loaded.values()]
        if memory is None and any(need.memory for need in wanted):
            memory = available_memory()
        if any(need.gpus for need in wanted):
            gpus = visible_gpus()
    return MemoryBudget(memory, gpus)


def models_of(step: Any) -> list[EngineModel]:
    """The models among the fields of a Step, or in lists or dicts there."""
    return list(
        {
            id(m): m for name in type(step).model_fields for m in _models(getattr(step, name))
        }.values()
    )


def _models(value: Any) -> Iterator[EngineModel]:
    if isinstance(value, EngineModel):
        yield value
        for name in type(value).model_fields:  # a model of several has members
            yield from _models(getattr(value, name))
    elif isinstance(value, (list, tuple)):
        for item in value:
            if not isinstance(item, dict):  # rows, by the million
                yield from _models(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _models(item)


def _model_name(model: EngineModel) -> str:
    try:
        return repr(model.model_name)
    except Exception:
        # A user's model may only have a name once it is loaded.
        return "..."


def resources_of(graph: Graph) -> dict[str, StepResources]:
    """Step to its resources; those of Steps that share a model are the same.

    A runner may put transforms with different resource hints in different processes, and each
    would load the model.
    """
    users: dict[str, list[str]] = {}
    for name, step in graph.steps.items():
        for model in models_of(step):
            users.setdefault(model.fingerprint(), []).append(name)
    resources = {name: step.resources for name, step in graph.steps.items()}
    for names in users.values():
        together = _largest(resources[name] for name in names)
        resources.update(dict.fromkeys(names, together))
    return resources


def _largest(several: Iterable[StepResources]) -> StepResources:
    several = list(several)
    if len(several) == 1:
        return several[0]
    largest: dict[str, Any] = {}
    for field in ("replicas", "cpus", "gpus", "memory"):
        values = [value for one in several if (value := getattr(one, field)) is not None]
        if values:
            largest[field] = max(values)
    others: dict[str, int] = {}
    for one in several:
        for name, count in (one.resources or {}).items():
            others[name] = max(count, others.get(name, 0))
    return StepResources(**largest, resources=others or None)
