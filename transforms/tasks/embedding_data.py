"""What the Tasks that write training data for text embeddings have in common.

The method is that of Wang et al. 2023, "Improving Text Embeddings with Large Language Models",
https://arxiv.org/abs/2401.00368: a model first invents tasks, then writes examples for each task,
and what the examples are like (length, clarity, difficulty) is drawn for each of them, so that they
differ. The prompts are ours.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, TypeVar

import pyarrow as pa
from pydantic import PrivateAttr

from beam_distilabel.generator_task import RolloutGeneratorTask
from beam_distilabel.metadata import METADATA
from beam_distilabel.row import DRAW, Row, content, seed_from
from beam_distilabel.task import Task, _Task
from beam_distilabel.transforms.tasks.json_answers import json_answer, texts_under
from beam_distilabel.typing import ChatType, StepColumns

Clarity = Literal["clear", "understandable with some effort", "ambiguous"]
Difficulty = Literal["high school", "college", "PhD"]
Unit = Literal["sentence", "phrase", "passage"]
SchoolDifficulty = Literal["elementary school", "high school", "college"]
HighScore = Literal["4", "4.5", "5"]
LowScore = Literal["2.5", "3", "3.5"]

CLARITIES: tuple[Clarity, ...] = ("clear", "understandable with some effort", "ambiguous")
DIFFICULTIES: tuple[Difficulty, ...] = ("high school", "college", "PhD")
UNITS: tuple[Unit, ...] = ("sentence", "phrase", "passage")
SCHOOL_DIFFICULTIES: tuple[SchoolDifficulty, ...] = ("elementary school", "high school", "college")
HIGH_SCORES: tuple[HighScore, ...] = ("4", "4.5", "5")
LOW_SCORES: tuple[LowScore, ...] = ("2.5", "3", "3.5")

_T = TypeVar("_T")


def prompt_of(opening: str, keys: Mapping[str, str], rules: Sequence[str]) -> ChatType:
    """The conversation that asks for one JSON object.

    Args:
        opening: what to write, in a sentence or two.
        keys: the object's keys, and what goes under each.
        rules: what else to heed.
    """
    lines = [opening, "", "Answer with one JSON object and nothing else. Its keys are:"]
    lines += [f'- "{key}": {meaning}' for key, meaning in keys.items()]
    lines += ["", "Heed this:"] + [f"- {rule}" for rule in rules]
    return [{"role": "user", "content": "\n".join(lines)}]


class EmbeddingData(_Task):
    """A Task whose answer is a JSON object of texts.

    Attributes:
        seed: what of the prompt isn't set is drawn by this, the run's seed and the row.
    """

    keys: ClassVar[tuple[str, ...]] = ()
    """The object's keys, which are the output columns."""

    seed: int = 42

    @property
    def outputs(self) -> StepColumns:
        return [*self.keys, "model_name"]

    def output_schema(self) -> pa.Schema | None:
        return self._schema_of(dict.fromkeys(self.keys, pa.string()))

    def get_structured_output(self) -> dict[str, Any]:
        """An object with a text under each key."""
        return {
            "properties": {key: {"title": key, "type": "string"} for key in self.keys},
            "required": list(self.keys),
            "title": type(self).__name__,
            "type": "object",
        }

    def format_output(self, output: str | None, input: Row | None = None) -> dict[str, Any]:
        """The texts of one answer."""
        return dict(texts_under(json_answer(output, dict, set(self.keys).issubset), self.keys))

    def _drawn(self, row: Row, field: str, choices: Sequence[_T]) -> _T:
        """The value of a field, one of `choices` where it isn't set: always the same for a row."""
        given = getattr(self, field)
        if given is not None:
            return given
        told = {name: value for name, value in content(row).items() if name != METADATA}
        drawn = seed_from(
            self._context.seed, self.seed, self.unique_name, told, row.get(DRAW, 0), field
        )
        return random.Random(drawn).choice(choices)


class EmbeddingDataTask(EmbeddingData, Task):
    """Writes an example for the task that a row describes, in the column `task`."""

    # Here and not in `EmbeddingData`: of private attributes those of the last base class hold.
    _can_be_used_with_offline_batch_generation: bool = PrivateAttr(True)

    @property
    def inputs(self) -> StepColumns:
        return ["task"]


class EmbeddingDataGenerator(EmbeddingData, RolloutGeneratorTask):
    """Writes one example out of nothing, or `num_generations` of them."""

    def count_rows(self) -> int | None:
        """How many prompts there are: one."""
        return 1

    @property
    def prompt(self) -> ChatType:
        """What the model is asked."""
        return self.format_input({})  # type: ignore[return-value]


__all__ = [
    "CLARITIES",
    "DIFFICULTIES",
    "HIGH_SCORES",
    "LOW_SCORES",
    "SCHOOL_DIFFICULTIES",
    "UNITS",
    "Clarity",
    "Difficulty",
    "EmbeddingDataGenerator",
    "EmbeddingDataTask",
    "HighScore",
    "LowScore",
    "SchoolDifficulty",
    "Unit",
    "prompt_of",
]
