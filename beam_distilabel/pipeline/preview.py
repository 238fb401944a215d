"""A few rows through the real pipeline: what is asked and answered, and what all of it would take.

`Pipeline.preview` runs the first rows of each loader, in a run of their own that publishes nothing.
What they took tells what the whole run takes, as far as a few rows can tell.
"""

from __future__ import annotations

import dataclasses
import shutil
import statistics
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from beam_distilabel.metadata import METADATA, MetadataKeys, metadata_keys, metadata_of
from beam_distilabel.pipeline.estimates import Range, added, total_of
from beam_distilabel.pipeline.first_rows import FirstRows, take_first_rows
from beam_distilabel.pipeline.graph import Graph
from beam_distilabel.pipeline.needs import models_of
from beam_distilabel.pipeline.prices import Price, checked_prices
from beam_distilabel.pipeline.run import FAILURES, RunRequest, start
from beam_distilabel.pipeline.run_directory import RunDirectory
from beam_distilabel.row import ROW_ID, Row, source_id
from beam_distilabel.step import RowStep, open_pipelines
from beam_distilabel.task import _Task

ASSUMED_IN_FLIGHT = 64
"""How many requests a model is taken to answer at once where neither it nor its Task says."""

_TAP = "-preview"
_ROW = "preview_row_id"


@dataclasses.dataclass(frozen=True)
class Exchange:
    """What one Task asked about one row, and what it was answered.

    Attributes:
        step: the Task.
        row: the id of the row.
        prompt: messages, or a text, as it was sent; None where the Task doesn't tell.
        answer: the model's; None where there is none.
        outputs: the columns that the Task made of it.
        failure: why it is of no use: `kind`, `message` and `attempts`; None where it is.
        statistics: of the answer, such as its tokens.
    """

    step: str
    row: str
    prompt: Any
    answer: Any
    outputs: dict[str, Any]
    failure: dict[str, Any] | None
    statistics: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class StepEstimate:
    """What one Step did with the rows seen, and what it would do with all.

    Attributes:
        step: its name.
        model: of its model; None where it has none.
        rows_in: rows seen that came in, of a loader those it made.
        rows_out: rows seen that it sent on.
        scale: how many times as many rows the whole run has; None where a loader doesn't know its
            rows: then there are no estimates.
        seen: requests, input_tokens, output_tokens, seconds and cost of the rows seen.
        whole: rows, and the same, of the whole run.
    """

    step: str
    model: str | None
    rows_in: int
    rows_out: int
    scale: float | None
    seen: dict[str, float]
    whole: dict[str, Range]


@dataclasses.dataclass(frozen=True)
class Preview:
    """What `Pipeline.preview` found; printed, it is a table.

    Attributes:
        pipeline: its name.
        loaders: loader to (rows seen, all its rows or None where that isn't known).
        exchanges: per Task and row, in the order of the rows.
        subsets: the rows of each subset.
        failures: of all Steps, as a run's `failures/` has them.
        steps: what each Step did and would do.
        total: requests, input_tokens, output_tokens, seconds and cost of the whole run; empty where
            a loader doesn't know its rows.
        assumptions: what the estimates rest on.
    """

    pipeline: str
    loaders: dict[str, tuple[int, int | None]]
    exchanges: list[Exchange]
    subsets: dict[str, list[Row]]
    failures: list[Row]
    steps: list[StepEstimate]
    total: dict[str, Range]
    assumptions: list[str]

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain data, ready for JSON but for what rows may hold."""
        return dataclasses.asdict(self)

    def print(self, console: Any = None) -> None:
        """Print prompts and answers side by side, and the estimates; on the console if None."""
        from beam_distilabel.pipeline.preview_tables import print_preview

        print_preview(self, console)


class _Tap(RowStep):
    """Keeps what a Step sends on, with each row's id, in a subset of its own."""

    def transform_row(self, row: Row) -> Row:
        return {**row, _ROW: row[ROW_ID]}


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
    tapped, subsets = _add_taps(graph)
    folder = tempfile.mkdtemp(prefix="beam-distilabel-preview-")
    handle = start(
        RunRequest(
            name=f"{name}.preview",
            graph=graph,
            directory=RunDirectory(folder),
            definition=definition,
            logging_handlers=[],
            dry_run=True,
            shows_report=False,
        )
    )
    distiset = handle.distiset()  # where it fails, its error names the log: the folder stays
    found = {subset: distiset[subset]["train"].to_list() for subset in distiset}
    failures = _failures(folder)
    report = handle.report
    shutil.rmtree(folder, ignore_errors=True)
    seen = {step: found.get(tap, []) for step, tap in tapped.items()}
    exchanges = [exchange for step in order for exchange in _exchanges(graph, step, seen)]
    # Equal prompts may share an answer in a run of its own as well: that is no reuse.
    counts = {step: {**own, "reused": 0} for step, own in report["steps"].items()}
    facts = _Facts(graph, taken, counts, exchanges, models, costs)
    return dataclasses.replace(
        facts.preview(name, order),
        subsets={
            subset: [_without_id(row) for row in seen[leaf]] for leaf, subset in subsets.items()
        },
        failures=failures,
    )


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
    return _Facts(graph, taken, counts, [], models, {}).preview(name, graph.in_order())


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


