"""Engines for LLM classes that only define `generate` or `agenerate`, users' own among them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from beam_distilabel.errors import DistilabelError, EngineError, GenerationError
from beam_distilabel.models.engine import Engine, GenerateRequest
from beam_distilabel.typing import FormattedInput, GenerateOutput

T = TypeVar("T")

_Pending = tuple[GenerateRequest, "asyncio.Future[GenerateOutput]"]
"""A request, and where its answer is waited for."""


def run_coroutine(make: Callable[[], Awaitable[T]]) -> T:
    """Run a coroutine to its end, also where this thread's event loop is already running."""

    async def run() -> T:
        return await make()

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(run())
    result: list[T] = []
    failure: list[BaseException] = []

    def in_thread() -> None:
        try:
            result.append(asyncio.run(run()))
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=in_thread)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return result[0]


async def agenerate_many(
    llm: Any, one: FormattedInput, num_generations: int, kwargs: dict[str, Any]
) -> GenerateOutput:
    """`num_generations` answers; by as many calls where the LLM gives one answer per call."""
    if getattr(llm, "_num_generations_param_supported", True):
        return await _one_call(llm.agenerate(input=one, num_generations=num_generations, **kwargs))
    results = await asyncio.gather(
        *(
            _or_failure(_one_call(llm.agenerate(input=one, **kwargs)))
            for _ in range(num_generations)
        )
    )
    failures = [result for result in results if isinstance(result, GenerationError)]
    if len(failures) == num_generations:
        raise failures[0]
    # What the others gave, and cost, isn't lost with the one that failed.
    return merge_outputs(
        [
            failed_output(result, 1)
            if isinstance(result, GenerationError)
            else normalized(result, 1)
            for result in results
        ]
    )


def failed_output(error: GenerationError, num_generations: int) -> GenerateOutput:
    """The output of generations that failed."""
    failure = {"kind": error.kind, "message": str(error), "attempts": error.attempts}
    return {
        "generations": [None] * num_generations,
        "statistics": {},
        "finish_reasons": [None] * num_generations,
        "failures": [failure] * num_generations,
    }


async def _or_failure(call: Awaitable[Any]) -> Any:
    try:
        return await call
    except GenerationError as error:
        return error


async def _one_call(call: Awaitable[Any]) -> Any:
    """What `call` returns; where it would end the task or the loop, it only fails itself.

    Raises:
        GenerationError: the LLM's code raised CancelledError or SystemExit.
    """
    try:
        return await call
    except (asyncio.CancelledError, SystemExit) as error:
        if isinstance(error, asyncio.CancelledError) and _is_being_cancelled():
            raise
        raise _as_generation_error(error) from error


def _is_being_cancelled() -> bool:
    """Whether somebody cancelled this task; Python 3.10 can't tell, there it is always False."""
    task = asyncio.current_task()
    cancelling = getattr(task, "cancelling", None)
    return cancelling is not None and cancelling() > 0


def merge_outputs(outputs: list[GenerateOutput]) -> GenerateOutput:
    """Several outputs of one input as one; lists are joined.

    Where one has no `failures` or `finish_reasons` and another has, it gets None for each of its
    generations: they are looked up by position. Token counts are zero where they are missing.
    """
    by_generation = [
        key for key in ("failures", "finish_reasons") if any(key in output for output in outputs)
    ]
    counted = sorted({name for output in outputs for name in output.get("statistics") or {}})
    merged: dict[str, Any] = {}
    for output in outputs:
        count = len(output["generations"])
        whole: dict[str, Any] = {**{key: [None] * count for key in by_generation}, **output}
        for key, value in whole.items():
            if key == "statistics" and isinstance(value, dict):
                known = merged.setdefault("statistics", {name: [] for name in counted})
                for name in counted:
                    known[name] += value.get(name, [0] * count)
            elif isinstance(value, list):
                merged[key] = [*(merged.get(key) or []), *value]
            else:
                merged.setdefault(key, value)
    return merged  # type: ignore[return-value]


def normalized(output: Any, num_generations: int) -> GenerateOutput:
    """An LLM's output in the current form; a bare list of texts is what older LLMs return."""
    if isinstance(output, list):
        output = {"generations": output, "statistics": {}}
    if not isinstance(output, dict) or "generations" not in output:
        raise GenerationError(
            f"the LLM returned {type(output).__name__!r} for an input; expected a dict with "
            "'generations' (see `GenerateOutput`)."
        )
    if not isinstance(output["generations"], (list, tuple)):
        raise GenerationError(
            f"the LLM returned 'generations' of type {type(output['generations']).__name__!r}; "
            "expected a list with one text (or None) per generation."
        )
    count = len(output["generations"])
    if count < num_generations:
        output = {
            **output,
            "generations": [*output["generations"], *[None] * (num_generations - count)],
        }
    return output


