"""The arguments of vLLM's engine: the LLM's fields, `extra_kwargs`, what the CPU build needs."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from beam_distilabel.errors import DistilabelUserError, EngineError
from beam_distilabel.runtime_parameters import closest

if TYPE_CHECKING:
    from beam_distilabel.models.vllm import vLLM

_CPU_KV_CACHE_BYTES = 2 * 2**30


def engine_arguments(spec: vLLM, known: type, cpu: bool) -> dict[str, Any]:
    """The arguments of vLLM's `AsyncEngineArgs`, checked.

    Raises:
        DistilabelUserError: `extra_kwargs` has an unknown name; the message has the closest one.
    """
    names = [field.name for field in dataclasses.fields(known) if not field.name.startswith("_")]
    fields = spec.engine_fields()
    extra = dict(spec.extra_kwargs or {})
    for name in extra:
        if name in fields:
            raise DistilabelUserError(
                f"extra_kwargs has {name!r}, which is an argument of its own: `vLLM({name}=...)`."
            )
        if name not in names:
            raise DistilabelUserError(
                f"extra_kwargs has {name!r}, which vLLM's engine doesn't take."
                f"{closest(name, names)}"
            )
    defaults: dict[str, Any] = {}
    if cpu:
        # A seed per request together with prompts in chunks ends the CPU build's engine, and
        # compiling takes it minutes.
        defaults = {"enforce_eager": True, "enable_chunked_prefill": False}
        if not os.environ.get("VLLM_CPU_KVCACHE_SPACE"):
            defaults["kv_cache_memory_bytes"] = _CPU_KV_CACHE_BYTES
    return {**defaults, **fields, **extra}


def check_model_path(path: str) -> None:
    """Raise where `path` can only be a folder and isn't there: the Hub would be asked for it.

    Raises:
        EngineError: it isn't there.
    """
    looks_local = path.startswith(("/", "./", "../", "~")) or path.count("/") > 1
    if looks_local and not os.path.exists(os.path.expanduser(path)):
        raise EngineError(f"vLLM's model {path!r} is not there: no such file or directory.")


def visible_devices(chosen: Sequence[int]) -> str:
    """The value of CUDA_VISIBLE_DEVICES with which an engine sees the chosen GPUs alone.

    Args:
        chosen: numbers among the GPUs that this process sees, as CUDA counts them.

    Raises:
        DistilabelUserError: this process' CUDA_VISIBLE_DEVICES has no such GPU.

    Example:
        >>> from unittest import mock
        >>> with mock.patch.dict(os.environ, CUDA_VISIBLE_DEVICES="2,3"):
        ...     visible_devices([0])
        '2'
    """
    seen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if seen is None:
        return ",".join(map(str, chosen))
    names = [name.strip() for name in seen.split(",") if name.strip()]
    for number in chosen:
        if not 0 <= number < len(names):
            raise DistilabelUserError(
                f"vLLM's cuda_devices has {number}, and this process sees {len(names)} GPUs "
                f"(CUDA_VISIBLE_DEVICES={seen!r}), counted from 0."
            )
    return ",".join(names[number] for number in chosen)
