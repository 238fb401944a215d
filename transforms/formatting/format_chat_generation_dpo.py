"""FormatChatGenerationDPO: rated answers to a chat as a preference."""

from __future__ import annotations

import pyarrow as pa

from beam_distilabel.row import Row
from beam_distilabel.step import RowStep
from beam_distilabel.transforms.formatting.messages import (
    PREFERENCE_OUTPUTS,
    chat_in,
    first_prompt,
    preference_columns,
    prompt_id,
)
from beam_distilabel.typing import StepColumns


class FormatChatGenerationDPO(RowStep):
    """Makes a preference of the answer to a chat that was rated best and the one rated worst.

    The same as `FormatTextGenerationDPO`, for chats.

    Input columns: `messages`, `generations`, `ratings` (a number per generation),
        `generation_models` (optional: a name per generation).
    Output columns: `prompt` (the user's first message), `prompt_id` (its SHA-256 hash), `chosen`
        and `rejected` (chats), `chosen_rating`, `rejected_rating`; `chosen_model` and
        `rejected_model` where there are `generation_models`.

    Example:
        >>> step = FormatChatGenerationDPO()
        >>> chat = [{"role": "user", "content": "2+2?"}]
        >>> row = {"messages": chat, "generations": ["5", "4"], "ratings": [1, 3]}
        >>> next(step.process([row]))[0]["rejected"]
        [{'role': 'user', 'content': '2+2?'}, {'role': 'assistant', 'content': '5'}]
    """

    @property
    def inputs(self) -> StepColumns:
        return {"messages": True, "generations": True, "generation_models": False, "ratings": True}

    @property
    def outputs(self) -> StepColumns:
        return PREFERENCE_OUTPUTS

    def output_schema(self) -> pa.Schema | None:
        # A message's content may be a text or a list of parts.
        return pa.schema([("prompt", pa.string()), ("prompt_id", pa.string())])

    def transform_row(self, row: Row) -> Row:
        asked = chat_in(row)
        prompt = first_prompt(asked)
        made = {"prompt": prompt, "prompt_id": prompt_id(prompt)}
        return {**row, **made, **preference_columns(row, asked)}