class _LLMEngine(Engine):
    """Loads a copy of the LLM on its loop's thread, so that the caller's object stays as it is."""

    def __init__(self, llm: Any) -> None:
        super().__init__()
        self._llm = llm.copied()

    async def start(self) -> None:
        try:
            self._llm.load()
        except DistilabelError:
            raise
        except (Exception, asyncio.CancelledError, SystemExit) as error:
            raise EngineError(
                f"{type(self._llm).__name__}.load() failed: {type(error).__name__}: {error}"
            ) from error

    async def stop(self) -> None:
        self._llm.unload()


class AsyncLLMEngine(_LLMEngine):
    """Answers by `agenerate`, all requests at once on the engine's loop."""

    def __init__(self, llm: Any) -> None:
        super().__init__(llm)
        self.description = type(llm).__name__

    async def generate(self, request: GenerateRequest) -> GenerateOutput:
        try:
            output = await agenerate_many(
                self._llm, request.input, request.num_generations, request.generation_kwargs
            )
        except DistilabelError:
            raise
        except Exception as error:
            raise GenerationError(f"{type(error).__name__}: {error}") from error
        return normalized(output, request.num_generations)


class SyncLLMEngine(_LLMEngine):
    """Answers by `generate`, in batches of what has arrived, in a thread of their own.

    Requests with the same arguments share a batch. Where a batch raises, its requests are asked one
    by one, so that one bad input costs one row.

    Attributes:
        method: what is called, and `output` what it returns for an input; for messages.
    """

    method = "generate"
    output = "`GenerateOutput`"

    def __init__(self, llm: Any) -> None:
        super().__init__(llm)
        self.description = type(llm).__name__
        self._waiting: list[_Pending] = []
        self._under_way: list[_Pending] = []
        self._wake = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None
        self._ended: EngineError | None = None

    async def start(self) -> None:
        await super().start()
        self._worker = asyncio.get_running_loop().create_task(self._work())

    async def stop(self) -> None:
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.wait([self._worker])
        await super().stop()

    async def generate(self, request: GenerateRequest) -> GenerateOutput:
        if self._ended is not None:
            raise self._ended
        future: asyncio.Future[GenerateOutput] = asyncio.get_running_loop().create_future()
        if not self._waiting:
            self._wake.set()
        self._waiting.append((request, future))
        return await future

    async def _work(self) -> None:
        """Answer until the engine is stopped; whatever ends this, nobody is left waiting."""
        reason = "the engine was stopped"
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                self._under_way, self._waiting = self._waiting, []
                await self._answer_groups(self._under_way)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            raise
        finally:
            self._ended = EngineError(f"{self.description} answers no more: {reason}")
            for _, future in [*self._under_way, *self._waiting]:
                if not future.done():
                    future.set_exception(self._ended)

    async def _answer_groups(self, waiting: list[_Pending]) -> None:
        groups: dict[str, list[_Pending]] = {}
        texts: dict[int, str] = {}
        for request, future in waiting:
            # Most requests share one dict of arguments.
            kwargs = request.generation_kwargs
            text = texts.get(id(kwargs)) or texts.setdefault(id(kwargs), repr(kwargs))
            arguments = f"{request.num_generations} {text}"
            groups.setdefault(arguments, []).append((request, future))
        for group in groups.values():
            answers = await asyncio.to_thread(self._answer, [request for request, _ in group])
            for (_, future), answer in zip(group, answers, strict=True):
                if future.done():
                    continue
                if isinstance(answer, BaseException):
                    future.set_exception(answer)
                else:
                    future.set_result(answer)

    def _call(self, requests: list[GenerateRequest]) -> Any:
        """What the LLM returns for requests with equal arguments."""
        return self._llm.generate(
            inputs=[request.input for request in requests],
            num_generations=requests[0].num_generations,
            **requests[0].generation_kwargs,
        )

    def _normalized(self, output: Any, request: GenerateRequest) -> GenerateOutput:
        """What the LLM returned for one request, in the current form.

        Raises:
            GenerationError: it is of no use.
        """
        return normalized(output, request.num_generations)

    def _answer(self, requests: list[GenerateRequest]) -> list[GenerateOutput | BaseException]:
        try:
            outputs = self._call(requests)
            if not isinstance(outputs, (list, tuple)):
                raise GenerationError(
                    f"{type(self._llm).__name__}.{self.method} returned "
                    f"{type(outputs).__name__!r}; it has to return a list with one "
                    f"{self.output} per input."
                )
            if len(outputs) != len(requests):
                raise GenerationError(
                    f"{type(self._llm).__name__}.{self.method} returned {len(outputs)} outputs for "
                    f"{len(requests)} inputs; it has to return one per input."
                )
        except BaseException as error:
            # CancelledError and SystemExit too: in this thread they can only come of the LLM's
            # code, and they would end the loop's task that all others wait for.
            if len(requests) == 1:
                return [_as_generation_error(error)]
            return [self._answer([request])[0] for request in requests]
        answers: list[GenerateOutput | BaseException] = []
        for output in outputs:
            try:
                answers.append(self._normalized(output, requests[0]))
            except GenerationError as error:
                answers.append(error)
        return answers


def _as_generation_error(error: BaseException) -> BaseException:
    if isinstance(error, DistilabelError):
        return error
    failure = GenerationError(f"{type(error).__name__}: {error}")
    failure.__cause__ = error
    return failure
