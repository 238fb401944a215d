"""What a rollout asks a model with: keys, seeds, and what of it is finished already."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from beam_distilabel.asking import Asker
from beam_distilabel.attempts import generation_of, put_together
from beam_distilabel.checkpoint import MISSING
from beam_distilabel.errors import GenerationError
from beam_distilabel.inference import to_engine
from beam_distilabel.models.engine import GenerateRequest, gather_or_cancel
from beam_distilabel.models.user_engine import failed_output
from beam_distilabel.row import fingerprint, seed_from
from beam_distilabel.typing import FormattedInput, GenerateOutput


class Asked(NamedTuple):
    """What is the same for all rows of a Task.

    Attributes:
        key: what of the Task decides the answers.
        kwargs: the generation arguments.
        asker: asks the engine what isn't finished.
    """

    key: str
    kwargs: dict[str, Any]
    asker: Asker


class NotStored(BaseException):
    """An attempt that may not be asked for isn't stored.

    No Exception, for the reason that `Unfinished` is none.
    """


class RowGenerate:
    """Asks the engine on behalf of one row: arguments, seeds, token counts.

    Attributes:
        last_input: what was asked last; None before that.
        output: what was answered last; None where that failed.
        is_fresh: whether the engine was asked.
        is_repeated: whether the rollout was tried before.
    """

    __slots__ = (
        "_asked",
        "_asks",
        "_attempt",
        "_draw",
        "_task",
        "is_fresh",
        "is_repeated",
        "last_input",
        "output",
    )

    def __init__(
        self,
        task: Asked,
        draw: Any,
        attempt: int = 0,
        asks: bool = True,
        is_repeated: bool = False,
    ) -> None:
        self._task = task
        self._draw = draw
        self._attempt = attempt
        self._asks = asks
        self._asked: dict[str, int] = {}
        self.last_input: Any = None
        self.output: GenerateOutput | None = None
        self.is_fresh = False
        self.is_repeated = is_repeated

    async def __call__(
        self, input: FormattedInput, num_generations: int = 1, **overrides: Any
    ) -> GenerateOutput:
        task = self._task
        self.last_input = input
        self.output = None
        key = fingerprint(task.key, input, self._draw, overrides)
        if self._attempt:
            key = fingerprint(key, "attempt", self._attempt)
        nth = self._asked.get(key, 0)
        self._asked[key] = nth + 1
        kwargs = {**task.kwargs, **overrides} if overrides else task.kwargs
        # The key is a hash: its own bits are a seed, as long as it is the first of its kind.
        seed = seed_from(key, nth) if nth else int(key[:8], 16) >> 1
        request = GenerateRequest(input, num_generations, kwargs, seed)
        if nth or num_generations != 1:
            key = fingerprint(key, nth, num_generations)
        output: GenerateOutput = await task.asker.find(key)
        if output is MISSING:
            if not self._asks:
                raise NotStored
            self.is_fresh = True
            output = await task.asker.ask_engine(request, key)
        self.output = output
        return output

    def texts(self) -> list[Any]:
        """What the model wrote last, also where it is of no use."""
        if self.output is None:
            return []
        texts: list[Any] = list(self.output["generations"])
        for i, failure in enumerate(self.output.get("failures") or ()):
            if failure:
                texts[i] = failure.get("raw_output")
        return texts


class GenerateEach(RowGenerate):
    """Asks again for some generations of an input, each with a key of its own.

    Args:
        task: see `RowGenerate`.
        draw: see `RowGenerate`.
        output: what was answered before.
        numbers: generation to the number of its attempt.
        asks: generation to whether the engine may be asked for it.

    Attributes:
        asked: the generations that the engine was asked for.
        missing: those whose attempt isn't stored, and that may not be asked for.
    """

    __slots__ = ("_before", "_each_asks", "_numbers", "asked", "missing")

    def __init__(
        self,
        task: Asked,
        draw: Any,
        output: GenerateOutput,
        numbers: Mapping[int, int],
        asks: Mapping[int, bool],
    ) -> None:
        super().__init__(task, draw, is_repeated=True)
        self._before = output
        self._numbers = numbers
        self._each_asks = asks
        self.asked: set[int] = set()
        self.missing: set[int] = set()

    async def __call__(
        self, input: FormattedInput, num_generations: int = 1, **overrides: Any
    ) -> GenerateOutput:
        task = self._task
        self.last_input = input
        first = fingerprint(task.key, input, self._draw, overrides)
        kwargs = {**task.kwargs, **overrides} if overrides else task.kwargs
        count = len(self._before["generations"])
        parts = [generation_of(self._before, i) for i in range(count)]

        async def ask(key: str) -> GenerateOutput:
            request = GenerateRequest(input, 1, kwargs, int(key[:8], 16) >> 1)
            try:
                output = await task.asker.ask_engine(request, key)
            except GenerationError as error:
                output = failed_output(error, 1)
            return output

        wanted: dict[int, str] = {}
        for i, number in self._numbers.items():
            key = fingerprint(first, "attempt", number, i)
            output: GenerateOutput = await task.asker.find(key)
            if output is not MISSING:
                parts[i] = generation_of(output, 0)
            elif self._each_asks[i]:
                wanted[i] = key
            else:
                self.missing.add(i)
        if wanted:
            self.asked.update(wanted)
            await to_engine()  # on its loop they are asked at once
            answers = await gather_or_cancel(map(ask, wanted.values()))
            for i, answer in zip(wanted, answers, strict=True):
                parts[i] = generation_of(answer, 0)
        self.output = put_together(parts)
        return self.output


__all__ = ["Asked", "GenerateEach", "NotStored", "RowGenerate"]
