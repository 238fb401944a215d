"""The types that Steps, Tasks and LLMs exchange."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, TypeVar

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


class TextContent(TypedDict):
    """A part of a message that is text."""

    type: Literal["text"]
    text: str


class ImageUrl(TypedDict):
    """Where an image is: an address, or the image itself as a `data:` URL."""

    url: str


class ImageContent(TypedDict):
    """A part of a message that is an image."""

    type: Literal["image_url"]
    image_url: ImageUrl


class ChatItem(TypedDict, total=False):
    """One message: `role` is system, user or assistant; `content` a text or a list of parts
    (`TextContent`, `ImageContent`)."""

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


class Logprob(TypedDict):
    """A candidate for one token, and the natural logarithm of its probability."""

    token: str
    logprob: float


LLMLogprobs = list[list[list[Logprob]]]
"""Per generation, per token of its text: the candidates."""

HiddenState = Any
"""A model's hidden states for one input: an array of (token, dimension)."""


class GenerateOutput(TypedDict, total=False):
    """What an LLM answers to one input.

    Keys:
        generations: one text per generation, None where there is none.
        statistics: token counts.
        finish_reasons: why each generation ended ("stop", "length", ...), where known.
        failures: where a generation is of no use, per generation None or why: `kind`, `message`,
            `attempts`, and `raw_output` where there is a text.
        logprobs: per generation, per token, the candidates; only when asked for.
        reasoning: per generation, what the model thought before its answer, where that is told
            apart; goes into `distilabel_metadata`.

    Any other key becomes a column `llm_<step>_<key>`.
    """

    generations: list[str | None]
    statistics: Statistics
    finish_reasons: list[str | None]
    failures: list[dict[str, Any] | None]
    logprobs: list[Any]
    reasoning: list[str | None]


TokenCount = Statistics
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


class ChoiceStructuredOutput(TypedDict, total=False):
    """Answer with one of the texts in `schema`."""

    format: Literal["choice"]
    schema: list[str]


class GrammarStructuredOutput(TypedDict, total=False):
    """Answer in the language of the grammar `schema`, in EBNF or Lark."""

    format: Literal["grammar"]
    schema: str


StructuredOutputType = (
    JSONStructuredOutput | RegexStructuredOutput | ChoiceStructuredOutput | GrammarStructuredOutput
)
OutlinesStructuredOutputType = StructuredOutputType
InstructorStructuredOutputType = dict[str, Any]

InputDataset = Any
"""What `Pipeline.run(dataset=...)` takes: a list of dicts, a pandas DataFrame or a `Dataset`."""

LoadGroups = list[list[Any]] | Literal["sequential_step_execution"]
"""Which Steps are loaded together: lists of Steps or their names, or each one on its own."""

PipelineRuntimeParametersInfo = dict[str, list[dict[str, Any]] | dict[str, dict[str, Any]]]
"""Step name to the descriptions of its runtime parameters."""

# Steps are defined above this layer, so these can't name their classes.
DownstreamConnectable = Any
"""A Step or GlobalStep: what rows can be passed on to."""

DownstreamConnectableSteps = TypeVar("DownstreamConnectableSteps", covariant=True)
"""The type of a Step that receives rows."""

UpstreamConnectableSteps = TypeVar("UpstreamConnectableSteps")
"""The type of a Step that passes rows on; a GeneratorStep may be one."""


class StepLoadStatus(TypedDict):
    """Whether the Step `name` is loaded."""

    name: str
    status: Literal["loaded", "unloaded", "load_failed"]


__all__ = [
    "STEP_INPUT_MARKER",
    "ChatItem",
    "ChatType",
    "DownstreamConnectable",
    "DownstreamConnectableSteps",
    "FormattedInput",
    "GenerateOutput",
    "GeneratorStepOutput",
    "HiddenState",
    "ImageContent",
    "ImageUrl",
    "InputDataset",
    "InstructorStructuredOutputType",
    "LLMLogprobs",
    "LLMOutput",
    "LLMStatistics",
    "LoadGroups",
    "Logprob",
    "OutlinesStructuredOutputType",
    "PipelineRuntimeParametersInfo",
    "Row",
    "StandardInput",
    "Statistics",
    "StepColumns",
    "StepInput",
    "StepLoadStatus",
    "StepOutput",
    "StructuredInput",
    "StructuredOutputType",
    "TextContent",
    "TokenCount",
    "UpstreamConnectableSteps",
]
