"""`beam-distilabel doctor`: what stands in the way of a run here, and what to do about it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from beam_distilabel.cli.app import app
from beam_distilabel.cli.arguments import BEAM_FLAGS, RUNNER, RUNNER_OPTION, runner_options
from beam_distilabel.errors import DistilabelUserError

if TYPE_CHECKING:
    from beam_distilabel.models.base import LLM

_COLOURS = {"ok": "green", "warning": "yellow", "failed": "red", "skipped": "dim"}


@app.command()
def doctor(
    runner: str | None = RUNNER,
    runner_option: list[str] = RUNNER_OPTION,
    model: str | None = typer.Option(
        None, help="A model that vLLM runs: its name on the Hub, or a folder."
    ),
    llm: str | None = typer.Option(
        None, help="A .yaml or .json file with an LLM, as `llm.dump()` gives it."
    ),
    output_dir: str | None = typer.Option(None, help="The folder of run directories."),
    repo_id: str | None = typer.Option(None, help="The Hub dataset that is to be published."),
    job: bool = typer.Option(True, help="Run three rows."),
    seconds: float = typer.Option(900.0, min=1.0, help="In which the three rows have to come."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
    beam_flags: list[str] | None = BEAM_FLAGS,
) -> None:
    """Check this environment, then run three rows on the runner with the model.

    Exit code 1 if something failed. Without a model the rows are answered by one that only repeats.
    """
    from beam_distilabel.doctor import Examination, Result, all_checks, run_checks

    examination = Examination(
        runner=runner,
        options=runner_options(runner_option, beam_flags),
        llm=_llm(model, llm),
        output_dir=output_dir,
        repo_id=repo_id,
        job=job,
        job_seconds=seconds,
    )
    console = Console(stderr=True)
    results: list[Result] = []
    with console.status("") as status:
        for check in all_checks(examination):
            status.update(f"Looking at {check.name}")
            results += run_checks([check])
    if as_json:
        typer.echo(json.dumps([result.as_dict() for result in results], indent=2))
    else:
        Console().print(_table(results))
    if any(result.status == "failed" for result in results):
        raise typer.Exit(1)


def _table(results: list[Any]) -> Table:
    table = Table("", "", "what there is", "what to do", show_lines=True)
    for result in results:
        colour = _COLOURS[result.status]
        table.add_row(
            f"[{colour}]{result.status}[/]",
            result.name,
            escape(result.detail),
            escape(result.remedy if result.status != "ok" else ""),
        )
    return table


def _llm(model: str | None, file: str | None) -> LLM | None:
    """The LLM that is meant.

    Raises:
        DistilabelUserError: both are given, or the file holds no LLM.
    """
    if model is not None and file is not None:
        raise DistilabelUserError("give --model NAME or --llm FILE, not both.")
    if model is not None:
        from beam_distilabel.models.vllm import vLLM

        return vLLM(model=model)
    if file is None:
        return None
    from beam_distilabel.models.base import LLM
    from beam_distilabel.pipeline.serialization import load_model

    found = load_model(file)
    if not isinstance(found, LLM):
        raise DistilabelUserError(f"--llm {file!r}: {type(found).__name__} is no LLM.")
    return found
