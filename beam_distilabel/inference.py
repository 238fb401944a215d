"""ContinuousRunInference: RunInference without batches, so that an engine never waits for one.

Beam's own RunInference waits for the longest answer of every batch. Here each element starts as
soon as there is room, what has finished is passed on at once, and only the end of a bundle waits.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import heapq
import threading
import time
from collections import deque
from collections.abc import Coroutine, Generator, Iterator
from typing import Any, Protocol

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.ml.inference.base import ModelHandler, PredictionResult, RunInference
from apache_beam.pvalue import TaggedOutput
from apache_beam.utils.windowed_value import WindowedValue

from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.metrics import StepMetrics
from beam_distilabel.models.base import EngineModel
from beam_distilabel.models.engine import Engine, GenerateRequest, answer, engines
from beam_distilabel.progress import StepProgress, step_progress

FLUSH_SECONDS = 0.1
"""How often a worker looks at most whether its progress record is due."""

WAKE_SECONDS = 1.0
"""How long a worker waits for results before it writes its progress record."""

AFFINITY_WINDOW = 8
"""How many times the elements in flight are held back to be ordered by their prompts."""


def text_of(prompt: Any) -> str:
    """The text of a prompt, from its beginning; what isn't text is left out."""
    if isinstance(prompt, tuple):
        prompt = prompt[0]
    if isinstance(prompt, str):
        return prompt
    contents = [message.get("content") for message in prompt]
    return "\n".join(content for content in contents if isinstance(content, str))


class Rollout(Protocol):
    """What is done with the model for one element; a worker has one copy."""

    @property
    def owner(self) -> str | None:
        """Whose use of the engine it is, see `Registry`."""

    def load(self, handler: ModelHandler[Any, Any, Engine]) -> Engine:
        """The engine to ask; it is released when the worker's copy is no longer needed."""

    @property
    def begins_apart(self) -> bool:
        """Whether `run` may begin on the runner's thread.

        If so, it awaits nothing before `to_engine()`, after which it is on the engine's loop.
        """

    @property
    def has_answers(self) -> bool:
        """Whether elements may need no engine: it is loaded when the first one does."""

    def setup(self) -> None:
        """Called once, before the first element."""

    def use(self, engine: Engine) -> None:
        """Called once, when the engine is loaded."""

    @property
    def progress(self) -> StepProgress:
        """The counts of this copy, once it is set up."""

    def settle(self) -> None:
        """Called when the run is to end and no row is in flight: nothing may be lost now."""

    def teardown(self) -> None:
        """Called when the worker's copy is no longer needed."""

    async def run(self, element: Any) -> list[Any]:
        """The outputs for one element (TaggedOutput for a side output).

        Runs on the engine's loop (see `begins_apart`). What it raises fails the bundle.
        """

    def flush(self, end: bool = False) -> None:
        """Called now and then on the runner's thread, to write progress; `end` of a bundle."""

    def prefix(self, element: Any) -> str:
        """How the prompt of `element` begins; elements are ordered by it for `prefix_affinity`."""


_TO_ENGINE = object()


class _ToEngine:
    def __await__(self) -> Generator[object, None, None]:
        yield _TO_ENGINE


_to_engine = _ToEngine()


def on_loop() -> bool:
    """Whether an event loop runs this."""
    return asyncio._get_running_loop() is not None


async def to_engine() -> None:
    """Go on on the engine's loop, which is opened for that; nothing where it is there already."""
    if not on_loop():
        await _to_engine


