"""`beam-distilabel launch`: a job on Dataflow that nobody waits for."""

from __future__ import annotations

import json
from typing import Any

import typer
from rich.console import Console

from beam_distilabel.cli.app import app
from beam_distilabel.errors import DistilabelUserError


# The names have underscores, as those of a template's parameters: the launcher of a Flex Template
# passes parameters on as they are, and Beam's own flags beside them.
@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def launch(
    context: typer.Context,
    config: str = typer.Option(..., "--config", help="A pipeline file: .yaml, .yml or .json."),
    output_dir: str = typer.Option(
        ..., "--output_dir", help="The run directory, gs://bucket/folder."
    ),
    parameters: str = typer.Option(
        "{}", "--parameters", help='Runtime parameters as JSON: {"step": {"name": value}}.'
    ),
    dataset: str | None = typer.Option(
        None, "--dataset", help="A folder of data files, for a pipeline without a loader."
    ),
    repo_id: str | None = typer.Option(
        None, "--repo_id", help="Push the Distiset to this Hub dataset at the end."
    ),
) -> None:
    """Start a job on Dataflow and don't wait for it.

    All other options are Beam's: --project, --region and --temp_location are needed. With
    --template_location the job is written to that file; with --dry_run=True it goes nowhere.
    """
    from beam_distilabel.pipeline import Pipeline
    from beam_distilabel.runners import choose_runner

    pipeline = Pipeline.from_file(config)
    try:
        settings = choose_runner("dataflow", context.args)
    except ValueError as error:
        raise DistilabelUserError(str(error)) from None
    result: Any = pipeline.launch(
        parameters=read_parameters(parameters),
        dataset=dataset,
        output_dir=output_dir,
        runner=settings,
        push_to_hub=repo_id,
    )
    given = settings.pipeline_options().get_all_options()
    if given["template_location"]:
        done = f"Wrote the template {given['template_location']}"
    elif given["dry_run"]:
        done = "The job could be made; it was not sent."
    else:
        done = f"Launched the job {result.job_id()}"
    Console().print(f"{done}\nRun directory: {output_dir}", highlight=False, markup=False)


def read_parameters(text: str) -> dict[str, Any]:
    """The runtime parameters of `--parameters`.

    Raises:
        DistilabelUserError: the text is no JSON object of objects.

    Example:
        >>> read_parameters('{"task": {"num_generations": 2}}')
        {'task': {'num_generations': 2}}
    """
    try:
        parameters = json.loads(text)
    except ValueError as error:
        raise DistilabelUserError(f"--parameters {text!r} is no JSON: {error}") from None
    if not isinstance(parameters, dict) or not all(
        isinstance(of_step, dict) for of_step in parameters.values()
    ):
        raise DistilabelUserError(
            f'--parameters {text!r}: expected {{"step": {{"name": value}}}}, as --param of '
            "`pipeline run` has it."
        )
    return parameters
