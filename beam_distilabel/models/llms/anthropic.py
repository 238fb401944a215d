"""AnthropicLLM under the import path of distilabel 1.5."""

from beam_distilabel.models.anthropic import AnthropicLLM

__all__ = ["AnthropicLLM"]
