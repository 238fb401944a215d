"""Rollouts outside of a pipeline: those of a batch go on together, and what they ask is batched."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from beam_distilabel.models.engine import gather_or_cancel
from beam_distilabel.models.user_engine import run_coroutine
from beam_distilabel.row import DRAW, ROW_ID, Row, canonical_json, copied, number_equal_rows
from beam_distilabel.typing import FormattedInput, GenerateOutput


def roll_out(task: Any, rows: Sequence[Row]) -> list[list[Row]]:
    """What each row becomes by `task.rollout`, on the Task's own model, which is loaded.

    What the rollouts ask at the same time, with the same arguments, is one call of the model's
    `generate_outputs`. There are no seeds and no checkpoint here.

    Raises:
        Exception: what a rollout raises; in a pipeline it would cost its row only.
    """
    named = [copied(row) for row in rows]
    if not any(ROW_ID in row or DRAW in row for row in named):
        # What is random about a row depends on it; equal rows are told apart as in a pipeline.
        number_equal_rows(named)
    has_draw = [DRAW in row for row in rows]

    async def all_of_them() -> list[list[Row]]:
        asked = _Asked(task.model)
        return await gather_or_cancel(task.rollout(row, asked.generate) for row in named)

    done = run_coroutine(all_of_them)
    for made, keeps in zip(done, has_draw, strict=True):
        if not keeps:
            for row in made:
                row.pop(DRAW, None)
    return done


class _Asked:
    """Collects what is asked within one turn of the loop, and asks it in as few calls as it can."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._kwargs = model.get_generation_kwargs()
        self._waiting: list[tuple[Any, int, dict[str, Any], asyncio.Future[Any]]] = []

    async def generate(
        self, input: FormattedInput, num_generations: int = 1, **overrides: Any
    ) -> GenerateOutput:
        """See `beam_distilabel.task.Generate`."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._ask)  # after all that is ready now
        self._waiting.append((input, num_generations, {**self._kwargs, **overrides}, answer))
        output: GenerateOutput = await answer
        return output

    def _ask(self) -> None:
        waiting, self._waiting = self._waiting, []
        alike: dict[bytes, list[Any]] = {}
        for entry in waiting:
            alike.setdefault(canonical_json([entry[1], entry[2]]), []).append(entry)
        for entries in alike.values():
            _, num_generations, kwargs, _ = entries[0]
            try:
                outputs = self._model.generate_outputs(
                    inputs=[entry[0] for entry in entries],
                    num_generations=num_generations,
                    **kwargs,
                )
                if len(outputs) != len(entries):
                    raise ValueError(
                        f"{type(self._model).__name__} gave {len(outputs)} outputs for "
                        f"{len(entries)} inputs"
                    )
            except Exception as error:
                for *_, answer in entries:
                    if not answer.done():
                        answer.set_exception(error)
            else:
                for (*_, answer), output in zip(entries, outputs, strict=True):
                    if not answer.done():
                        answer.set_result(output)


__all__ = ["roll_out"]