def _without_id(row: Row) -> Row:
    return {name: value for name, value in row.items() if name != _ROW}


# --- what is asked and answered -------------------------------------------------------------------


def _add_taps(graph: Graph) -> tuple[dict[str, str], dict[str, str]]:
    """Have all that leaves and Tasks make end up in subsets.

    Returns:
        Step to the name of its subset, and leaf to the name that its subset has in a run. A Task
        whose rows a router sends on gets none: its answers are in the rows of those after it.
    """
    subsets = graph.subsets()
    tapped = {}
    token = open_pipelines.set(())
    try:
        for name, step in list(graph.steps.items()):
            if name in subsets or (isinstance(step, _Task) and name not in graph.routers):
                tap = f"{name}{_TAP}"
                while tap in graph.steps:
                    tap += "-"
                graph.add(_Tap(name=tap))
                graph.connect(name, tap)
                tapped[name] = tap
    finally:
        open_pipelines.reset(token)
    if len(tapped) == 1:  # the only subset of a run has a name of its own
        tapped = dict.fromkeys(tapped, "default")
    return tapped, subsets


def _exchanges(graph: Graph, step: str, seen: Mapping[str, list[Row]]) -> list[Exchange]:
    """What a Task asked, by the metadata of the rows that it made."""
    keys = metadata_keys(step)
    after = [step] if step in seen else sorted(_descendants(graph, step) & set(seen))
    outputs = [name for name in graph.steps[step].get_outputs() if name != METADATA]
    found: list[Exchange] = []
    for name in after:
        for row in seen[name]:
            for exchange in _of_row(step, row, keys, outputs):
                if name == step or exchange not in found:
                    found.append(exchange)
    return found


def _of_row(step: str, row: Row, keys: MetadataKeys, outputs: list[str]) -> Iterable[Exchange]:
    metadata = metadata_of(row)
    if not {keys.raw_input, keys.raw_output, keys.failure} & metadata.keys():
        return
    made = {name: row[name] for name in outputs if name in row}
    told: list[Any] = [
        metadata.get(key) for key in (keys.raw_output, keys.failure, keys.statistics)
    ]
    prompt = metadata.get(keys.raw_input)
    # With `group_generations` a row has a list of each.
    grouped = isinstance(told[2], list) and isinstance(told[0], list)
    count = len(told[0]) if grouped else 1
    for i in range(count):
        answer, failure, counted = (
            part[i] if grouped and isinstance(part, list) and i < len(part) else part
            for part in told
        )
        each = {
            name: value[i] if grouped and isinstance(value, list) and len(value) == count else value
            for name, value in made.items()
        }
        asked = prompt
        if grouped and isinstance(prompt, list) and len(prompt) == count:
            asked = prompt[i]
        yield Exchange(step, str(row.get(_ROW)), asked, answer, each, failure, counted or {})


def _descendants(graph: Graph, name: str) -> set[str]:
    found: set[str] = set()
    todo = list(graph.successors(name))
    while todo:
        step = todo.pop()
        if step not in found:
            found.add(step)
            todo.extend(graph.successors(step))
    return found


