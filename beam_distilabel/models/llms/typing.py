"""The LLM types under the import path of distilabel 1.5."""

from beam_distilabel.typing import (
    GenerateOutput,
    HiddenState,
    LLMLogprobs,
    LLMOutput,
    LLMStatistics,
    Logprob,
    TokenCount,
)

__all__ = [
    "GenerateOutput",
    "HiddenState",
    "LLMLogprobs",
    "LLMOutput",
    "LLMStatistics",
    "Logprob",
    "TokenCount",
]
