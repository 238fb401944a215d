"""The types that Steps, Tasks and LLMs exchange."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from typing_extensions import TypedDict

from beam_distilabel.row import Row

STEP_INPUT_MARKER = "distilabel_step_input"

StepInput = Annotated[list[dict[str, Any]], STEP_INPUT_MARKER]
"""The annotation of a `process` parameter that receives the rows of one batch."""

StepOutput = Iterator[list[dict[str, Any]]]
"""What `Step.process` returns: batches of rows; every yield is kept."""

GeneratorStepOutput = Iterator[tuple[list[dict[str, Any]], bool]]
"""What `GeneratorStep.process` returns: (rows, whether they are the last)."""

StepColumns = list[str] | dict[str, bool]
"""Column names, or a dict of column name to whether it is required."""


class ChatItem(TypedDict, total=False):
    """One message: `role` is system, user or assistant; `content` a text or a list of parts."""

    role: str
    content: Any


ChatType = list[ChatItem]
StandardInput = ChatType
StructuredInput = tuple[StandardInput, dict[str, Any] | None]
FormattedInput = StandardInput | StructuredInput | str
"""What an LLM is asked: a chat, a chat with the structure to answer in, or a raw prompt."""


class Statistics(TypedDict, total=False):
    """Token counts; `output_tokens` has one entry per generation, `input_tokens` one or as many."""

    input_tokens: list[int]
    output_tokens: list[int]


class GenerateOutput(TypedDict, total=False):
    """What an LLM answers to one input.

    Keys:
        generations: one text per generation, None where there is none.
        statistics: token counts.
        finish_reasons: why each generation ended ("stop", "length", ...), where known.
        logprobs: per generation, per token, the candidates; only when asked for.

    Any other key becomes a column `llm_<step>_<key>`.
    """

    generations: list[str | None]
    statistics: Statistics
    finish_reasons: list[str | None]
    logprobs: list[Any]


LLMStatistics = Statistics
LLMOutput = list[str | None]


class JSONStructuredOutput(TypedDict, total=False):
    """Answer in JSON: `schema` is a pydantic class or a JSON schema."""

    format: Literal["json"]
    schema: Any
    whitespace_pattern: str


class RegexStructuredOutput(TypedDict, total=False):
    """Answer in the language of the regular expression `schema`."""

    format: Literal["regex"]
    schema: str


StructuredOutputType = JSONStructuredOutput | RegexStructuredOutput
OutlinesStructuredOutputType = StructuredOutputType
InstructorStructuredOutputType = dict[str, Any]

__all__ = [
    "STEP_INPUT_MARKER",
    "ChatItem",
    "ChatType",
    "FormattedInput",
    "GenerateOutput",
    "GeneratorStepOutput",
    "InstructorStructuredOutputType",
    "LLMOutput",
    "LLMStatistics",
    "OutlinesStructuredOutputType",
    "Row",
    "StandardInput",
    "Statistics",
    "StepColumns",
    "StepInput",
    "StepOutput",
    "StructuredInput",
    "StructuredOutputType",
]
