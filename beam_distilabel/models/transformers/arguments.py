"""The generation arguments of `TransformersLLM`."""

from __future__ import annotations

from typing import Annotated, Any

from annotated_types import Ge, Gt, Le
from pydantic import ConfigDict, TypeAdapter
from pydantic.dataclasses import dataclass

from beam_distilabel.models.arguments import checked_arguments


@dataclass(config=ConfigDict(extra="forbid"))
class GenerationArguments:
    """What `TransformersLLM.generate` takes besides the inputs; its docstring explains them."""

    max_new_tokens: Annotated[int, Gt(0)] = 128
    temperature: Annotated[float, Ge(0)] = 0.1
    repetition_penalty: Annotated[float, Gt(0)] = 1.1
    top_p: Annotated[float, Gt(0), Le(1)] = 1.0
    top_k: Annotated[int, Ge(0)] = 0
    do_sample: bool = True
    structured_output: dict[str, Any] | None = None

    @property
    def samples(self) -> bool:
        """Whether chance has a part in an answer."""
        return self.do_sample and self.temperature > 0


_adapter = TypeAdapter(GenerationArguments)


def parse_arguments(arguments: dict[str, Any]) -> GenerationArguments:
    """`arguments` checked.

    Raises:
        DistilabelUserError: names the argument, its value and what is expected.
    """
    return checked_arguments(_adapter, GenerationArguments, arguments, "TransformersLLM")
