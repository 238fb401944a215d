"""What the whole run would take, by what the rows seen took."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from beam_distilabel.pipeline.graph import Graph
from beam_distilabel.pipeline.needs import models_of
from beam_distilabel.pipeline.preview.data import Exchange, Preview, StepEstimate
from beam_distilabel.pipeline.preview.estimates import Range, added, total_of
from beam_distilabel.pipeline.preview.exchanges import descendants
from beam_distilabel.pipeline.preview.first_rows import FirstRows
from beam_distilabel.pipeline.preview.prices import Price
from beam_distilabel.row import source_id

_TOKENS = ("input_tokens", "output_tokens")

ASSUMED_IN_FLIGHT = 64
"""How many requests a model is taken to answer at once where neither it nor its Task says."""


@dataclasses.dataclass(frozen=True)
class Facts:
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
        total, partial = _total(estimates)
        return Preview(
            pipeline=name,
            loaders={step: (len(first.rows), first.whole) for step, first in self.taken.items()},
            exchanges=self.exchanges,
            subsets={},
            failures=[],
            steps=estimates,
            total=total,
            assumptions=_assumptions(self.taken, estimates, self.prices),
            lower_bounds=partial,
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
        for key in _TOKENS:
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
    unknown: tuple[str, ...] = ()
    if models:
        unknown = tuple(key for key in _TOKENS if _is_untold(key, asked, counts))
        seen = {k: counts.get(k, 0) for k in ("requests", *_TOKENS) if k not in unknown}
        seen["seconds"] = max(0.0, counts.get("finished", 0.0) - counts.get("started", 0.0))
        if price is not None and unknown and price.gpu_hour is None:
            unknown += ("cost",)
        elif price is not None:
            tokens = [seen.get(key, 0) for key in _TOKENS]
            seen["cost"] = price.of_tokens(*tokens) + price.of_seconds(seen["seconds"])
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
        unknown=unknown,
    )


def _is_untold(key: str, asked: list[Exchange], counts: Mapping[str, Any]) -> bool:
    """Whether some answers came without a word of their tokens."""
    told = [bool(_told(one, key)) for one in asked if one.answer is not None]
    if any(told):
        return not all(told)
    # No prompt has no tokens, and there are embeddings, which have none of their own.
    return bool(counts.get("requests")) and not counts.get(key if told else "input_tokens")


def _per_row(asked: list[Exchange], key: str, rows: int, price: Price | None) -> list[float] | None:
    """What each row of the loader took; None where the Task doesn't tell, or not of all."""
    of: Callable[[Exchange], float]
    if key == "requests" or not asked:
        return None
    if key == "cost":
        assert price is not None

        def of(exchange: Exchange) -> float:
            return price.of_tokens(*(_tokens(exchange, name) for name in _TOKENS))
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
    return float(sum(_told(exchange, key)))


def _told(exchange: Exchange, key: str) -> list[float]:
    counted = exchange.statistics.get(key)
    parts = counted if isinstance(counted, list) else [counted]
    return [part for part in parts if isinstance(part, (int, float))]


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
    return source == target or target in descendants(graph, source)


def _total(steps: Iterable[StepEstimate]) -> tuple[dict[str, Range], tuple[str, ...]]:
    """The whole run: all Steps with a model, and what of it leaves out some; nothing where it isn't
    known how much of the run was seen."""
    asking = [step for step in steps if step.seen]
    if not asking or not all("seconds" in step.whole for step in asking):
        return {}, ()
    names = dict.fromkeys(name for step in asking for name in step.seen)
    total = {
        name: added([step.whole[name] for step in asking if name in step.whole]) for name in names
    }
    # Steps work at the same time: as long as the longest, or one after the other.
    fast = max(step.whole["seconds"].low or 0.0 for step in asking)
    slow = total["seconds"].high
    total["seconds"] = Range(statistics.mean((fast, slow or fast)), fast, slow)
    partial = tuple(name for name in total if any(name not in step.whole for step in asking))
    total.update({name: dataclasses.replace(total[name], high=None) for name in partial})
    return total, partial


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
    silent = [step.step for step in steps if step.unknown]
    if silent:
        told.append(
            f"{', '.join(silent)}: the model doesn't tell its tokens of every answer, so they, and "
            "what they cost, are unknown; totals leave them out."
        )
    unpriced = [step.step for step in steps if step.seen and step.step not in prices]
    if prices and unpriced:
        told.append(f"No price was given for {', '.join(unpriced)}: the cost leaves them out.")
    return told


__all__ = ["ASSUMED_IN_FLIGHT", "Facts", "in_flight"]
