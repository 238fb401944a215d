"""AnyscaleLLM under the import path of distilabel 1.5."""

from beam_distilabel.models.anyscale import AnyscaleLLM

__all__ = ["AnyscaleLLM"]
