"""Helpers for LLMs of one's own under the import path of distilabel 1.5."""

from beam_distilabel.models.output import compute_tokens, prepare_output

__all__ = ["compute_tokens", "prepare_output"]
