"""What Steps and models there are, and everything that there is to say about one of them."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from beam_distilabel.cli.completion import MODEL_MODULES, STEP_MODULES, exported
from beam_distilabel.cli.docstrings import description, section, summary
from beam_distilabel.cli.examples import example_of, example_prompt
from beam_distilabel.distiset.citations import citations_of
from beam_distilabel.docstrings import described_attributes
from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.models.base import LLM, AsyncLLM, Model
from beam_distilabel.models.embeddings import Embeddings
from beam_distilabel.models.image_generation import ImageGenerationModel
from beam_distilabel.problems import closest
from beam_distilabel.redaction import hide_secrets
from beam_distilabel.runners.describe import type_text
from beam_distilabel.runtime_parameters import runtime_parameter_is_optional
from beam_distilabel.step import GeneratorStep, GlobalStep, Step
from beam_distilabel.task import GeneratorTask, GlobalTask, ImageTask, Task, _Task

STEP_KINDS = ("loader", "step", "global step", "task", "generator task", "image task")
MODEL_KINDS = ("LLM", "embeddings", "image generation")

_BASES: tuple[type, ...] = (
    *(Step, GeneratorStep, GlobalStep, Task, GeneratorTask, GlobalTask, ImageTask),
    *(Model, LLM, AsyncLLM, Embeddings, ImageGenerationModel),
)


@dataclasses.dataclass(frozen=True)
class Item:
    """A Step or a model.

    Attributes:
        name: of the class.
        kind: one of `STEP_KINDS` or `MODEL_KINDS`.
        module: where it is imported from.
        cls: the class.
    """

    name: str
    kind: str
    module: str
    cls: Any

    @property
    def summary(self) -> str:
        """What it is, in a sentence."""
        return summary(self.cls)


@dataclasses.dataclass(frozen=True)
class Argument:
    """An argument of a constructor, or of a model's calls.

    Attributes:
        name: of the argument.
        type: what it may be, in words.
        default: as Python writes it; "required" where there is none.
        description: what it means.
        runtime: whether a run may set it.
        common: whether all Steps, or models, of its kind have it and can do without it.
    """

    name: str
    type: str
    default: str
    description: str = ""
    runtime: bool = False
    common: bool = False


@dataclasses.dataclass(frozen=True)
class Description:
    """All about a Step or a model.

    Attributes:
        item: which.
        text: what its documentation says first.
        arguments: of the constructor, its own first.
        generation_arguments: what `generation_kwargs` of a model may hold; None where anything may,
            or it is no model.
        input_columns: what the documentation says of them.
        output_columns: likewise.
        columns: input and output columns of the example, with whether they have to be there.
        prompt: messages about an example row.
        note: why there is no example.
        source: what the method comes from.
        citations: BibTeX entries.
    """

    item: Item
    text: str
    arguments: list[Argument]
    generation_arguments: list[Argument] | None
    input_columns: str
    output_columns: str
    columns: dict[str, dict[str, bool]]
    prompt: list[dict[str, Any]]
    note: str
    source: str
    citations: list[str]

    def as_dict(self) -> dict[str, Any]:
        """As JSON-like data."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        arguments = [dataclasses.asdict(argument) for argument in self.arguments]
        generation = self.generation_arguments
        return {
            "name": self.item.name,
            "kind": self.item.kind,
            "import": f"from {self.item.module} import {self.item.name}",
            **{name: value for name, value in values.items() if name != "item"},
            "arguments": arguments,
            "generation_arguments": generation
            and [dataclasses.asdict(argument) for argument in generation],
        }


def steps() -> dict[str, Item]:
    """The Steps and Tasks of this package, by name."""
    return _items(STEP_MODULES, _kind_of_step)


def models() -> dict[str, Item]:
    """The models of this package, by name."""
    return _items(MODEL_MODULES, _kind_of_model)


def _items(modules: tuple[str, ...], kind_of: Any) -> dict[str, Item]:
    found = {}
    for module in modules:
        for name in exported(module):
            cls = getattr(importlib.import_module(module), name)
            if inspect.isclass(cls) and issubclass(cls, BaseModel) and cls not in _BASES:
                found[name] = Item(name, kind_of(cls), module, cls)
    return dict(sorted(found.items(), key=lambda pair: pair[0].lower()))


def _kind_of_step(cls: Any) -> str:
    if issubclass(cls, ImageTask):
        return "image task"
    if issubclass(cls, _Task):
        return "generator task" if cls.is_generator else "task"
    if cls.is_generator:
        return "loader"
    return "global step" if cls.is_global else "step"