# --- what all of it would take --------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class _Facts:
    """What is known of a preview's Steps.

    Attributes:
        graph: the Steps, with loaders' first rows in their places.
        taken: what these are.
        counts: Step to its counts, as a report has them.
        exchanges: what was asked.
        models: Step to the names of its model.
        prices: Step to what its model costs.
    """

    graph: Graph
    taken: Mapping[str, FirstRows]
    counts: Mapping[str, Mapping[str, Any]]
    exchanges: list[Exchange]
    models: Mapping[str, list[str]]
    prices: Mapping[str, Price]

    def preview(self, name: str, steps: list[str]) -> Preview:
        """A preview with all but the rows."""
        estimates = [self.of(step) for step in steps]
        return Preview(
            pipeline=name,
            loaders={step: (len(first.rows), first.whole) for step, first in self.taken.items()},
            exchanges=self.exchanges,
            subsets={},
            failures=[],
            steps=estimates,
            total=_total(estimates),
            assumptions=_assumptions(self.taken, estimates, self.prices),
        )

    def of(self, name: str) -> StepEstimate:
        """What a Step would do in a whole run."""
        loaders = [loader for loader in self.taken if _leads(self.graph, loader, name)]
        sizes = [(len(self.taken[loader].rows), self.taken[loader].whole) for loader in loaders]
        # Rows of several loaders meet one by one: there are as many as the shortest has.
        rows, whole = min(sizes, key=lambda size: size[1] or 0, default=(0, None))
        asked = [exchange for exchange in self.exchanges if exchange.step == name]
        counts = self.counts.get(name, {})
        if name in self.taken:
            counts = _of_generator(self.taken[name], asked)
        return _estimate(
            self.graph.steps[name],
            self.models[name],
            counts,
            asked,
            rows,
            None if any(size is None for _, size in sizes) else whole,
            self.prices.get(name),
        )


def _of_generator(first: FirstRows, asked: list[Exchange]) -> dict[str, Any]:
    """The counts of a loader that was asked for its rows in this process."""
    counts: dict[str, Any] = {"rows_in": len(first.rows), "rows_out": len(first.rows)}
    if asked:
        counts["started"], counts["finished"] = 0.0, first.seconds
        counts["requests"] = len(asked)  # at least: how often it asked for a row isn't counted
        for key in ("input_tokens", "output_tokens"):
            counts[key] = sum(_tokens(exchange, key) for exchange in asked)
    return counts


def _estimate(
    step: Any,
    models: list[str],
    counts: Mapping[str, Any],
    asked: list[Exchange],
    rows: int,
    whole: int | None,
    price: Price | None,
) -> StepEstimate:
    seen: dict[str, float] = {}
    if models:
        seen = {k: counts.get(k, 0) for k in ("requests", "input_tokens", "output_tokens")}
        seen["seconds"] = max(0.0, counts.get("finished", 0.0) - counts.get("started", 0.0))
        if price is not None:
            seen["cost"] = price.of_tokens(
                seen["input_tokens"], seen["output_tokens"]
            ) + price.of_seconds(seen["seconds"])
    total: dict[str, Range] = {}
    if whole is not None and rows:
        made = counts.get("rows_out", 0)
        total["rows"] = (
            Range(whole, whole, whole) if step.is_generator else total_of(made, None, rows, whole)
        )
        paid = not counts.get("reused")  # what was answered before took nothing now
        for key in [name for name in seen if name != "seconds" and paid]:
            total[key] = total_of(seen[key], _per_row(asked, key, rows, price), rows, whole)
        if models and paid:
            total["seconds"] = _seconds(step, seen, counts, whole / rows)
        if price is not None and price.gpu_hour is not None and paid:
            total["cost"] = total["seconds"].times(price.of_seconds(1))
    return StepEstimate(
        step=step.unique_name,
        model=models[0] if models else None,
        rows_in=counts.get("rows_in", 0),
        rows_out=counts.get("rows_out", 0),
        scale=whole / rows if whole is not None and rows else None,
        seen=seen,
        whole=total,
    )


