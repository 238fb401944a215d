"""Never pay twice: what a model has answered is kept, and found again by its content.

`segments` are the files, `index` tells which of them has a key, `cache` holds them on the worker's
host, `store` puts these together for one Task, `compaction` merges small files between runs.
"""

from beam_distilabel.checkpoint.compaction import compact
from beam_distilabel.checkpoint.segments import count_rows
from beam_distilabel.checkpoint.settings import CheckpointSettings, as_settings
from beam_distilabel.checkpoint.store import (
    MISSING,
    Checkpoint,
    Found,
    checkpoint,
    close_checkpoint,
    flush_checkpoints,
    open_checkpoint,
)

__all__ = [
    "MISSING",
    "Checkpoint",
    "CheckpointSettings",
    "Found",
    "as_settings",
    "checkpoint",
    "close_checkpoint",
    "compact",
    "count_rows",
    "flush_checkpoints",
    "open_checkpoint",
]
