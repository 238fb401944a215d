"""`beam-distilabel preview`: a few rows, their prompts and answers, and what all would cost."""

from __future__ import annotations

import json
from typing import Any

import typer

from beam_distilabel.cli.app import app, interruptible
from beam_distilabel.cli.arguments import (
    AS_JSON,
    CONFIG,
    FILE,
    PARAM,
    PARAMS_FILE,
    SCRIPT,
    TOKEN,
    TRUST,
    VARIABLE,
    all_parameters,
    one_config,
)
from beam_distilabel.cli.definitions import load_pipeline, plain_token
from beam_distilabel.errors import DistilabelUserError

PRICE = typer.Option(
    [],
    "--price",
    help="What a model costs: MODEL=INPUT,OUTPUT per million tokens, MODEL=2.5/h per GPU and hour, "
    "or MODEL=4x2.5/h for 4 GPUs. May be repeated.",
)

_PER_HOUR = "/h"
_GPUS = "x"


@app.command()
def preview(
    file: str | None = FILE,
    config: str | None = CONFIG,
    script: str | None = SCRIPT,
    trust_remote_code: bool = TRUST,
    rows: int = typer.Option(5, min=1, help="How many rows of each loader."),
    param: list[str] = PARAM,
    params_file: list[str] = PARAMS_FILE,
    pipeline_variable_name: str = VARIABLE,
    dataset: str | None = typer.Option(
        None, help="A folder of data files, for a pipeline without a loader."
    ),
    price: list[str] = PRICE,
    token: str | None = TOKEN,
    as_json: bool = AS_JSON,
) -> None:
    """Run a few rows; show prompts, answers, and what the whole run would take.

    Models are really asked. Nothing is published, and no run directory stays. Exit code 1 if all
    rows of a Step failed.
    """
    prices = parse_prices(price)
    parameters = all_parameters(params_file, param)
    pipeline = load_pipeline(
        one_config(file, config),
        script,
        pipeline_variable_name,
        trust_remote_code=trust_remote_code,
        token=plain_token(token),
    )
    with interruptible():
        found = pipeline.preview(rows, parameters, dataset, prices)
    if as_json:
        from beam_distilabel.schema.json_text import to_json

        # Of what rows may hold, JSON has no form for some.
        typer.echo(
            json.dumps(json.loads(to_json(found.to_dict()) or "null"), indent=2, ensure_ascii=False)
        )
    else:
        found.print()
    if found.verdict is not None:
        raise typer.Exit(1)


def parse_prices(texts: list[str]) -> dict[str, Any]:
    """`["gpt=0.15,0.6", "judge=4x2.5/h"]` as the `prices` of `Pipeline.preview`.

    Raises:
        DistilabelUserError: a text isn't of that form, or names a model twice.

    Example:
        >>> parse_prices(["org/gpt=0.15,0.6", "judge=4x2.5/h"])
        {'org/gpt': (0.15, 0.6), 'judge': {'gpu_hour': 2.5, 'gpus': 4.0}}
    """
    prices: dict[str, Any] = {}
    for text in texts:
        model, equals, value = text.rpartition("=")
        if model in prices:
            raise DistilabelUserError(f"--price {text!r}: {model!r} already has a price.")
        try:
            if not equals or not model:
                raise ValueError
            if value.endswith(_PER_HOUR):
                gpus, times, hour = value.removesuffix(_PER_HOUR).rpartition(_GPUS)
                prices[model] = {"gpu_hour": float(hour), "gpus": float(gpus) if times else 1.0}
            else:
                into, out = value.split(",")
                prices[model] = (float(into), float(out))
        except ValueError:
            raise DistilabelUserError(
                f"--price {text!r}: expected <model>=<input>,<output> per million tokens, such as "
                "gpt-4o-mini=0.15,0.6, or <model>=<per GPU and hour>/h, such as my-model=2.5/h."
            ) from None
    return prices
