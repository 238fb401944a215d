"""The generation arguments of `MlxLLM`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from annotated_types import Ge, Gt
from pydantic import ConfigDict, TypeAdapter
from pydantic.dataclasses import dataclass

from beam_distilabel.models.arguments import checked_arguments


@dataclass(config=ConfigDict(extra="forbid", arbitrary_types_allowed=True))
class GenerationArguments:
    """What `MlxLLM.generate` takes besides the inputs; its docstring explains them."""

    max_tokens: Annotated[int, Gt(0)] = 256
    logits_processors: list[Callable[..., Any]] | None = None
    max_kv_size: Annotated[int, Gt(0)] | None = None
    prompt_cache: Any | None = None
    prefill_step_size: Annotated[int, Gt(0)] = 512
    kv_bits: int | None = None
    kv_group_size: int = 64
    quantized_kv_start: int = 0
    prompt_progress_callback: Callable[[int, int], Any] | None = None
    temp: Annotated[float, Ge(0)] = 0.0
    top_p: float = 0.0
    min_p: float = 0.0
    min_tokens_to_keep: int = 1
    top_k: int = -1
    structured_output: dict[str, Any] | None = None


_adapter = TypeAdapter(GenerationArguments)


def parse_arguments(arguments: dict[str, Any]) -> GenerationArguments:
    """`arguments` checked.

    Raises:
        DistilabelUserError: names the argument, its value and what is expected.
    """
    return checked_arguments(_adapter, GenerationArguments, arguments, "MlxLLM")
