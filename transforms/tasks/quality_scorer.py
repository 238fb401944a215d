"""QualityScorer: how good answers to one instruction are, compared with each other."""

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
    text_of,
    texts_of,
)
from beam_distilabel.typing import ChatType, StepColumns

_TASK: Final = """\
Compare the responses below, which all answer the same instruction, by how helpful, relevant, \
accurate, thorough, inventive and detailed they are. Give each a score: 1 for the poorest, up to \
5 for a very good one, and 6 for one that can hardly be improved.

Write one line per response, with its number, and nothing else:
[1] Score: <number>
[2] Score: <number>

"""


class QualityScorer(Task):
    """Scores the answers to an instruction, all of a row in one prompt, from 1 to 6.

    Answers that are None are left out of the prompt and have None for a score.

    Input columns: `instruction`; `responses`, a list of texts.
    Output columns: `scores`, a number per response, None where the judge gave none from 1 to 6;
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
        ...         return {"generations": ["[1] Score: 5\\n[2] Score: 1"] * num_generations}
        >>> task = QualityScorer(llm=Judge())
        >>> task.load()
        >>> next(task.process([{"instruction": "2+2?", "responses": ["4", "5"]}]))[0]["scores"]
        [5.0, 1.0]
    """

    _can_be_used_with_offline_batch_generation: bool = PrivateAttr(True)

    @property
    def inputs(self) -> StepColumns:
        return ["instruction", "responses"]

    @property
    def outputs(self) -> StepColumns:
        return ["scores", "model_name"]

    def output_schema(self) -> pa.Schema | None:
        return self._schema_of({"scores": pa.list_(pa.float64())})

    def get_structured_output(self) -> dict[str, Any]:
        """An object with the list `scores`."""
        return scores_schema("SchemaQualityScorer")

    def format_input(self, input: Row) -> ChatType:
        """The prompt about an instruction and all of its responses."""
        instruction = text_of(input, "instruction")
        responses = numbered(texts_of(input, "responses"))
        parts = ["The instruction:", instruction, "", "The responses:", responses, ""]
        prompt = _TASK + "\n".join([*parts, "The scores:\n"])
        return [{"role": "user", "content": prompt}]

    def format_output(self, output: str | None, input: Row | None = None) -> dict[str, Any]:
        """One score per response of `input`."""
        row = input or {}
        scores = scores_of(output, len(texts_of(row, "responses")))
        return {"scores": beside(scores, row["responses"])}

    def sample_row(self) -> Row:
        return {"instruction": "<INSTRUCTION>", "responses": ["<RESPONSE 1>", "<RESPONSE 2>"]}
