"""Synthetic data and AI feedback with LLMs: distilabel's pipelines on Apache Beam."""

from beam_distilabel.version import __version__

__all__ = ["__version__"]
