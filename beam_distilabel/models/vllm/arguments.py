"""The arguments of vLLM's engine: the LLM's fields, `extra_kwargs`, what the CPU build needs."""

from __future__ import annotations

import dataclasses
import os
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from beam_distilabel.errors import DistilabelUserError, EngineError
from beam_distilabel.models.vllm.settings import (
    CACHE_VARIABLE,
    cpu_cache_bytes,
    engine_sizes,
    ready_seconds,
)
from beam_distilabel.problems import closest

if TYPE_CHECKING:
    from beam_distilabel.models.vllm import vLLM
    from beam_distilabel.models.vllm.embeddings import vLLMEmbeddings

CPU_KV_CACHE_BYTES = 2 * 2**30

_SEEDED_SAMPLING = "beam_distilabel.models.vllm.seeded_sampling:SeededSampling"


def engine_arguments(spec: vLLM | vLLMEmbeddings, known: type, cpu: bool) -> dict[str, Any]:
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
                f"extra_kwargs has {name!r}, which is an argument of its own: "
                f"`{type(spec).__name__}({name}=...)`."
            )
        if name not in names:
            raise DistilabelUserError(
                f"extra_kwargs has {name!r}, which vLLM's engine doesn't take."
                f"{closest(name, names)}"
            )
    defaults: dict[str, Any] = {"disable_log_stats": True}
    if cpu:
        # A seed per request together with prompts in chunks ends the CPU build's engine, and
        # compiling takes it minutes.
        defaults |= {"enforce_eager": True, "enable_chunked_prefill": False}
        if not os.environ.get(CACHE_VARIABLE):
            defaults["kv_cache_memory_bytes"] = CPU_KV_CACHE_BYTES
        if _can_sample_seeded({**fields, **extra}):
            extra["logits_processors"] = [*extra.get("logits_processors", ()), _SEEDED_SAMPLING]
    arguments = {**defaults, **fields, **extra}
    arguments["structured_outputs_config"] = _structured_outputs_config(arguments)
    return arguments


def _structured_outputs_config(arguments: dict[str, Any]) -> Any:
    """With the backend that follows a schema or refuses it, where nothing else is asked for.

    vLLM's own choice, xgrammar, lets control characters into strings that have a greatest length,
    which is no JSON, and goes without what it doesn't know, such as `allOf` of two schemas.
    """
    config = arguments.get("structured_outputs_config") or {}
    slow = arguments.get("tokenizer_mode") == "slow"  # guidance reads fast tokenizers only
    if not isinstance(config, dict) or "backend" in config or slow:
        return config
    return {**config, "backend": "guidance"} if find_spec("llguidance") else config


def samples_seeded(arguments: dict[str, Any]) -> bool:
    """Whether the engine with these arguments has our seeded sampling."""
    return _SEEDED_SAMPLING in (arguments.get("logits_processors") or ())


def _can_sample_seeded(arguments: dict[str, Any]) -> bool:
    if arguments.get("runner") == "pooling":
        return False
    # With speculative decoding vLLM takes no logits processors; it draws several tokens at once.
    # Processed log probabilities would be those of a single possible token.
    processed = str(arguments.get("logprobs_mode", "")).startswith("processed")
    return not arguments.get("speculative_config") and not processed


def check_engine(spec: vLLM | vLLMEmbeddings) -> None:
    """Raise where the engine can't start, as far as that is known without starting it.

    Raises:
        EngineError: the model isn't there.
        DistilabelUserError: vLLM's engine doesn't take an argument, or a number is none.
    """
    check_model_path(spec.model)
    ready_seconds()
    cpu_cache_bytes()
    engine_sizes(spec.extra_kwargs, type(spec).__name__)
    if find_spec("vllm") is not None:
        from vllm.engine.arg_utils import AsyncEngineArgs
        from vllm.platforms import current_platform

        engine_arguments(spec, AsyncEngineArgs, current_platform.is_cpu())


def check_model_path(path: str, whose: str = "vLLM") -> None:
    """Raise where `path` can only be a folder and isn't there: the Hub would be asked for it.

    Raises:
        EngineError: it isn't there.
    """
    looks_local = path.startswith(("/", "./", "../", "~")) or path.count("/") > 1
    if looks_local and not os.path.exists(os.path.expanduser(path)):
        raise EngineError(f"{whose}'s model {path!r} is not there: no such file or directory.")
