"""An engine for models that answer in batches of bounded size, in a thread of their own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from beam_distilabel.errors import DistilabelError, EngineError, GenerationError
from beam_distilabel.models.engine import Engine, GenerateRequest, engine_error
from beam_distilabel.typing import GenerateOutput

_BATCHES_IN_FLIGHT = 4
"""As many requests are taken, so that a full batch waits while another one is under way."""

_Pending = tuple[GenerateRequest, "asyncio.Future[GenerateOutput]"]


class Backend(Protocol):
    """A loaded model; everything runs in one thread.

    Attributes:
        description: the library and its version.
        batch_size: how many answers are made at once.
    """

    description: str
    batch_size: int

    def answer(
        self, requests: Sequence[GenerateRequest]
    ) -> Sequence[GenerateOutput | DistilabelError]:
        """Answer requests with equal generation arguments; one output, or its error, for each."""

    def close(self) -> None:
        """Free the model's memory."""


class BatchEngine(Engine):
    """Answers what has arrived, in batches, in the order of arrival.

    Where a batch raises, its requests are asked one by one, so that one bad input costs one row.

    Args:
        what: the LLM, for messages.
        load: makes the backend; runs in the engine's own thread, as everything of it does.
        batch_size: how many answers are made at once.
    """

    def __init__(self, what: str, load: Callable[[], Backend], batch_size: int) -> None:
        super().__init__()
        self._what = what
        self._load = load
        self.max_in_flight = _BATCHES_IN_FLIGHT * batch_size
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=what)
        self._backend: Backend | None = None
        self._waiting: list[_Pending] = []
        self._under_way: list[_Pending] = []
        self._wake = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None
        self._ended: EngineError | None = None

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            self._backend = await loop.run_in_executor(self._pool, self._load)
        except DistilabelError:
            raise
        except Exception as error:
            raise engine_error(f"{self._what} can't start", error) from error
        self.description = self._backend.description
        self._worker = loop.create_task(self._work())

    async def stop(self) -> None:
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.wait([self._worker])
        backend, self._backend = self._backend, None
        if backend is not None:
            try:
                closing = asyncio.get_running_loop().run_in_executor(self._pool, backend.close)
            except RuntimeError:  # at the end of the process pools take no more work
                backend.close()
            else:
                await closing
        self._pool.shutdown(wait=False)

    async def generate(self, request: GenerateRequest) -> GenerateOutput:
        if self._ended is not None:
            raise self._ended
        future: asyncio.Future[GenerateOutput] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, future))
        self._wake.set()
        return await future

    async def run(self, function: Callable[[Any], Any]) -> Any:
        """What `function`, given the backend, returns; between two batches, in their thread."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, self._backend)

    async def _work(self) -> None:
        """Answer until the engine is stopped; whatever ends this, nobody is left waiting."""
        reason = "the engine was stopped"
        loop = asyncio.get_running_loop()
        try:
            while True:
                await self._wake.wait()
                self._under_way = self._next_batch()
                if not self._waiting:
                    self._wake.clear()
                if not self._under_way:
                    continue
                requests = [request for request, _ in self._under_way]
                answers = await loop.run_in_executor(self._pool, self._answer, requests)
                for (_, future), answer in zip(self._under_way, answers, strict=True):
                    if future.done():
                        continue
                    if isinstance(answer, BaseException):
                        future.set_exception(answer)
                    else:
                        future.set_result(answer)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            logging.getLogger(__name__).exception("%s ended", self._what)
        finally:
            self._ended = EngineError(f"{self._what} answers no more: {reason}")
            for _, future in [*self._under_way, *self._waiting]:
                if not future.done():
                    future.set_exception(self._ended)

    def _next_batch(self) -> list[_Pending]:
        """The oldest request, and others with its arguments, up to the size of a batch."""
        assert self._backend is not None
        # A caller that has gone away needs no answer.
        self._waiting = [pending for pending in self._waiting if not pending[1].done()]
        batch: list[_Pending] = []
        rest: list[_Pending] = []
        sequences = 0
        for pending in self._waiting:
            request = pending[0]
            if batch and (
                sequences + request.num_generations > self._backend.batch_size
                or not _same_arguments(request, batch[0][0])
            ):
                rest.append(pending)
                continue
            batch.append(pending)
            sequences += request.num_generations
        self._waiting = rest
        return batch

    def _answer(
        self, requests: Sequence[GenerateRequest]
    ) -> Sequence[GenerateOutput | DistilabelError]:
        assert self._backend is not None
        try:
            return self._backend.answer(requests)
        except Exception as error:
            if len(requests) > 1:
                return [self._answer([request])[0] for request in requests]
            if isinstance(error, DistilabelError):
                return [error]
            failure = GenerationError(f"{type(error).__name__}: {error}")
            failure.__cause__ = error
            return [failure]


def _same_arguments(one: GenerateRequest, other: GenerateRequest) -> bool:
    # Most requests share one dict.
    return (
        one.generation_kwargs is other.generation_kwargs
        or one.generation_kwargs == other.generation_kwargs
    )
