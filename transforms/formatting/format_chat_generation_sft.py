"""FormatChatGenerationSFT: a chat and its next message as a chat for fine-tuning."""

from __future__ import annotations

import pyarrow as pa

from beam_distilabel.row import Row
from beam_distilabel.step import RowStep
from beam_distilabel.transforms.columns.values import text_in
from beam_distilabel.transforms.formatting.messages import (
    assistant,
    chat_in,
    first_prompt,
    prompt_id,
)
from beam_distilabel.typing import StepColumns


class FormatChatGenerationSFT(RowStep):
    """Appends what a model answered to the chat that it was asked with, for supervised fine-tuning.

    Input columns: `messages`, `generation`.
    Output columns: `prompt` (the user's first message), `prompt_id` (its SHA-256 hash), `messages`
        (with the answer).

    Example:
        >>> step = FormatChatGenerationSFT()
        >>> chat = [{"role": "user", "content": "2+2?"}]
        >>> [row] = next(step.process([{"messages": chat, "generation": "4"}]))
        >>> row["messages"]
        [{'role': 'user', 'content': '2+2?'}, {'role': 'assistant', 'content': '4'}]
    """

    @property
    def inputs(self) -> StepColumns:
        return ["messages", "generation"]

    @property
    def outputs(self) -> StepColumns:
        return ["prompt", "prompt_id", "messages"]

    def output_schema(self) -> pa.Schema | None:
        # A message's content may be a text or a list of parts.
        return pa.schema([("prompt", pa.string()), ("prompt_id", pa.string())])

    def transform_row(self, row: Row) -> Row:
        asked = chat_in(row)
        prompt = first_prompt(asked)
        messages = [*asked, assistant(text_in(row, "generation"))]
        return {**row, "prompt": prompt, "prompt_id": prompt_id(prompt), "messages": messages}
