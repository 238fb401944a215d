"""Showing a run's progress: live in a terminal, as plain lines otherwise, a table at the end."""

from __future__ import annotations

import logging
import time
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from beam_distilabel.progress import combined_load, mean_latency, read_progress

LOOK_SECONDS = 1.0
LINE_SECONDS = 10.0
"""How often a plain line is written, at most."""

logger = logging.getLogger(__name__)


class ProgressDisplay:
    """Shows what the progress records of a run say.

    Args:
        run_dir: the run directory.
        steps: the Steps' names, in order.
        totals: how many rows a Step will receive, where that is known.
    """

    def __init__(self, run_dir: str, steps: list[str], totals: dict[str, int]) -> None:
        self._run_dir = run_dir
        self._steps = steps
        self._totals = totals
        self._console = Console(stderr=True)
        self._live: Live | None = None
        self._next_look = 0.0
        self._next_line = time.monotonic() + LINE_SECONDS

    def __enter__(self) -> ProgressDisplay:
        if self._console.is_terminal and logger.isEnabledFor(logging.INFO):
            self._live = Live(console=self._console, refresh_per_second=4, transient=True)
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live is not None:
            self._live.stop()

    def update(self) -> None:
        """Look at the records, if it is time to, and show them."""
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + LOOK_SECONDS
        if self._live is None and now < self._next_line:
            return
        counts = read_progress(self._run_dir)
        if self._live is not None:
            self._live.update(progress_table(counts, self._steps, self._totals))
            return
        self._next_line = now + LINE_SECONDS
        for step in self._steps:
            if step in counts:
                logger.info(progress_line(step, counts[step], self._totals.get(step)))


def rates(counts: dict[str, Any]) -> tuple[float, float]:
    """(rows per second, output tokens per second) of a Step."""
    seconds = max(counts["finished"] - counts["started"], 1e-3)
    return counts["rows_out"] / seconds, counts["output_tokens"] / seconds


def progress_line(step: str, counts: dict[str, Any], total: int | None) -> str:
    """One Step's progress as text."""
    rows, tokens = rates(counts)
    of = f" of {total}" if total is not None else ""
    text = f"{step}: {counts['rows_out']}{of} rows, {rows:,.0f} rows/s"
    if counts["output_tokens"]:
        text += f", {tokens:,.0f} tokens/s"
    latency = mean_latency(counts)
    if latency is not None:
        text += f", {latency:.2g} s a request"
    load = _load_of(counts)
    if load:
        text += f", {load['running']} running, {load['waiting']} waiting"
        text += f", KV cache {_percent(load['kv_cache_usage'])}"
        if load["prefix_hit_rate"] is not None:
            text += f", prefix hits {_percent(load['prefix_hit_rate'])}"
    if counts.get("reused"):
        text += f", {counts['reused']:,} answers reused"
    if counts.get("unfinished"):
        text += f", {counts['unfinished']:,} left out"
    if counts["failures"]:
        text += f", {counts['failures']} failures{_kinds(counts.get('kinds'))}"
    return text


_SOMETIMES = {"reused": "reused", "unfinished": "left out"}
"""Counts that get a column where there are any: answers that were there already, and rows whose
answers aren't there."""


def _load_of(counts: dict[str, Any]) -> dict[str, Any] | None:
    # A report has the load of the whole run already.
    told: dict[str, Any] | None = counts.get("engine_load")
    return told if told is not None else combined_load(counts.get("loads", {}))


def _percent(part: float | None) -> str:
    return "" if part is None else f"{100 * part:.0f} %"


def _kinds(kinds: dict[str, int] | None) -> str:
    if not kinds:
        return ""
    return f" ({', '.join(f'{kind} {count}' for kind, count in sorted(kinds.items()))})"


def progress_table(
    counts: dict[str, dict[str, Any]], steps: list[str], totals: dict[str, int]
) -> Table:
    """All Steps' progress as a table."""
    loads = {step: _load_of(own) for step, own in counts.items()}
    columns = ["Step", "rows", "rows/s", "tokens in", "tokens out", "tokens/s", "s/request"]
    if any(loads.values()):
        columns += ["running", "waiting", "KV cache", "prefix hits"]
    more = [name for name in _SOMETIMES if any(own.get(name) for own in counts.values())]
    columns += [_SOMETIMES[name] for name in more]
    table = Table(*columns, "failures")
    for column in table.columns[1:]:
        column.justify = "right"
    for step in steps:
        if step not in counts:
            table.add_row(step, "-")
            continue
        own = counts[step]
        rows, tokens = rates(own)
        total = totals.get(step)
        latency = own.get("mean_latency_seconds", mean_latency(own))
        cells = []
        if any(loads.values()):
            load = loads[step] or {}
            # At the end nothing runs any more: the mean and the peak of the run.
            running = load.get("running", load.get("mean_running"))
            usage = load.get("kv_cache_usage", load.get("peak_kv_cache_usage"))
            cells = [
                "" if running is None else f"{running:,.0f}",
                f"{load['waiting']:,}" if "waiting" in load else "",
                _percent(usage),
                _percent(load.get("prefix_hit_rate")),
            ]
        table.add_row(
            step,
            f"{own['rows_out']:,}" + (f" of {total:,}" if total is not None else ""),
            f"{rows:,.0f}",
            f"{own['input_tokens']:,}" if own["input_tokens"] else "",
            f"{own['output_tokens']:,}" if own["output_tokens"] else "",
            f"{tokens:,.0f}" if own["output_tokens"] else "",
            "" if latency is None else f"{latency:.2g}",
            *cells,
            *(f"{own[name]:,}" if own.get(name) else "" for name in more),
            f"{own['failures']:,}{_kinds(own.get('kinds') or own.get('failed'))}",
        )
    return table


def part_of(report: dict[str, Any]) -> list[str]:
    """Lines that say which part of the rows a report is about; none where that is all."""
    partial = report.get("partial") or {}
    lines = [
        f"{step}: {rows['finished']:,} of {rows['known']:,} rows are finished"
        if rows["known"]
        else f"{step}: its rows are not kept"
        for step, rows in partial.items()
    ]
    return ["This is a part of the result:", *lines] if lines else []


def show_report(report: dict[str, Any], run_dir: str) -> None:
    """The end of a run: what each Step did and where the results are."""
    if not logger.isEnabledFor(logging.INFO):
        return
    console = Console(stderr=True)
    console.print(progress_table(report["steps"], list(report["steps"]), {}))
    for line in part_of(report):
        console.print(line, highlight=False, soft_wrap=True)
    for name, subset in report["subsets"].items():
        console.print(f"{name}: {subset['rows']:,} rows", highlight=False)
    if report["failures"]:
        console.print(
            f"{report['failures']:,} failures: {run_dir}/failures",
            highlight=False,
            soft_wrap=True,
        )
    console.print(f"Distiset: {run_dir}/distiset", highlight=False, soft_wrap=True)
    if "published" in report:
        console.print(f"Published: {report['published']['url']}", highlight=False, soft_wrap=True)