def _kind_of_model(cls: Any) -> str:
    if issubclass(cls, LLM):
        return "LLM"
    return "embeddings" if issubclass(cls, Embeddings) else "image generation"


def matching(items: dict[str, Item], kind: str | None, text: str | None) -> list[Item]:
    """Those of a kind, and with a text in their name or summary."""
    wanted = (text or "").lower()
    return [
        item
        for item in items.values()
        if kind in (None, item.kind)
        and (wanted in item.name.lower() or wanted in item.summary.lower())
    ]


def named(items: dict[str, Item], name: str, what: str) -> Item:
    """The one of that name; upper and lower case don't matter.

    Raises:
        DistilabelUserError: there is none; has the closest name.
    """
    by_lower = {known.lower(): item for known, item in items.items()}
    found = by_lower.get(name.lower())
    if found is None:
        near = closest(name, items) or closest(name.lower(), by_lower)
        for known, item in by_lower.items():
            near = near.replace(repr(known), repr(item.name))
        raise DistilabelUserError(f"there is no {what} {name!r}.{near} All: `{what}s list`.")
    return found


def describe(item: Item) -> Description:
    """All that there is to say about a Step or a model.

    The columns and the prompt are those of an example: an object made with the arguments in the
    example of the class' documentation.
    """
    cls = item.cls
    columns: dict[str, dict[str, bool]] = {}
    prompt: list[dict[str, Any]] = []
    generation: list[Argument] | None = None
    note = ""
    try:
        # Whatever a class says to values that nobody chose: then there is no example of it.
        example = example_of(cls)
        if isinstance(example, Model):
            generation = _generation_arguments(example)
        elif item.kind in STEP_KINDS and item.kind != "loader":  # its columns are those of its data
            columns = {"inputs": example.get_inputs(), "outputs": example.get_outputs()}
            if issubclass(cls, _Task):
                prompt = example_prompt(example)
    except Exception as error:
        note = f"There is no example: {_reason(error)}"
    return Description(
        item=item,
        text=description(cls),
        arguments=_arguments(cls),
        generation_arguments=generation,
        input_columns=section(cls, "Input columns"),
        output_columns=section(cls, "Output columns"),
        columns=columns,
        prompt=prompt,
        note=note,
        source=section(cls, "Source"),
        citations=citations_of(cls),
    )


def _arguments(cls: Any) -> list[Argument]:
    said = described_attributes(cls)
    of_bases = {name for base in _BASES if issubclass(cls, base) for name in base.model_fields}  # type: ignore[attr-defined]
    fields: dict[str, FieldInfo] = cls.model_fields
    ordered = sorted(fields, key=lambda name: (not fields[name].is_required(), name in of_bases))
    return [
        Argument(
            name,
            field_type(fields[name]),
            default_of(fields[name]),
            fields[name].description or said.get(name, ""),
            runtime_parameter_is_optional(fields[name]) is not None,
            name in of_bases and not fields[name].is_required(),
        )
        for name in ordered
    ]


def field_type(field: FieldInfo) -> str:
    """What a field may be, in words."""
    text = type_text(field)
    while " or None or None" in text:
        text = text.replace(" or None or None", " or None")
    return text


def default_of(field: FieldInfo) -> str:
    """A field's default; "required" where there is none."""
    if field.is_required():
        return "required"
    default = field.get_default(call_default_factory=True, validated_data={})
    return "required" if default is PydanticUndefined else shortened(default)


def shortened(value: Any) -> str:
    """A value as Python writes it, on one short line, without secrets."""
    text = hide_secrets(" ".join(repr(value).split()))
    return text if len(text) <= 70 else f"{text[:67]}..."


def _generation_arguments(model: Model) -> list[Argument] | None:
    parameters = model.generation_parameters()
    if parameters is None:
        return None
    return [
        Argument(
            name,
            _annotation(parameter),
            "required" if parameter.default is parameter.empty else shortened(parameter.default),
        )
        for name, parameter in parameters.items()
    ]


def _reason(error: Exception) -> str:
    """Why an object or a prompt can't be made, in a line."""
    said = str(error.errors()[0]["msg"]) if isinstance(error, ValidationError) else str(error)
    said = " ".join(said.removeprefix("Value error, ").split())
    return hide_secrets(said)[:300] or type(error).__name__


def _annotation(parameter: inspect.Parameter) -> str:
    if parameter.annotation is parameter.empty:
        return ""
    if isinstance(parameter.annotation, str):
        return parameter.annotation
    return inspect.formatannotation(parameter.annotation)
