"""AzureOpenAILLM under the import path of distilabel 1.5."""

from beam_distilabel.models.openai.azure import AzureOpenAILLM

__all__ = ["AzureOpenAILLM"]
