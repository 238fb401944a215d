"""The generation arguments of `LlamaCppLLM`."""

from __future__ import annotations

from typing import Annotated, Any

from annotated_types import Ge, Gt
from pydantic import ConfigDict, TypeAdapter
from pydantic.dataclasses import dataclass

from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.models.arguments import checked_arguments

_OURS = (
    "messages",
    "prompt",
    "max_tokens",
    "stream",
    "model",
    "grammar",
    "logits_processor",
    "response_format",
)


@dataclass(config=ConfigDict(extra="forbid"))
class GenerationArguments:
    """What `LlamaCppLLM.generate` takes besides the inputs; its docstring explains them."""

    max_new_tokens: Annotated[int, Gt(0)] = 128
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    temperature: Annotated[float, Ge(0)] = 1.0
    top_p: float = 1.0
    extra_generation_kwargs: dict[str, Any] | None = None
    structured_output: dict[str, Any] | None = None


_adapter = TypeAdapter(GenerationArguments)


def parse_arguments(arguments: dict[str, Any]) -> GenerationArguments:
    """`arguments` checked.

    Raises:
        DistilabelUserError: names the argument, its value and what is expected.
    """
    parsed = checked_arguments(_adapter, GenerationArguments, arguments, "LlamaCppLLM")
    for name in parsed.extra_generation_kwargs or {}:
        if name in _OURS:
            raise DistilabelUserError(
                f"LlamaCppLLM: extra_generation_kwargs can't hold {name!r}; it is set by the LLM "
                "(`max_new_tokens`, `structured_output`, the input)."
            )
    return parsed
