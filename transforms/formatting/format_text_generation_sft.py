"""FormatTextGenerationSFT: instruction and generation as a chat for fine-tuning."""

from __future__ import annotations

import pyarrow as pa

from beam_distilabel.row import Row
from beam_distilabel.step import RowStep
from beam_distilabel.transforms.columns.values import text_in
from beam_distilabel.transforms.formatting.messages import (
    MESSAGES,
    asked_messages,
    assistant,
    prompt_id,
)
from beam_distilabel.typing import StepColumns


class FormatTextGenerationSFT(RowStep):
    """Makes the chat of an instruction and what a model answered, for supervised fine-tuning.

    Input columns: `instruction`, `generation`, `system_prompt` (optional: the first message, where
        it has text).
    Output columns: `prompt` (the instruction), `prompt_id` (its SHA-256 hash), `messages`.

    Example:
        >>> step = FormatTextGenerationSFT()
        >>> [row] = next(step.process([{"instruction": "2+2?", "generation": "4"}]))
        >>> row["messages"]
        [{'role': 'user', 'content': '2+2?'}, {'role': 'assistant', 'content': '4'}]
    """

    @property
    def inputs(self) -> StepColumns:
        return {"system_prompt": False, "instruction": True, "generation": True}

    @property
    def outputs(self) -> StepColumns:
        return ["prompt", "prompt_id", "messages"]

    def output_schema(self) -> pa.Schema | None:
        return pa.schema(
            [("prompt", pa.string()), ("prompt_id", pa.string()), ("messages", MESSAGES)]
        )

    def transform_row(self, row: Row) -> Row:
        messages = [*asked_messages(row), assistant(text_in(row, "generation"))]
        prompt = row["instruction"]
        return {**row, "prompt": prompt, "prompt_id": prompt_id(prompt), "messages": messages}
