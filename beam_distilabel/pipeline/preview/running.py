"""Running the first rows of a pipeline's loaders."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from beam_distilabel.errors import RunFailedError, RunInterrupted
from beam_distilabel.pipeline.failure_watch import all_failed
from beam_distilabel.pipeline.graph import Graph
from beam_distilabel.pipeline.needs import models_of
from beam_distilabel.pipeline.preview.data import Preview
from beam_distilabel.pipeline.preview.exchanges import add_taps, exchanges_of, without_id
from beam_distilabel.pipeline.preview.first_rows import FirstRows, take_first_rows
from beam_distilabel.pipeline.preview.prices import checked_prices
from beam_distilabel.pipeline.preview.whole_run import Facts
from beam_distilabel.pipeline.run import FAILURES, RunRequest, start
from beam_distilabel.pipeline.run_directory import RunDirectory
from beam_distilabel.row import Row
from beam_distilabel.task import _Task


def preview(
    graph: Graph,
    name: str,
    definition: dict[str, Any],
    rows: int,
    prices: Mapping[str, Any] | None,
) -> Preview:
    """Run the first rows of each loader and judge the rest by them; see `Pipeline.preview`.

    Args:
        graph: this run's own copies of the Steps, validated.
        name: the pipeline's.
        definition: its dump.
        rows: of each loader, at least 1.
        prices: see `checked_prices`.
    """
    models = {step: _model_names(graph.steps[step]) for step in graph.steps}
    costs = checked_prices(prices, {step: names for step, names in models.items() if names})
    taken = take_first_rows(graph, rows)
    order = graph.in_order()
    for step in graph.steps.values():
        if isinstance(step, _Task):
            step.add_raw_input = step.add_raw_output = True
    tapped, subsets = add_taps(graph)
    with _folder_of_run(name) as folder:
        handle = start(
            RunRequest(
                name=f"{name}.preview",
                graph=graph,
                directory=RunDirectory(folder),
                definition=definition,
                logging_handlers=[],
                dry_run=True,
                failure_limit=None,  # that all rows fail is what a preview is to show
                shows_report=False,
            )
        )
        distiset = handle.distiset()
        found = {subset: distiset[subset]["train"].to_list() for subset in distiset}
        failures = _failures(folder)
        report = handle.report
    seen = {step: found.get(tap, []) for step, tap in tapped.items()}
    exchanges = [exchange for step in order for exchange in exchanges_of(graph, step, seen)]
    # Equal prompts may share an answer in a run of its own as well: that is no reuse.
    counts = {step: {**own, "reused": 0} for step, own in report["steps"].items()}
    facts = Facts(graph, taken, counts, exchanges, models, costs)
    return dataclasses.replace(
        facts.preview(name, order),
        subsets={
            subset: [without_id(row) for row in seen[leaf]] for leaf, subset in subsets.items()
        },
        failures=failures,
        verdict=all_failed(report["steps"], order),
    )


@contextlib.contextmanager
def _folder_of_run(name: str) -> Iterator[str]:
    """A temporary folder; it stays where an error names the log in it, and only there."""
    folder = tempfile.mkdtemp(prefix="beam-distilabel-preview-")
    stays = False
    try:
        yield folder
    except RunFailedError:
        stays = True
        raise
    except RunInterrupted as error:  # it tells how to go on, which a preview can't
        raise RunInterrupted(
            f"the preview of the pipeline {name!r} was interrupted; nothing is kept."
        ) from error
    finally:
        if not stays:
            shutil.rmtree(folder, ignore_errors=True)


def of_dry_run(
    graph: Graph, name: str, taken: Mapping[str, FirstRows], counts: Mapping[str, Any]
) -> Preview:
    """The estimates alone, of a run on the loaders' first rows.

    Args:
        graph: the Steps, with these in the loaders' places.
        name: the pipeline's.
        taken: loader to its rows.
        counts: Step to its counts, as the run's report has them.
    """
    models = {step: _model_names(graph.steps[step]) for step in graph.steps}
    return Facts(graph, taken, counts, [], models, {}).preview(name, graph.in_order())


def _failures(folder: str) -> list[Row]:
    """The failures of the run in a local folder."""
    files = sorted(Path(folder, FAILURES).glob("*.parquet"))
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def _model_names(step: Any) -> list[str]:
    """What a Step's model may be called in `prices`: its name, and that of its class."""
    return list(
        dict.fromkeys(
            name for model in models_of(step) for name in (model.model_name, type(model).__name__)
        )
    )


__all__ = ["of_dry_run", "preview"]
