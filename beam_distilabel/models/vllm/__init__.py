"""vLLM: in the worker's process, as a server of the host, or at an address."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from beam_distilabel.models.vllm.llm import vLLM

__all__ = ["vLLM"]


def __getattr__(name: str) -> Any:
    # vLLM's own processes import `seeded_sampling`, and have no use for Beam.
    if name != "vLLM":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from beam_distilabel.models.vllm.llm import vLLM

    return vLLM
