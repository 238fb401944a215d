"""`beam-distilabel runners`: where pipelines run, and the settings of each place."""

from __future__ import annotations

import typer
from rich.console import Console
from rich.table import Table

from beam_distilabel.cli.app import app
from beam_distilabel.cli.completion import runner_names
from beam_distilabel.errors import DistilabelUserError


@app.command()
def runners(
    name: str | None = typer.Argument(
        None, help="A runner; all if it is left out.", autocompletion=runner_names
    ),
) -> None:
    """List the runners and their settings."""
    from beam_distilabel.runners import RUNNERS
    from beam_distilabel.runners.describe import settings_of, summary
    from beam_distilabel.runners.settings import closest

    if name is not None and name not in RUNNERS:
        raise DistilabelUserError(
            f"there is no runner {name!r} with settings of its own.{closest(name, RUNNERS)} "
            f"There are: {', '.join(RUNNERS)}."
        )
    console = Console(markup=False)
    for runner in RUNNERS if name is None else [name]:
        console.print(f"{runner}: {summary(RUNNERS[runner])}", highlight=False)
        table = Table("setting", "what it may be", "default", "meaning")
        for setting in settings_of(RUNNERS[runner]):
            table.add_row(*setting)
        console.print(table)
