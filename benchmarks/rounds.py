"""Ways that take turns on one machine, and what their times come to."""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Callable, Mapping
from typing import Any

Way = Callable[[], float]
"""Does the work once; returns the seconds that it took."""


def take_turns(
    ways: Mapping[str, Way], rounds: int, tokens: int, warm_ups: int = 1
) -> dict[str, list[float]]:
    """The tokens/s of each way in each round; the order turns, so that none always goes first.

    Args:
        ways: name to what is measured.
        rounds: how often.
        tokens: how many tokens each way makes.
        warm_ups: rounds before, which don't count.
    """
    rates: dict[str, list[float]] = {name: [] for name in ways}
    names = list(ways)
    for number in range(-warm_ups, rounds):
        for name in names:
            rate = tokens / ways[name]()
            label = f"round {number + 1}" if number >= 0 else "warm-up"
            print(f"{label}: {name}: {rate:,.0f} tokens/s", flush=True)
            if number >= 0:
                rates[name].append(rate)
        names = names[1:] + names[:1]
    return rates


def spread(values: list[float], digits: int = 3) -> dict[str, float]:
    """Median, least and greatest."""
    return {
        "median": round(statistics.median(values), digits),
        "min": round(min(values), digits),
        "max": round(max(values), digits),
    }


def ratios(rates: Mapping[str, list[float]], name: str, other: str) -> dict[str, float]:
    """The spread of `name` over `other`, round by round."""
    return spread([a / b for a, b in zip(rates[name], rates[other], strict=True)])


def compared(
    rates: Mapping[str, list[float]], name: str, others: list[str], wanted: float
) -> dict[str, Any]:
    """Print `name` over each of the others as a table; the same for the JSON line.

    Args:
        rates: of `take_turns`.
        name: ours.
        others: the peers.
        wanted: the least ratio.
    """
    result: dict[str, Any] = {
        f"{way} tokens/s": round(statistics.median(values)) for way, values in rates.items()
    }
    print(f"\n{'':34}{'tokens/s':>10}{'ours / it':>11}   min to max")
    for way in rates:
        line = f"{way:34}{result[f'{way} tokens/s']:10,}"
        if way in others:
            ratio = result[f"{name} / {way}"] = ratios(rates, name, way)
            line += f"{ratio['median']:11.3f}   {ratio['min']} to {ratio['max']}"
        print(line)
    print(f"Wanted: {wanted} at least.", flush=True)
    return {**result, "ratio_wanted": wanted}


def print_result(result: dict[str, Any]) -> None:
    """The last line: one JSON object, with how busy the machine was and how many cores it has."""
    machine = {"cpus": os.cpu_count(), "load_average": round(os.getloadavg()[0], 2)}
    print(json.dumps({**result, **machine}))
