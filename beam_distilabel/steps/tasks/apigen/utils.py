"""PrepareExamples under the import path of distilabel 1.5."""

from beam_distilabel.transforms.formatting.prepare_examples import PrepareExamples

__all__ = ["PrepareExamples"]
