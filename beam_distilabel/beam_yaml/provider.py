"""What Beam YAML asks for the transforms of this package."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

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
from beam_distilabel.problems import closest
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


def provider(names: Mapping[str, str] | None = None) -> Any:
    """Beam's provider of every Step and Task, `DistilabelPipeline` and `WriteDistiset`.

    For `YamlTransform(text, providers=provider())` in Python; a file names it by its type,
    "distilabel".

    Args:
        names: which are provided: name in the file to name of the class; all by their own names if
            empty.

    Raises:
        DistilabelUserError: a class is unknown.
        ImportError: Beam YAML's packages aren't installed.

    Example:
        >>> list(provider({"Judge": "PrometheusEval"}).provided_transforms())
        ['Judge']
    """
    try:
        from apache_beam.yaml.yaml_provider import InlineProvider
    except ImportError as error:
        raise ImportError(
            f"Beam YAML needs packages that aren't installed ({error}): "
            "pip install 'beam-distilabel[beam-yaml]'"
        ) from error
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
    # As Beam's own that run in this process, so that it changes no language in between.
    return InlineProvider({given: known[name] for given, name in names.items()} if names else known)


def register() -> None:
    """Let files name `provider` as the type "distilabel"."""
    try:
        from apache_beam.yaml.yaml_provider import ExternalProvider
    except ImportError:  # without Beam YAML nobody reads such a file either
        return

    def of_file(urns: Mapping[str, str]) -> Any:
        return provider(urns)

    ExternalProvider.register_provider_type(PROVIDER)(of_file)


__all__ = ["as_transform", "provider", "register", "step_classes"]