def _per_row(asked: list[Exchange], key: str, rows: int, price: Price | None) -> list[float] | None:
    """What each row of the loader took; None where the Task doesn't tell, or not of all."""
    of: Callable[[Exchange], float]
    if key == "requests" or not asked:
        return None
    if key == "cost":
        assert price is not None

        def of(exchange: Exchange) -> float:
            return price.of_tokens(
                _tokens(exchange, "input_tokens"), _tokens(exchange, "output_tokens")
            )
    else:

        def of(exchange: Exchange) -> float:
            return _tokens(exchange, key)

    sums: dict[str, float] = {}
    for exchange in asked:
        row = source_id(exchange.row)
        sums[row] = sums.get(row, 0.0) + of(exchange)
    return [*sums.values(), *[0.0] * (rows - len(sums))] if len(sums) <= rows else None


def _tokens(exchange: Exchange, key: str) -> float:
    """The tokens of one exchange; several counts are added."""
    counted = exchange.statistics.get(key)
    parts = counted if isinstance(counted, list) else [counted]
    return float(sum(part for part in parts if isinstance(part, (int, float))))


def _seconds(
    step: Any, seen: Mapping[str, float], counts: Mapping[str, Any], scale: float
) -> Range:
    """How long a Task is busy: at most as long as at the preview's pace, at the least as it would
    be with as many requests under way as the model takes, if none of them took longer."""
    slow = seen["seconds"] * scale
    latency = counts.get("mean_latency_seconds")
    if latency is None or not seen["requests"]:
        return Range(slow, 0.0, slow)
    fast = min(slow, latency * seen["requests"] * scale / in_flight(step))
    return Range(statistics.mean((fast, slow)), fast, slow)


def in_flight(step: Any) -> int:
    """How many requests a Step's model is taken to answer at once."""
    own = getattr(step, "max_in_flight", None)
    said = [getattr(model, "max_in_flight", None) for model in models_of(step)]
    return own or max((number for number in said if number), default=ASSUMED_IN_FLIGHT)


def _leads(graph: Graph, source: str, target: str) -> bool:
    return source == target or target in _descendants(graph, source)


def _total(steps: Iterable[StepEstimate]) -> dict[str, Range]:
    """The whole run: all Steps with a model; nothing where a part isn't known."""
    asking = [step for step in steps if step.seen]
    if not asking or not all("seconds" in step.whole for step in asking):
        return {}
    names = dict.fromkeys(name for step in asking for name in step.seen)
    total = {
        name: added([step.whole[name] for step in asking if name in step.whole]) for name in names
    }
    # Steps work at the same time: as long as the longest, or one after the other.
    fast = max(step.whole["seconds"].low or 0.0 for step in asking)
    slow = total["seconds"].high
    total["seconds"] = Range(statistics.mean((fast, slow or fast)), fast, slow)
    return total


def _assumptions(
    taken: Mapping[str, FirstRows], steps: list[StepEstimate], prices: Mapping[str, Price]
) -> list[str]:
    """What a reader has to know of the estimates."""
    told = []
    for name, first in taken.items():
        size = f"of {first.whole}" if first.whole is not None else "of an unknown number"
        told.append(f"{name}: {len(first.rows)} rows {size}, the first ones, not a random sample.")
    unknown = [name for name, first in taken.items() if first.whole is None]
    if unknown:
        told.append(
            f"{', '.join(unknown)} can't tell how many rows there are, so nothing is said of the "
            "whole run; the numbers are those of the rows seen."
        )
        return told
    reused = [step.step for step in steps if step.seen and "seconds" not in step.whole]
    if reused:
        told.append(
            f"{', '.join(reused)} used answers that were there already, so nothing is said of "
            "tokens and time; `preview` asks anew."
        )
    elif any(step.seen for step in steps):
        fewest = min(len(first.rows) for first in taken.values())
        told.append(
            "Ranges of tokens and cost are 95 % confidence intervals of a mean"
            + (f"; {fewest} rows say little." if fewest < 30 else ".")
        )
        told.append(
            "Every Step is taken to make, per row, as much of the other rows; a Step that keeps a "
            "fixed number of rows does not."
        )
        told.append(
            "Time: at best with as many requests under way as the Task or the model allows "
            f"({ASSUMED_IN_FLIGHT} where neither says) and none slower for it, at worst at the "
            "pace of these rows; one worker, without loading the models."
        )
    unpriced = [step.step for step in steps if step.seen and step.step not in prices]
    if prices and unpriced:
        told.append(f"No price was given for {', '.join(unpriced)}: the cost leaves them out.")
    return told


__all__ = ["Exchange", "Preview", "StepEstimate", "of_dry_run", "preview"]
