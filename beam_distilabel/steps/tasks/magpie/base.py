"""Magpie under the import path of distilabel 1.5."""

from beam_distilabel.transforms.tasks.magpie import (
    MAGPIE_MULTI_TURN_SYSTEM_PROMPT,
    Magpie,
    MagpieBase,
)

__all__ = ["MAGPIE_MULTI_TURN_SYSTEM_PROMPT", "Magpie", "MagpieBase"]
