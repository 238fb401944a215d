"""Numbers by which engines are started, from `extra_kwargs` and the environment, checked."""

from __future__ import annotations

import math
import os
from typing import Annotated, Any, NamedTuple

from annotated_types import Gt, Le
from pydantic import TypeAdapter, ValidationError

from beam_distilabel.errors import DistilabelUserError

READY_VARIABLE = "BEAM_DISTILABEL_ENGINE_READY_SECONDS"
"""The environment variable with the seconds in which an engine has to be ready; 1,800 if unset."""

CACHE_VARIABLE = "VLLM_CPU_KVCACHE_SPACE"
"""vLLM's environment variable with the GiB of the KV cache on CPUs."""

_Count = TypeAdapter(Annotated[int, Gt(0)])
_Share = TypeAdapter(Annotated[float, Gt(0), Le(1)])
_NUMBERS: dict[str, TypeAdapter[Any]] = {
    "tensor_parallel_size": _Count,
    "pipeline_parallel_size": _Count,
    "data_parallel_size": _Count,
    "kv_cache_memory_bytes": _Count,
    "gpu_memory_utilization": _Share,
}


class EngineSizes(NamedTuple):
    """How large an engine is.

    Attributes:
        workers: its processes that hold a part of the model, of one GPU each.
        gpu_share: of each GPU's memory, 0 to 1; None for vLLM's default.
        cache_bytes: of the KV cache of each; None for the default.
    """

    workers: int
    gpu_share: float | None
    cache_bytes: int | None


def engine_sizes(extra_kwargs: dict[str, Any] | None, whose: str) -> EngineSizes:
    """What `extra_kwargs` says of the engine's size.

    Args:
        extra_kwargs: of the model.
        whose: its class, for the message.

    Raises:
        DistilabelUserError: a number is none, or can't be.

    Example:
        >>> engine_sizes({"tensor_parallel_size": 2, "pipeline_parallel_size": 2}, "vLLM").workers
        4
    """
    values: dict[str, Any] = dict.fromkeys(_NUMBERS)
    for name, adapter in _NUMBERS.items():
        given = (extra_kwargs or {}).get(name)
        if given is None:
            continue
        try:
            values[name] = adapter.validate_python(given, strict=True)
        except ValidationError as error:
            raise DistilabelUserError(
                f"{whose}(extra_kwargs={{{name!r}: {given!r}}}): {error.errors()[0]['msg']}."
            ) from None
    workers = (values[name] or 1 for name in _NUMBERS if name.endswith("_parallel_size"))
    return EngineSizes(
        math.prod(workers), values["gpu_memory_utilization"], values["kv_cache_memory_bytes"]
    )


def ready_seconds() -> float:
    """The seconds in which an engine has to be ready.

    Raises:
        DistilabelUserError: the environment variable holds no number above 0.
    """
    return _environment_number(READY_VARIABLE, "seconds") or 1800.0


def cpu_cache_bytes() -> int | None:
    """The KV cache that the environment gives engines on CPUs; None where it doesn't say.

    Raises:
        DistilabelUserError: the environment variable holds no number above 0.
    """
    space = _environment_number(CACHE_VARIABLE, "GiB")
    return None if space is None else int(space * 2**30)


def _environment_number(name: str, unit: str) -> float | None:
    text = os.environ.get(name)
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise DistilabelUserError(
            f"The environment variable {name} is {text!r}; expected a number of {unit} above 0."
        )
    return number
