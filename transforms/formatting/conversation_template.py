"""ConversationTemplate: instruction and response as a conversation."""

from __future__ import annotations

import pyarrow as pa

from beam_distilabel.row import Row
from beam_distilabel.step import RowStep
from beam_distilabel.transforms.columns.values import text_in
from beam_distilabel.transforms.formatting.messages import MESSAGES, assistant, user
from beam_distilabel.typing import StepColumns


class ConversationTemplate(RowStep):
    """Makes a conversation of two messages: the user's instruction, the assistant's response.

    Input columns: `instruction`, `response`.
    Output columns: `conversation`.

    Example:
        >>> step = ConversationTemplate()
        >>> [row] = next(step.process([{"instruction": "Hello", "response": "Hi"}]))
        >>> row["conversation"]
        [{'role': 'user', 'content': 'Hello'}, {'role': 'assistant', 'content': 'Hi'}]
    """

    @property
    def inputs(self) -> StepColumns:
        return ["instruction", "response"]

    @property
    def outputs(self) -> StepColumns:
        return ["conversation"]

    def output_schema(self) -> pa.Schema | None:
        return pa.schema([("conversation", MESSAGES)])

    def transform_row(self, row: Row) -> Row:
        instruction, response = text_in(row, "instruction"), text_in(row, "response")
        return {**row, "conversation": [user(instruction), assistant(response)]}
