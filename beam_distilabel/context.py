"""What a Step knows of the run that it works for."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class RunContext:
    """The run, as every worker sees it.

    Attributes:
        run_dir: the run directory (local or any filesystem that Beam knows), or None in plain Beam
            use: then there is no progress, no artifact and no checkpoint.
        seed: what everything random about a row derives from, together with the row.
        dry_run: whether nothing leaves the run directory.
    """

    run_dir: str | None = None
    seed: int = 0
    dry_run: bool = False
