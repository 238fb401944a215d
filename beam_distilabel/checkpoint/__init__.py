"""Never pay twice: what a model has answered is kept, and found again by its content.

`documents` is how an answer is kept, `segments` are the files, `index` and `sorted_keys` tell which
of them has a key, `cache` holds them on the worker's host, `store` puts these together for one
Task, `opened` are those of this process, `compaction` merges small files between runs.
"""

from beam_distilabel.checkpoint.compaction import compact
from beam_distilabel.checkpoint.opened import (
    checkpoint,
    close_checkpoint,
    close_checkpoints,
    flush_checkpoints,
    open_checkpoint,
)
from beam_distilabel.checkpoint.segments import count_rows, drop_segments
from beam_distilabel.checkpoint.settings import CheckpointSettings, as_settings
from beam_distilabel.checkpoint.store import MISSING, Checkpoint, Found

__all__ = [
    "MISSING",
    "Checkpoint",
    "CheckpointSettings",
    "Found",
    "as_settings",
    "checkpoint",
    "close_checkpoint",
    "close_checkpoints",
    "compact",
    "count_rows",
    "drop_segments",
    "flush_checkpoints",
    "open_checkpoint",
]
