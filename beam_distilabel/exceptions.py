"""Exceptions under the import path of distilabel 1.5."""

from beam_distilabel.errors import (
    DistilabelException,
    DistilabelGenerationException,
    DistilabelOfflineBatchGenerationNotFinishedException,
)

__all__ = [
    "DistilabelException",
    "DistilabelGenerationException",
    "DistilabelOfflineBatchGenerationNotFinishedException",
]