class PromptRollout:
    """One request per prompt: what `RunInference` does, element by element."""

    owner: str | None = None
    begins_apart = False
    has_answers = False

    def __init__(self, handler: Any, inference_args: dict[str, Any] | None) -> None:
        self._handler = handler
        self._kwargs = {**handler.get_generation_kwargs(), **(inference_args or {})}

    def load(self, handler: ModelHandler[Any, Any, Engine]) -> Engine:
        return handler.load_model()

    def setup(self) -> None:
        self.progress = step_progress(None, "")
        self._metrics = StepMetrics(self.progress)

    def use(self, engine: Engine) -> None:
        self._engine = engine
        self._metrics.use(engine)

    def settle(self) -> None:
        """Nothing is kept."""

    def teardown(self) -> None:
        """Nothing to give back."""

    def flush(self, end: bool = False) -> None:
        self._metrics.publish(force=end)

    def prefix(self, element: Any) -> str:
        try:
            return text_of(element)
        except Exception:
            return ""  # the engine refuses it, and says why

    async def run(self, element: Any) -> list[PredictionResult]:
        began = time.perf_counter()
        output = await answer(self._engine, GenerateRequest(element, 1, self._kwargs))
        self.progress.answered(time.perf_counter() - began)
        self.progress.count_tokens(output.get("statistics"))
        if "failure" in output:
            self.progress.failed(output["failure"]["kind"], output["failure"]["message"])
        return [PredictionResult(element, output, self._handler.model_name)]


class ContinuousRunInference(RunInference):
    """`RunInference` for models whose engine is asynchronous.

    Args:
        model_handler: an LLM or Embeddings of this package, or derived of them.
        rollout: what to do for each element; the default asks the model once per prompt and gives
            PredictionResults.
        max_in_flight: how many elements are under way at once: of one worker thread, and, as what
            the engine says, of all that use it. The default is what the engine says.
        prefix_affinity: whether elements that wait for room are ordered by their prompts, up to
            `AFFINITY_WINDOW` times `max_in_flight` of them, so that those with a common beginning
            meet in the engine's prefix cache.
        tags: the side outputs of the rollout; with any, `expand` returns the tagged outputs with
            the main one under `rows`.
        inference_args: generation arguments, for the default rollout.

    Example:
        >>> from beam_distilabel.models.base import AsyncLLM
        >>> class Echo(AsyncLLM):
        ...     @property
        ...     def model_name(self): return "echo"
        ...     async def agenerate(self, input, num_generations=1):
        ...         return {"generations": [input]}
        >>> [r.inference["generations"] for r in ["a"] | ContinuousRunInference(Echo())]
        [['a']]
    """

    def __init__(
        self,
        model_handler: ModelHandler[Any, Any, Engine],
        *,
        rollout: Rollout | None = None,
        max_in_flight: int | None = None,
        prefix_affinity: bool = False,
        tags: tuple[str, ...] = (),
        inference_args: dict[str, Any] | None = None,
    ) -> None:
        if not isinstance(model_handler, EngineModel):
            raise DistilabelUserError(
                f"ContinuousRunInference takes LLMs and Embeddings of this package, not "
                f"{type(model_handler).__name__}; wrapped handlers (KeyedModelHandler, "
                "with_preprocess_fn...) work in Beam's RunInference."
            )
        if max_in_flight is not None and max_in_flight < 1:
            raise DistilabelUserError(
                f"ContinuousRunInference: max_in_flight is {max_in_flight}; 1 is the least."
            )
        super().__init__(model_handler, inference_args=inference_args)
        self._rollout: Rollout = rollout or PromptRollout(model_handler, inference_args)
        self._max_in_flight = max_in_flight
        self._prefix_affinity = prefix_affinity
        self._tags = tags

    def with_exception_handling(self, *args: Any, **kwargs: Any) -> Any:
        """Not needed: a prompt that fails costs itself, and its result has the `failure`.

        Raises:
            DistilabelUserError: always.
        """
        raise DistilabelUserError(
            "ContinuousRunInference has no with_exception_handling: a prompt that fails costs "
            "itself alone, and `result.inference['failure']` has the kind and the message."
        )

    def expand(self, pcoll: Any) -> Any:
        self._model_handler.validate_inference_args(self._inference_args)
        fn = _RunRollouts(
            self._model_handler, self._rollout, self._max_in_flight, self._prefix_affinity
        )
        hints = self._model_handler.get_resource_hints()
        rollouts: Any = beam.ParDo(fn).with_resource_hints(**hints)
        if self._tags:
            return pcoll | "Rollouts" >> rollouts.with_outputs(*self._tags, main="rows")
        return pcoll | "Rollouts" >> rollouts


