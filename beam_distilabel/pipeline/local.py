"""Pipeline under the import path of distilabel 1.5."""

from beam_distilabel.pipeline.pipeline import Pipeline

__all__ = ["Pipeline"]
