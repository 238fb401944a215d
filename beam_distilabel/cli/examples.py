"""Objects to show: Steps and models made with the values of their docstrings' examples."""

from __future__ import annotations

import contextlib
import types
from collections.abc import Iterator
from typing import Any, Literal, Union, get_args, get_origin

from beam_distilabel.cli.docstrings import example_arguments, example_row


def example_of(cls: Any) -> Any:
    """An object of `cls`; what it needs comes from its docstring's example, else from the types.

    Nothing is loaded, and models in it answer nothing.

    Raises:
        Exception: whatever `cls` raises where these values don't go together.
    """
    given = example_arguments(cls)
    values = {name: value for name, value in given.items() if name in cls.model_fields}
    for name, field in cls.model_fields.items():
        if name not in values and (
            field.is_required() or name in ("llm", "image_generation_model")
        ):
            for value in _value_of(field.annotation, name):
                values[name] = value
    with _belonging_to_no_pipeline():
        return cls(**values)


def example_prompt(task: Any) -> list[dict[str, Any]]:
    """What a Task asks about an example row, as messages.

    Raises:
        Exception: whatever its `format_input` raises about a row of placeholders.
    """
    task.load()
    try:
        row = example_row(type(task))
        if row is not None:
            with contextlib.suppress(Exception):  # the example may be of another object
                return _messages(task.first_prompt(row))
        return _messages(task._sample_input())
    finally:
        task.unload()


def _messages(prompt: Any) -> list[dict[str, Any]]:
    """What `format_input` returns: a chat, a text, or one of them and a structure."""
    chat = prompt[0] if isinstance(prompt, tuple) else prompt
    if isinstance(chat, str):
        return [{"role": "prompt", "content": chat}]
    return [dict(message) for message in chat]


def _value_of(annotation: Any, name: str) -> Iterator[Any]:
    """A value of the type; nothing where there is none to think of."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        yield parts[0]
    elif origin in (Union, types.UnionType):
        found = [value for part in parts if part is not type(None) for value in _value_of(part, "")]
        yield from found[:1]
    elif origin is not None and hasattr(annotation, "__metadata__"):  # Annotated
        yield from _value_of(parts[0], name)
    elif origin is list or annotation is list:
        yield [value for part in parts[:1] for value in _value_of(part, name)]
    elif origin is dict or annotation is dict:
        yield {}
    elif annotation in (str, Any):
        yield f"<{name or 'text'}>"
    elif annotation in (int, float):
        yield annotation(1)
    elif annotation is bool:
        yield False
    elif isinstance(annotation, type):
        yield from _model_of(annotation)


def _model_of(annotation: type) -> Iterator[Any]:
    from beam_distilabel.models.base import LLM
    from beam_distilabel.models.embeddings import Embeddings
    from beam_distilabel.models.image_generation import ImageGenerationModel
    from beam_distilabel.models.magpie import MagpieChatTemplateMixin

    if issubclass(annotation, LLM):
        magpie = {"use_magpie_template": True, "magpie_pre_query_template": "llama3"}
        yield _silent(LLM, MagpieChatTemplateMixin, **magpie)
    for base in (Embeddings, ImageGenerationModel):
        if issubclass(annotation, base):
            yield _silent(base)


def _silent(*bases: Any, **fields: Any) -> Any:
    """A model that is there and answers nothing."""

    def name(self: Any) -> str:
        return "example"

    def nothing(self: Any) -> None:
        """There is nothing to load."""

    space = {"model_name": property(name), "load": nothing, "unload": nothing}
    return type("Example", bases, {"__module__": __name__, **space})(**fields)


@contextlib.contextmanager
def _belonging_to_no_pipeline() -> Iterator[None]:
    from beam_distilabel.step import open_pipelines

    token = open_pipelines.set(())
    try:
        yield
    finally:
        open_pipelines.reset(token)
