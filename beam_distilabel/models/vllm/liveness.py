"""Questions to vLLM's engine that end when the engine does."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_LOOK_SECONDS = 0.2


async def unless_dead(llm: Any, call: Coroutine[Any, Any, T]) -> T:
    """The result of `call`, which vLLM would let wait for ever where its engine dies meanwhile.

    Args:
        llm: vLLM's `AsyncLLM`.
        call: one of its methods besides `generate` and `encode`, which end by themselves.

    Raises:
        EngineDeadError: the engine died.
    """
    from vllm.v1.engine.exceptions import EngineDeadError

    task = asyncio.ensure_future(call)
    try:
        while not (await asyncio.wait({task}, timeout=_LOOK_SECONDS))[0]:
            if llm.errored:
                raise EngineDeadError()
        return task.result()
    finally:
        task.cancel()
