"""The result of a pipeline, and how it is opened, saved and published."""

from beam_distilabel.distiset.citations import citations_of
from beam_distilabel.distiset.distiset import Distiset
from beam_distilabel.distiset.opening import create_distiset

__all__ = ["Distiset", "citations_of", "create_distiset"]
