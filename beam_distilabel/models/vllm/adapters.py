"""LoRA adapters: one engine, a different adapter with each request."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from typing import Any

from beam_distilabel.errors import DistilabelUserError, EngineError
from beam_distilabel.models.vllm.liveness import unless_dead


def check_lora(lora: str | None, extra_kwargs: dict[str, Any] | None) -> None:
    """Raise where an adapter is asked for and the engine isn't started for any.

    Raises:
        DistilabelUserError: says what to set.
    """
    if lora is not None and not (extra_kwargs or {}).get("enable_lora"):
        raise DistilabelUserError(
            f"vLLM's generation argument lora={lora!r} needs an engine that is started for "
            "adapters: `vLLM(extra_kwargs={'enable_lora': True, 'max_lora_rank': 16})`, with "
            "'max_loras' for how many are used at once (1)."
        )


class Turns:
    """Lets requests of one kind run together, and of two kinds never.

    vLLM's CPU kernels give requests without an adapter the last adapter's weights where one batch
    has both: `lora/ops/torch_ops/lora_ops.py` takes the mark -1, for none, as an index.
    """

    def __init__(self) -> None:
        self._kind: bool | None = None
        self._running = 0
        self._changed = asyncio.Condition()

    @contextlib.asynccontextmanager
    async def turn(self, kind: bool) -> AsyncIterator[None]:
        """Wait until no request of the other kind runs, and run with those of the same kind."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self._running or self._kind is kind)
            self._kind = kind
            self._running += 1
        try:
            yield
        finally:
            # Not awaited: a cancelled request has to leave too.
            self._running -= 1
            if not self._running:
                self._waking = asyncio.ensure_future(self._wake())

    async def _wake(self) -> None:
        async with self._changed:
            self._changed.notify_all()


class Adapters:
    """The adapters that an engine has loaded.

    A wrong one that only a request brings would end the engine's process, and with it the answers
    of all others; so it is loaded before the first request that uses it.
    """

    def __init__(self) -> None:
        self._requests: dict[str, Any] = {}
        self._loaded: set[tuple[int, str]] = set()
        self._lock = asyncio.Lock()

    async def request(self, llm: Any, lora: str, incarnation: int) -> Any:
        """vLLM's `LoRARequest` for an adapter that `llm` has loaded.

        Args:
            llm: vLLM's engine.
            lora: the adapter's folder, or its name on the Hugging Face Hub.
            incarnation: which start of the engine this is.

        Raises:
            EngineError: the adapter can't be loaded.
        """
        if (incarnation, lora) in self._loaded:
            return self._requests[lora]
        async with self._lock:
            if (incarnation, lora) not in self._loaded:
                await self._load(llm, lora)
                self._loaded.add((incarnation, lora))
            return self._requests[lora]

    async def _load(self, llm: Any, lora: str) -> None:
        from vllm.lora.request import LoRARequest
        from vllm.v1.engine.exceptions import EngineDeadError

        path = os.path.expanduser(lora)
        if path.startswith(("/", "./", "../")) and not os.path.isdir(path):
            raise EngineError(f"vLLM's LoRA adapter {lora!r} is not there: no such folder.")
        known = self._requests.get(lora)
        request = known or LoRARequest(lora, len(self._requests) + 1, path)
        try:
            await unless_dead(llm, llm.add_lora(request))
        except EngineDeadError:
            raise
        except Exception as error:
            raise EngineError(f"vLLM can't load the LoRA adapter {lora!r}: {error}") from error
        self._requests[lora] = request
