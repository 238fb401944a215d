"""FormatTextGenerationDPO: rated generations of an instruction as a preference."""

from __future__ import annotations

import pyarrow as pa

from beam_distilabel.row import Row
from beam_distilabel.step import RowStep
from beam_distilabel.transforms.formatting.messages import (
    MESSAGES,
    PREFERENCE_OUTPUTS,
    asked_messages,
    preference_columns,
    prompt_id,
)
from beam_distilabel.typing import StepColumns


class FormatTextGenerationDPO(RowStep):
    """Makes a preference of the generation that was rated best and the one that was rated worst.

    For Direct Preference Optimization (https://arxiv.org/abs/2305.18290). A generation without a
    rating is left out of account, and so is one with the best one's text. A row whose generations
    are all rated alike, or all the same, or of which fewer than two are rated, has no preference:
    it is a failure of kind `column`.

    Input columns: `instruction`, `generations`, `ratings` (a number per generation),
        `system_prompt` (optional), `generation_models` (optional: a name per generation).
    Output columns: `prompt` (the instruction), `prompt_id` (its SHA-256 hash), `chosen` and
        `rejected` (chats), `chosen_rating`, `rejected_rating`; `chosen_model` and `rejected_model`
        where there are `generation_models`.

    Example:
        >>> step = FormatTextGenerationDPO()
        >>> row = {"instruction": "2+2?", "generations": ["5", "4"], "ratings": [1, 3]}
        >>> [done] = next(step.process([row]))
        >>> done["chosen"], done["rejected_rating"]
        ([{'role': 'user', 'content': '2+2?'}, {'role': 'assistant', 'content': '4'}], 1)
    """

    @property
    def inputs(self) -> StepColumns:
        return {
            "system_prompt": False,
            "instruction": True,
            "generations": True,
            "generation_models": False,
            "ratings": True,
        }

    @property
    def outputs(self) -> StepColumns:
        return PREFERENCE_OUTPUTS

    def output_schema(self) -> pa.Schema | None:
        return pa.schema(
            [
                ("prompt", pa.string()),
                ("prompt_id", pa.string()),
                ("chosen", MESSAGES),
                ("rejected", MESSAGES),
            ]
        )

    def transform_row(self, row: Row) -> Row:
        asked = asked_messages(row)
        prompt = row["instruction"]
        made = {"prompt": prompt, "prompt_id": prompt_id(prompt)}
        return {**row, **made, **preference_columns(row, asked)}
