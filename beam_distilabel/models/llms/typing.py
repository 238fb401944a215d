"""The LLM types under the import path of distilabel 1.5."""

from beam_distilabel.typing import GenerateOutput, LLMOutput, LLMStatistics

__all__ = ["GenerateOutput", "LLMOutput", "LLMStatistics"]
