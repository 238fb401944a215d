"""TruncateTextColumn: the beginning of a text."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from pydantic import Field, PrivateAttr

from beam_distilabel.models.local.chat import load_tokenizer
from beam_distilabel.row import Row
from beam_distilabel.step import RowStep
from beam_distilabel.transforms.columns.values import text_in, value_in
from beam_distilabel.typing import StepColumns


class TruncateTextColumn(RowStep):
    """Cuts a text to its beginning: so many characters, or so many tokens.

    What is left is the text's own beginning, and a character that doesn't fit wholly is left out;
    a tokenizer without offsets (a slow one) gives what it decodes. A text that isn't too long, and
    an empty value (None), stay as they are.

    Attributes:
        column: the column to cut; default is `text`.
        max_length: characters, or tokens with a tokenizer; default is 8192.
        tokenizer: on the Hugging Face Hub, or a folder; None for characters. Needs the package
            `transformers`.

    Input columns: `column`.
    Output columns: `column`.

    Example:
        >>> step = TruncateTextColumn(max_length=9)
        >>> step.load()
        >>> next(step.process([{"text": "A sentence that is too long."}]))
        [{'text': 'A sentenc'}]
    """

    column: str = Field(default="text", min_length=1)
    max_length: int = Field(default=8192, ge=1)
    tokenizer: str | None = None

    _loaded: Any = PrivateAttr(None)

    @property
    def inputs(self) -> StepColumns:
        return [self.column]

    @property
    def outputs(self) -> StepColumns:
        return [self.column]

    def output_schema(self) -> pa.Schema | None:
        return pa.schema([(self.column, pa.string())])

    def load(self) -> None:
        """Load the tokenizer, if there is one.

        Raises:
            EngineError: it can't be loaded.
        """
        super().load()
        if self.tokenizer is not None:
            self._loaded = load_tokenizer(type(self).__name__, self.tokenizer)

    def unload(self) -> None:
        super().unload()
        self._loaded = None

    def transform_row(self, row: Row) -> Row:
        if value_in(row, self.column) is None:
            return row
        return {**row, self.column: self._cut(text_in(row, self.column))}

    def _cut(self, text: str) -> str:
        if self.tokenizer is None:
            return text[: self.max_length]
        if self._loaded is None:
            raise RuntimeError(f"{self._described()}: call `load()` first; it loads the tokenizer.")
        return first_tokens(self._loaded, text, self.max_length)


def first_tokens(tokenizer: Any, text: str, count: int) -> str:
    """The beginning of `text` that has at most `count` tokens.

    Args:
        tokenizer: of transformers.
        text: any text.
        count: at least 1.
    """
    if not tokenizer.is_fast:
        tokens = tokenizer.encode(text, add_special_tokens=False)
        return text if len(tokens) <= count else str(tokenizer.decode(tokens[:count]))
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    offsets = encoded["offset_mapping"]
    if len(offsets) <= count:
        return text
    # The tokens of a character that has several all have its offsets.
    return text[: min(offsets[count - 1][1], offsets[count][0])]


__all__ = ["TruncateTextColumn", "first_tokens"]
