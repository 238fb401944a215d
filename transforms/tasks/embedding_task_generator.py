"""EmbeddingTaskGenerator: tasks for which embeddings can be trained.

Wang et al. 2023, "Improving Text Embeddings with Large Language Models",
https://arxiv.org/abs/2401.00368; see `embedding_data.py`.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import pyarrow as pa

from beam_distilabel.errors import ParseError
from beam_distilabel.generator_task import RolloutGeneratorTask
from beam_distilabel.metadata import METADATA
from beam_distilabel.row import Row
from beam_distilabel.task import Generate
from beam_distilabel.transforms.tasks.json_answers import json_answer
from beam_distilabel.typing import ChatType, StepColumns

Category = Literal[
    "text-retrieval", "text-matching-short", "text-matching-long", "text-classification"
]

_CATEGORIES: Final[dict[Category, tuple[str, str]]] = {
    "text-retrieval": (
        "text retrieval: given a query, documents are found",
        "Say what the query is and which documents are wanted, such as: Given a symptom, find "
        "leaflets of medicines that treat it.",
    ),
    "text-matching-short": (
        "matching short texts, a sentence or less: given one text, one that belongs to it is found",
        "Say what is given and what is wanted, such as: Given the name of a dish, find another "
        "name of it.",
    ),
    "text-matching-long": (
        "matching long texts, several sentences or more: given one text, one that belongs to it is "
        "found",
        "Say what is given and what is wanted, such as: Given the plot of a film, find a review "
        "of it.",
    ),
    "text-classification": (
        "text classification: given a text, one of some labels is chosen",
        "Say what is given and what the labels tell apart, such as: Tell whether a letter of "
        "complaint is polite.",
    ),
}


def _are_tasks(found: list[Any]) -> bool:
    return bool(found) and all(isinstance(task, str) and task.strip() for task in found)


class EmbeddingTaskGenerator(RolloutGeneratorTask):
    """Invents tasks for which text embeddings can be trained.

    Attributes:
        category: "text-retrieval", "text-matching-short", "text-matching-long" or
            "text-classification".
        flatten_tasks: whether each task gets a row of its own, `task`; by default all tasks of an
            answer stand in one row, in the list `tasks`.
        num_generations: how many answers are asked for.

    Output columns: `tasks`, or `task` with `flatten_tasks`; `model_name`.

    Source: Wang et al. 2023, https://arxiv.org/abs/2401.00368

    Citations:
        @misc{wang2024improvingtextembeddingslarge,
            title={Improving Text Embeddings with Large Language Models},
            author={Liang Wang and Nan Yang and Xiaolong Huang and Linjun Yang and
                Rangan Majumder and Furu Wei},
            year={2024},
            eprint={2401.00368},
            archivePrefix={arXiv},
            primaryClass={cs.CL},
            url={https://arxiv.org/abs/2401.00368},
        }

    Example:
        >>> from beam_distilabel.models.base import AsyncLLM
        >>> class Writer(AsyncLLM):
        ...     @property
        ...     def model_name(self): return "writer"
        ...     async def agenerate(self, input, num_generations=1):
        ...         return {"generations": ['["Find recipes."]'] * num_generations}
        >>> task = EmbeddingTaskGenerator(llm=Writer(), category="text-retrieval")
        >>> task.load()
        >>> next(task.process())[0][0]["tasks"]
        ['Find recipes.']
    """

    category: Category
    flatten_tasks: bool = False

    def count_rows(self) -> int | None:
        """How many prompts there are: one."""
        return 1

    @property
    def outputs(self) -> StepColumns:
        return ["task" if self.flatten_tasks else "tasks", "model_name"]

    def output_schema(self) -> pa.Schema | None:
        return self._schema_of({"task": pa.string(), "tasks": pa.list_(pa.string())})

    @property
    def prompt(self) -> ChatType:
        """What the model is asked."""
        return self.format_input({})

    def format_input(self, input: Row) -> ChatType:
        """The prompt, which is always the same."""
        about, form = _CATEGORIES[self.category]
        lines = [
            f"Think of about 20 tasks of {about}.",
            "",
            form,
            "",
            "They cover many fields of life and work, differ in form, and each says in one "
            "sentence what to do, without an example.",
            "",
            "Answer with a JSON array of texts and nothing else, one text per task.",
        ]
        return [{"role": "user", "content": "\n".join(lines)}]

    def format_output(self, output: str | None, input: Row | None = None) -> dict[str, Any]:
        """The tasks of one answer; a list also under `task`, whose rows the rollout parts."""
        tasks = json_answer(output, list, _are_tasks)
        if not _are_tasks(tasks):
            raise ParseError(f"expected an array of texts, got {str(tasks)[:80]}")
        return {"task" if self.flatten_tasks else "tasks": [task.strip() for task in tasks]}

    async def rollout(self, row: Row, generate: Generate) -> list[Row]:
        """One row per answer, or with `flatten_tasks` one per task of each."""
        rows = await super().rollout(row, generate)
        if not self.flatten_tasks or self.group_generations:
            return rows
        return [
            {**made, "task": task, METADATA: dict(made[METADATA])}
            for made in rows
            for task in (made["task"] or [None])
        ]
