"""ComplexityScorer: how complex instructions are, compared with each other."""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa
from pydantic import PrivateAttr

from beam_distilabel.row import Row
from beam_distilabel.task import Task
from beam_distilabel.transforms.tasks.answers import (
    beside,
    numbered,
    scores_of,
    scores_schema,
    texts_of,
)
from beam_distilabel.typing import ChatType, StepColumns

_TASK: Final = """\
Compare the instructions below by how difficult they are to carry out: how much knowledge, how \
many conditions and how many steps of thought a good answer takes. Give each a score: 1 for the \
simplest, up to 5 for the most complex, and 6 for one that is beyond what you could answer.

Write one line per instruction, with its number, and nothing else:
[1] Score: <number>
[2] Score: <number>

"""


class ComplexityScorer(Task):
    """Scores instructions by their complexity, all of a row in one prompt, from 1 to 6.

    Instructions that are None are left out of the prompt and have None for a score.

    Input columns: `instructions`, a list of texts.
    Output columns: `scores`, a number per instruction, None where the judge gave none from 1 to 6;
        `model_name`.

    Source: Liu et al. 2023, https://arxiv.org/abs/2312.15685

    Citations:
        @misc{liu2024makesgooddataalignment,
            title={What Makes Good Data for Alignment? A Comprehensive Study of Automatic Data
                Selection in Instruction Tuning},
            author={Wei Liu and Weihao Zeng and Keqing He and Yong Jiang and Junxian He},
            year={2024},
            eprint={2312.15685},
            archivePrefix={arXiv},
            primaryClass={cs.CL},
            url={https://arxiv.org/abs/2312.15685},
        }

    Example:
        >>> from beam_distilabel.models.base import AsyncLLM
        >>> class Judge(AsyncLLM):
        ...     @property
        ...     def model_name(self): return "judge"
        ...     async def agenerate(self, input, num_generations=1):
        ...         return {"generations": ["[1] Score: 1\\n[2] Score: 5"] * num_generations}
        >>> task = ComplexityScorer(llm=Judge())
        >>> task.load()
        >>> next(task.process([{"instructions": ["2+2?", "Prove it."]}]))[0]["scores"]
        [1.0, 5.0]
    """

    _can_be_used_with_offline_batch_generation: bool = PrivateAttr(True)

    @property
    def inputs(self) -> StepColumns:
        return ["instructions"]

    @property
    def outputs(self) -> StepColumns:
        return ["scores", "model_name"]

    def output_schema(self) -> pa.Schema | None:
        return self._schema_of({"scores": pa.list_(pa.float64())})

    def get_structured_output(self) -> dict[str, Any]:
        """An object with the list `scores`."""
        return scores_schema("SchemaComplexityScorer")

    def format_input(self, input: Row) -> ChatType:
        """The prompt about all instructions of a row."""
        instructions = numbered(texts_of(input, "instructions"))
        prompt = _TASK + "\n".join(["The instructions:", instructions, "", "The scores:\n"])
        return [{"role": "user", "content": prompt}]

    def format_output(self, output: str | None, input: Row | None = None) -> dict[str, Any]:
        """One score per instruction of `input`."""
        row = input or {}
        scores = scores_of(output, len(texts_of(row, "instructions")))
        return {"scores": beside(scores, row["instructions"])}

    def sample_row(self) -> Row:
        return {"instructions": ["<INSTRUCTION 1>", "<INSTRUCTION 2>"]}
