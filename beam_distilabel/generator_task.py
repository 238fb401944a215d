"""GeneratorTasks whose rows are made one by one, on all workers."""

from __future__ import annotations

from collections.abc import Iterator

import apache_beam as beam
from apache_beam.pvalue import PBegin

from beam_distilabel.batched_rollouts import roll_out
from beam_distilabel.errors import DistilabelNotImplementedError, DistilabelUserError
from beam_distilabel.row import DRAW, ROW_ID, Row, content, position_id
from beam_distilabel.step import StepResult
from beam_distilabel.task import GeneratorTask
from beam_distilabel.typing import GeneratorStepOutput

MAX_PARTS = 1_000
"""In so many parts, at most, the numbers of the draws are spread over the workers."""


class RolloutGeneratorTask(GeneratorTask):
    """A GeneratorTask that knows how many times it draws; subclasses define `count_rows` and
    `rollout`.

    Every draw is a rollout of its own on a row without columns, whose `DRAW` is its number: draws
    run in parallel on all workers, an answer is kept and found again by the number of its draw, and
    more draws ask for the new ones only. A subclass names the fields that say how many there are in
    `not_in_key`.

    Example:
        >>> from beam_distilabel.models.base import AsyncLLM
        >>> class Bard(AsyncLLM):
        ...     @property
        ...     def model_name(self): return "bard"
        ...     async def agenerate(self, input, num_generations=1):
        ...         return {"generations": [input[-1]["content"] + " ..."]}
        >>> class Lines(RolloutGeneratorTask):
        ...     @property
        ...     def outputs(self): return ["line", "model_name"]
        ...     def count_rows(self): return 3
        ...     async def rollout(self, row, generate):
        ...         sent = [{"role": "user", "content": f"Line {row['_draw']}"}]
        ...         return self._finished_rows(row, await generate(sent), sent)
        ...     def format_output(self, output, input=None): return {"line": output}
        >>> task = Lines(llm=Bard(), batch_size=2)
        >>> task.load()
        >>> [([row["line"] for row in rows], last) for rows, last in task.process()]
        [(['Line 0 ...', 'Line 1 ...'], False), (['Line 2 ...'], True)]
    """

    def count_rows(self) -> int | None:
        """How many draws there are.

        Raises:
            DistilabelNotImplementedError: the subclass doesn't say it.
        """
        raise DistilabelNotImplementedError(
            f"{type(self).__name__} has to define `count_rows(self)`: how often it draws."
        )

    def rolls_out(self) -> bool:
        return type(self).process is RolloutGeneratorTask.process

    def process(self, offset: int = 0) -> GeneratorStepOutput:
        """Yield (rows, whether they are the last), from draw `offset`, outside of a pipeline; call
        `load()` first."""
        count, size = self._count(), self.batch_size or 1
        for first in range(offset, count, size):
            draws = range(first, min(first + size, count))
            made = roll_out(self, [{DRAW: draw} for draw in draws])
            yield [content(row) for rows in made for row in rows], draws.stop == count
        if offset >= count:
            yield [], True

    def apply_to(self, pcoll: object) -> StepResult:
        """Spread the draws over the workers, and roll each of them out there."""
        from beam_distilabel.rollouts import apply_task

        if not self.rolls_out():
            return super().apply_to(pcoll)
        if not isinstance(pcoll, (PBegin, beam.Pipeline)):
            raise DistilabelUserError(
                f"{self._described()} makes rows of its own, so it can't be applied to rows; apply "
                "it to the pipeline: `p | step`."
            )
        draws = (
            pcoll
            | "Parts" >> beam.Create(_parts(self._count()), reshuffle=False)
            | "Spread" >> beam.Reshuffle()
            | "Draws" >> beam.FlatMap(_draws)
        )
        return apply_task(self, draws)

    def _count(self) -> int:
        count = self.count_rows()
        if count is None:
            raise DistilabelUserError(
                f"{self._described()} isn't told how many rows to make; see its runtime parameters."
            )
        return count


def _parts(count: int) -> list[tuple[int, int]]:
    """The numbers below `count` in at most `MAX_PARTS` ranges of about the same size.

    Example:
        >>> _parts(3)
        [(0, 1), (1, 2), (2, 3)]
    """
    size = max(1, -(-count // MAX_PARTS))
    return [(first, min(first + size, count)) for first in range(0, count, size)]


def _draws(part: tuple[int, int]) -> Iterator[Row]:
    for number in range(*part):
        # The number is no column: it tells draws apart as equal rows are told apart.
        row: Row = {ROW_ID: position_id(0, number)}
        if number:
            row[DRAW] = number
        yield row


__all__ = ["RolloutGeneratorTask"]
