"""TogetherLLM under the import path of distilabel 1.5."""

from beam_distilabel.models.openai.together import TogetherLLM

__all__ = ["TogetherLLM"]
