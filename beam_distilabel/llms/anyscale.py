"""AnyscaleLLM under the import path of distilabel 1.5."""

from beam_distilabel.models.openai.anyscale import AnyscaleLLM

__all__ = ["AnyscaleLLM"]