class _InOrder:
    """Gives elements by their keys in ascending runs, while others keep coming.

    What comes too late for the run under way is for the next one (replacement selection).
    """

    def __init__(self) -> None:
        self._heap: list[tuple[int, str, int, WindowedValue]] = []
        self._run = 0
        self._last = ""
        self._count = 0

    def __len__(self) -> int:
        return len(self._heap)

    def push(self, key: str, value: WindowedValue) -> None:
        self._count += 1  # of equal keys the first comes first, and values are never compared
        run = self._run if key >= self._last else self._run + 1
        heapq.heappush(self._heap, (run, key, self._count, value))

    def pop(self) -> WindowedValue:
        self._run, self._last, _, value = heapq.heappop(self._heap)
        return value


class _RunRollouts(beam.DoFn):
    """Keeps rollouts under way on the engine's loop and passes on what has finished.

    Two threads meet here: the runner's, which calls the DoFn, and the engine's loop. They hand over
    in bulk (two deques, one wake-up per loop turn each way): a switch between threads costs more
    than a row.
    """

    def __init__(
        self,
        handler: ModelHandler[Any, Any, Engine],
        rollout: Rollout,
        limit: int | None,
        prefix_affinity: bool = False,
    ) -> None:
        self._handler = handler
        self._rollout = rollout
        self._limit = limit
        self._prefix_affinity = prefix_affinity

    def setup(self) -> None:
        self._handler.set_environment_vars()
        self._engine: Engine | None = None
        self._window = 0
        self._elements = Metrics.counter(self._handler.get_metrics_namespace(), "num_inferences")
        self._tasks: dict[object, asyncio.Task[None]] = {}
        self._flush_at = 0.0
        self._reset()
        self._rollout.setup()
        self._progress = self._rollout.progress
        self._begins_apart = self._rollout.begins_apart
        if self._prefix_affinity or not self._rollout.has_answers:
            try:
                self._open_engine()
            except BaseException:
                self._rollout.teardown()
                raise

    def _open_engine(self) -> Engine:
        with engines.used_by(self._rollout.owner):
            engine = self._rollout.load(self._handler)
        self._max_in_flight = self._limit or engine.max_in_flight
        self._window = AFFINITY_WINDOW * self._max_in_flight if self._prefix_affinity else 0
        self._engine = engine
        self._rollout.use(engine)
        return engine

    def teardown(self) -> None:
        try:
            self._cancel()
            self._rollout.teardown()
        finally:
            if self._engine is not None:
                with engines.used_by(self._rollout.owner):
                    self._engine.release()

    def _reset(self) -> None:
        self._inbox: deque[tuple[object, Coroutine[Any, Any, None]]] = deque()
        self._outbox: deque[tuple[WindowedValue, Any]] = deque()
        self._finished = threading.Event()
        self._start_is_due = False
        self._signal_is_due = False
        self._in_flight = 0
        self._held = _InOrder()

    def start_bundle(self) -> None:
        # What a failed bundle left under way belongs to nobody.
        if self._in_flight or self._held:
            self._cancel()
            self._reset()
        self._rollout.flush()

    def process(
        self,
        element: Any,
        windowed: Any = beam.DoFn.WindowedValueParam,
        window: Any = beam.DoFn.WindowParam,
    ) -> Iterator[Any]:
        # Asking for the window makes Beam call once per window, so `windowed` has exactly one.
        del window
        if not self._window:
            yield from self._feed(windowed)
            return
        self._held.push(self._rollout.prefix(windowed.value), windowed)
        if self._outbox:
            yield from self._collect(wait=False)
        # The engine gets what it has room for; only what waits anyway is put in order.
        while self._held and (self._has_room() or len(self._held) >= self._window):
            yield from self._feed_held()

    def finish_bundle(self) -> Iterator[Any]:
        while self._held:
            yield from self._feed_held()
        while self._in_flight:
            yield from self._collect(wait=True)
        if self._progress.stop.rows:
            self._await_the_end()
        self._rollout.flush(end=True)

    # -- on the runner's thread ------------------------------------------------------------------

    def _feed_held(self) -> Iterator[Any]:
        while not self._has_room():
            yield from self._collect(wait=True)
        self._begin(self._held.pop())

    def _feed(self, windowed: WindowedValue) -> Iterator[Any]:
        self._begin(windowed)
        if self._outbox:
            yield from self._collect(wait=False)
        while not self._has_room():
            yield from self._collect(wait=True)

    def _await_the_end(self) -> None:
        """The run is to end: finish what is in flight, keep it, and wait to be cancelled.

        What would come after this row must not come: a part would be taken for the whole.
        """
        while True:
            self._rollout.flush()  # raises when the run is cancelled
            if not self._progress.in_flight:
                self._rollout.settle()
            self._progress.stop.wait_for_now(WAKE_SECONDS)

    def _begin(self, windowed: WindowedValue) -> None:
        if self._progress.stop.rows:
            self._await_the_end()
        self._in_flight += 1
        ticket = object()
        rollout = self._run(ticket, windowed, self._outbox)
        if self._begins_apart:
            try:
                # Where all answers are at hand, this is all of it: no thread is switched.
                stopped_at = rollout.send(None)
            except StopIteration:
                return
            assert stopped_at is _TO_ENGINE
        engine = self._engine or self._open_engine()
        self._inbox.append((ticket, rollout))
        self._progress.begun += 1
        engine.enter()
        if not self._start_is_due:
            self._start_is_due = True
            engine.loop.call_soon_threadsafe(self._start, engine.loop, self._inbox)

    def _has_room(self) -> bool:
        if self._engine is None:
            return True
        if self._in_flight >= self._max_in_flight:
            return False
        # Full of other threads' elements; each thread may have one, so that all get on.
        return self._engine.in_flight < self._engine.max_in_flight or not self._in_flight

    def _collect(self, wait: bool) -> Iterator[Any]:
        if wait and not self._outbox:
            if not self._finished.wait(WAKE_SECONDS):
                self._rollout.flush()
            self._finished.clear()
        outbox = self._outbox
        finished = 0
        while outbox:
            windowed, outputs = outbox.popleft()
            self._in_flight -= 1
            if isinstance(outputs, BaseException):
                raise outputs
            finished += 1
            for output in outputs:
                if isinstance(output, TaggedOutput):
                    yield TaggedOutput(output.tag, windowed.with_value(output.value))
                else:
                    yield windowed.with_value(output)
        self._elements.inc(finished)
        now = time.monotonic()
        if now >= self._flush_at:
            self._flush_at = now + FLUSH_SECONDS
            self._rollout.flush()

    def _cancel(self) -> None:
        engine = self._engine
        if engine is None:
            return

        async def cancel() -> None:
            tasks, self._tasks = self._tasks, {}
            engine.leave(len(tasks))
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)
            self._progress.ended = self._progress.begun  # also those that never ran

        # Also where no task is seen yet: the loop may be about to start some.
        cancelling = cancel()
        try:
            done = engine.submit(cancelling)
        except RuntimeError:
            if not engine.loop.is_closed():
                raise
            # A run that has ended has closed its engines; some runners tear down after that.
            cancelling.close()
            return
        while not engine.loop.is_closed():
            with contextlib.suppress(concurrent.futures.TimeoutError):
                done.result(timeout=1.0)
                return

    # -- on the engine's loop --------------------------------------------------------------------

    def _start(self, loop: asyncio.AbstractEventLoop, inbox: deque[Any]) -> None:
        # Cleared first: what is appended from here on asks for another start.
        self._start_is_due = False
        while inbox:
            ticket, rollout = inbox.popleft()
            # The loop holds its tasks weakly.
            self._tasks[ticket] = loop.create_task(rollout)

    async def _run(self, ticket: object, windowed: WindowedValue, outbox: deque[Any]) -> None:
        outputs: Any
        try:
            outputs = await self._rollout.run(windowed.value)
        except BaseException as error:
            # A CancelledError too: a client library may leak one, and this element is waited for.
            outputs = error
        outbox.append((windowed, outputs))
        # Neither cancelled, nor finished without the engine.
        if self._tasks.pop(ticket, None) is not None and self._engine is not None:
            self._progress.ended += 1
            self._engine.leave()
            if not self._signal_is_due:
                self._signal_is_due = True
                self._engine.loop.call_soon(self._signal)

    def _signal(self) -> None:
        self._signal_is_due = False
        self._finished.set()
