"""What Beam YAML asks for the transforms of this package."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from apache_beam.yaml.yaml_provider import ExternalProvider, InlineProvider, Provider

import beam_distilabel.steps
import beam_distilabel.steps.tasks
from beam_distilabel.beam_yaml.transforms import (
    CHECKPOINT,
    ERROR_HANDLING,
    DistilabelPipeline,
    StepTransform,
    WriteDistiset,
)
from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.pipeline.registry import known_classes
from beam_distilabel.runtime_parameters import closest
from beam_distilabel.step import _Step

PROVIDER = "distilabel"
"""The `type` of the provider in a YAML file."""

_BASES = ("beam_distilabel.step", "beam_distilabel.task")
_PLAIN = (bool, float, int, str)


def as_transform(step: type[_Step]) -> Callable[..., StepTransform]:
    """A Step class as a YAML file's provider of `type: python` names it.

    A module of one's own has `judge = as_transform(Judge)`, and the file
    `{type: python, transforms: {Judge: my_package.my_module.judge}}`.

    Args:
        step: the class.

    Returns:
        What makes its PTransform of the transform's `config`.

    Example:
        >>> from beam_distilabel.steps import KeepColumns
        >>> keep = as_transform(KeepColumns)
        >>> keep(columns=["a"]).default_label()
        'keep_columns_0'
    """

    def transform(**config: Any) -> StepTransform:
        return StepTransform(step, config)

    transform.__name__ = transform.__qualname__ = step.__name__
    transform.__doc__ = step.__doc__
    transform.__signature__ = inspect.Signature(list(_parameters(step)))  # type: ignore[attr-defined]
    transform._yaml_requires_inputs = not step.is_generator  # type: ignore[attr-defined]
    return transform


def _parameters(step: type[_Step]) -> Iterator[inspect.Parameter]:
    """What a Step's `config` may have; Beam knows the types of the simplest."""
    for name, field in step.model_fields.items():
        kind: Any = field.annotation if field.annotation in _PLAIN else Any
        yield inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=kind)
    for name in (CHECKPOINT, ERROR_HANDLING):
        yield inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Any)


def step_classes() -> dict[str, type[_Step]]:
    """The Steps that YAML files may use, by name: those of this package, and those imported."""
    ours = {
        name: cls
        for module in (beam_distilabel.steps, beam_distilabel.steps.tasks)
        for name in module.__all__
        if isinstance(cls := getattr(module, name), type)
        and issubclass(cls, _Step)
        and cls.__module__ not in _BASES
    }
    users = {
        name: classes[-1]
        for name, classes in known_classes(_Step).items()
        if not classes[-1].__module__.startswith("beam_distilabel.") and not name.startswith("_")
    }
    return {**users, **ours}


class DistilabelProvider(InlineProvider):
    """Every Step and Task, `DistilabelPipeline` and `WriteDistiset`, in this process.

    Args:
        names: which are provided: name in the file to name of the class; all by their own names if
            empty.

    Raises:
        DistilabelUserError: a class is unknown.
    """

    def __init__(self, names: Mapping[str, str] | None = None) -> None:
        known: dict[str, Any] = {
            **{name: as_transform(cls) for name, cls in step_classes().items()},
            "DistilabelPipeline": DistilabelPipeline,
            "WriteDistiset": WriteDistiset,
        }
        for name in (names or {}).values():
            if name not in known:
                raise DistilabelUserError(
                    f"there is no Step or Task {name!r} here.{closest(str(name), known)}"
                )
        super().__init__({given: known[name] for given, name in names.items()} if names else known)

    def _affinity(self, other: Provider) -> int:
        # As between two of Beam's own that run in this process: no other language in between.
        return 10 if isinstance(other, InlineProvider) else 0

    def to_json(self) -> dict[str, Any]:
        return {"type": PROVIDER}


@ExternalProvider.register_provider_type(PROVIDER)  # type: ignore[untyped-decorator]
def _provider(urns: Mapping[str, str]) -> DistilabelProvider:
    return DistilabelProvider(urns)


__all__ = ["DistilabelProvider", "as_transform", "step_classes"]
