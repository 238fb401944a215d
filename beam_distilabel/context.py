"""What a Step knows of the run that it works for."""

from __future__ import annotations

import dataclasses

from beam_distilabel.checkpoint.settings import CheckpointSettings


@dataclasses.dataclass(frozen=True)
class RunContext:
    """The run, as every worker sees it.

    Attributes:
        run_dir: the run directory (local or any filesystem that Beam knows), or None in plain Beam
            use: then there is no progress, no artifact and no checkpoint.
        seed: what everything random about a row derives from, together with the row.
        dry_run: whether nothing leaves the run directory.
        checkpoint: how finished generations are kept in the run directory; None for not at all.
        response_cache_dir: a folder where finished generations are shared with other runs.
        finished_only: whether nothing is asked: rows without a finished generation are left out.
        retries_failures: whether rows whose answers couldn't be used are asked again.
        launched: when the run was launched, in nanoseconds since the epoch.
        uses_cache: whether what was finished before that is used.
        spreads: whether rows that one worker makes are spread over all before a model is asked.
    """

    run_dir: str | None = None
    seed: int = 0
    dry_run: bool = False
    checkpoint: CheckpointSettings | None = None
    response_cache_dir: str | None = None
    finished_only: bool = False
    retries_failures: bool = False
    launched: int = 0
    uses_cache: bool = True
    spreads: bool = False
