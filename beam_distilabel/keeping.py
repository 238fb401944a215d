"""Keeping finished answers where there is no run: in a Beam pipeline of one's own."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from beam_distilabel.checkpoint import CheckpointSettings, as_settings, compact
from beam_distilabel.context import RunContext
from beam_distilabel.errors import CheckpointError
from beam_distilabel.filesystems import url_to_fs
from beam_distilabel.layout import CHECKPOINT_FOLDER


def kept_in(
    folder: str,
    settings: CheckpointSettings | Mapping[str, Any] | None,
    steps: Iterable[str],
) -> RunContext:
    """The context of Steps whose finished answers are kept in `folder`, which may have some.

    Small segments of earlier jobs are merged now, so no other job may write there.

    Args:
        folder: local, or on any filesystem; it is made when something is kept.
        settings: how much may be unwritten, see `CheckpointSettings`.
        steps: the names of the Steps.

    Raises:
        CheckpointError: the folder can't be read or written.
        DistilabelUserError: a setting can't be used.
    """
    checked = as_settings(settings)
    folder = folder.rstrip("/")
    try:
        filesystem, progress = url_to_fs(f"{folder}/progress")
        if filesystem.isdir(progress):
            filesystem.rm(progress, recursive=True)  # also what told an earlier job to stop
        for name in steps:
            own = f"{folder}/{CHECKPOINT_FOLDER}/{name}"
            filesystem, path = url_to_fs(own)
            if filesystem.isdir(path):
                compact(own)
    except OSError as error:
        raise CheckpointError(f"the checkpoint in {folder!r} can't be used: {error}") from error
    return RunContext(run_dir=folder, checkpoint=checked, launched=time.time_ns())
