"""Models: LLMs, embeddings, image generation; one module per engine family.

The names below are loaded when they are asked for, since `models.base` is imported by the modules
that define them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from beam_distilabel.models.base import LLM, AsyncLLM
    from beam_distilabel.models.image_generation import (
        AsyncImageGenerationModel,
        ImageGenerationModel,
    )
    from beam_distilabel.models.vllm import vLLM

_MODULES = {
    "LLM": "base",
    "AsyncLLM": "base",
    "AsyncImageGenerationModel": "image_generation",
    "ImageGenerationModel": "image_generation",
    "vLLM": "vllm",
}

__all__ = ["LLM", "AsyncImageGenerationModel", "AsyncLLM", "ImageGenerationModel", "vLLM"]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
