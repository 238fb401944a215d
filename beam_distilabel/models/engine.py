"""Engines: what answers requests, and the registry that lets equal LLMs share one per process.

An Engine owns an event loop in a background thread; everything that talks to it runs there.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import dataclasses
import logging
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Iterator
from concurrent.futures import Future, TimeoutError as FutureTimeoutError
from typing import Any, TypeVar

from beam_distilabel.errors import EngineError, GenerationError
from beam_distilabel.models.statistics import EngineStatistics
from beam_distilabel.typing import FormattedInput, GenerateOutput

T = TypeVar("T")


@dataclasses.dataclass(slots=True)
class GenerateRequest:
    """One input for an engine.

    Attributes:
        input: a chat, (chat, structure to answer in), or a raw prompt.
        num_generations: how many answers.
        generation_kwargs: keyword arguments of the LLM's `generate` or `agenerate`.
        seed: what the sampling derives from, together with the number of the generation; engines
            that can't be seeded ignore it. None leaves sampling to the engine.
    """

    input: FormattedInput
    num_generations: int = 1
    generation_kwargs: dict[str, Any] = dataclasses.field(default_factory=dict)
    seed: int | None = None


class Engine:
    """Answers requests on its own event loop, for any number of threads and Steps.

    Subclasses define `start`, `generate` and `stop`; all three run on the engine's loop.

    Attributes:
        description: what the engine is and its version, for the report ("vllm 0.32.0").
        max_in_flight: how many requests it takes at once with profit.
        statistics: what it tells of itself; None where it tells nothing.
        in_flight: how many elements all its users have under way.
    """

    description = "python"
    max_in_flight = 256

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=type(self).__name__, daemon=True)
        self._closed = False
        self.statistics: EngineStatistics | None = None
        self.in_flight = 0
        self._counting = threading.Lock()

    async def start(self) -> None:
        """Get ready to answer. Raises `EngineError` with the engine's own error text."""

    async def generate(self, request: GenerateRequest) -> GenerateOutput:
        """Answer one request.

        Raises:
            GenerationError: this request failed, others are not affected.
            EngineError: the engine is dead.
        """
        raise NotImplementedError

    async def stop(self) -> None:
        """Release everything; pending requests are lost."""

    def enter(self) -> None:
        """Count an element that somebody has under way."""
        with self._counting:
            self.in_flight += 1

    def leave(self, count: int = 1) -> None:
        """Give back so many `enter`."""
        with self._counting:
            self.in_flight -= count

    @property
    def start_seconds(self) -> float | None:
        """In how many seconds `start` has to be done; None for any number."""
        return None

    @property
    def dead(self) -> bool:
        """Whether it can answer no request any more; another one takes its place."""
        return False

    @property
    def throttled_seconds(self) -> float:
        """For how long a busy endpoint has held requests back so far."""
        return 0.0

    def release(self) -> None:
        """Give back one `Registry.acquire`."""
        engines.release(self)

    def open(self) -> None:
        """Start the loop's thread and the engine; returns when it can answer."""
        self._thread.start()
        starting = self.submit(self.start())
        try:
            starting.result(self.start_seconds)
        except FutureTimeoutError:
            if starting.done():  # it is the start's own error
                self._close_failed()
                raise
            self._abandon(starting)
            raise EngineError(
                f"{type(self).__name__} was not ready after {self.start_seconds:g} s, and its "
                "start can't be stopped: something that it loads does not answer."
            ) from None
        except BaseException:
            self._close_failed()
            raise

    def _close_failed(self) -> None:
        try:
            self.close()
        except Exception:
            # Why it couldn't start says more than what half of it says when it is stopped.
            logging.getLogger(__name__).exception("stopping the engine failed as well")

    def _abandon(self, starting: Future[None]) -> None:
        """Leave a start that hangs to itself; should it end one day, the engine is stopped."""
        self._closed = True

        def stop(_: Any) -> None:
            asyncio.run_coroutine_threadsafe(self.stop(), self.loop)

        starting.add_done_callback(stop)
        starting.cancel()

    def close(self) -> None:
        """Stop the engine and its thread."""
        if self._closed:
            return
        self._closed = True
        try:
            self.call(self.stop())
        finally:
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join()

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Run `coroutine` on the engine's loop, from any other thread."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run `coroutine` on the engine's loop and wait for its result."""
        return self.submit(coroutine).result()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
        finally:
            self.loop.close()


class IdleEngine(Engine):
    """Stands where an engine is expected and nothing is asked."""

    max_in_flight = 64

    async def generate(self, request: GenerateRequest) -> GenerateOutput:
        raise EngineError("This run asks nothing.")


async def gather_or_cancel(coroutines: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """The results in order; where one raises, the others are ended before the error goes on."""
    tasks = [asyncio.ensure_future(one) for one in coroutines]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()  # does nothing to those that have finished
        await asyncio.gather(*tasks, return_exceptions=True)


async def answer(engine: Engine, request: GenerateRequest) -> dict[str, Any]:
    """What `engine` answers; a request that fails alone gives no text, and the reason.

    Returns:
        A `GenerateOutput`, or `{"generations": [None], "failure": {"kind", "message"}}`.

    Raises:
        EngineError: the engine is dead.
    """
    try:
        return dict(await engine.generate(request))
    except GenerationError as error:
        return {"generations": [None], "failure": {"kind": error.kind, "message": str(error)}}


@dataclasses.dataclass
class _Entry:
    lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)
    engine: Engine | None = None
    uses: Counter[str | None] = dataclasses.field(default_factory=Counter)


class Registry:
    """The engines of this process by model fingerprint, counted by use.

    Beam's own sharing of models loads one per transform and never releases it; here equal models
    share an engine whatever transform they are in, and the last user closes it. A use belongs to an
    owner (a run), so that what a failed run left behind can be given back.
    """

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}
        self._replaced: list[tuple[str, _Entry]] = []
        self._lock = threading.Lock()
        self._owner = threading.local()

    @contextlib.contextmanager
    def used_by(self, owner: str | None) -> Iterator[None]:
        """Count this thread's `acquire` and `release` calls as `owner`'s."""
        before = self._current_owner()
        self._owner.name = owner
        try:
            yield
        finally:
            self._owner.name = before

    def acquire(self, fingerprint: str, make: Callable[[], Engine]) -> Engine:
        """The engine of `fingerprint`, opened by the first caller; others wait for it.

        Raises:
            EngineError: it can't start; the next caller tries anew.
        """
        owner = self._current_owner()
        with self._lock:
            entry = self._entries.get(fingerprint)
            dead = entry is not None and entry.engine is not None and entry.engine.dead
            if entry is None or dead:
                if entry is not None:  # its users give it back as ever
                    self._replaced.append((fingerprint, entry))
                entry = self._entries[fingerprint] = _Entry()
            entry.uses[owner] += 1
        try:
            with entry.lock:
                if entry.engine is None:
                    engine = make()
                    engine.open()
                    entry.engine = engine
                return entry.engine
        except BaseException:
            self._give_back(fingerprint, entry, owner, 1)
            raise

    def release(self, engine: Engine) -> None:
        """Give back one `acquire`; the last one closes the engine."""
        owner = self._current_owner()
        for fingerprint, entry in self._entries_now():
            if entry.engine is engine and entry.uses[owner]:
                self._give_back(fingerprint, entry, owner, 1)

    def release_all(self, owner: str) -> None:
        """Give back everything that `owner` acquired and did not release."""
        for fingerprint, entry in self._entries_now():
            if entry.uses[owner]:
                self._give_back(fingerprint, entry, owner, entry.uses[owner])

    def holds(self, fingerprint: str) -> bool:
        """Whether the engine of `fingerprint` is open."""
        with self._lock:
            entry = self._entries.get(fingerprint)
        return entry is not None and entry.engine is not None

    @property
    def starting(self) -> int:
        """How many engines are being started."""
        return sum(entry.engine is None for _, entry in self._entries_now())

    def close_all(self) -> None:
        """Close every engine, used or not; for the end of the process."""
        with self._lock:
            entries = [*self._entries.values(), *(entry for _, entry in self._replaced)]
            self._entries, self._replaced = {}, []
        for entry in entries:
            if entry.engine is not None:
                entry.engine.close()

    def _current_owner(self) -> str | None:
        return getattr(self._owner, "name", None)

    def _entries_now(self) -> list[tuple[str, _Entry]]:
        with self._lock:
            return [*self._entries.items(), *self._replaced]

    def _give_back(self, fingerprint: str, entry: _Entry, owner: str | None, count: int) -> None:
        with self._lock:
            entry.uses[owner] -= count
            if entry.uses.total() > 0:
                return
        try:
            # Whoever comes meanwhile waits, so that no two equal engines run at once.
            with entry.lock:
                with self._lock:
                    if entry.uses.total() > 0:
                        return
                    engine, entry.engine = entry.engine, None
                if engine is not None:
                    engine.close()
        finally:
            with self._lock:
                if entry.uses.total() <= 0:
                    self._replaced = [one for one in self._replaced if one[1] is not entry]
                    if self._entries.get(fingerprint) is entry:
                        del self._entries[fingerprint]


engines = Registry()
"""The engines of this process."""

atexit.register(engines.close_all)


def engine_error(what: str, error: BaseException) -> EngineError:
    """An `EngineError` that names the engine and carries the original error's text."""
    return EngineError(f"{what}: {type(error).__name__}: {error}")
