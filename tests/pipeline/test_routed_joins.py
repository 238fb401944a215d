"""Routed branches that meet, with Steps on the way that make several rows of one or leave some out.

No row is lost without a failure, and none is there twice. Compared with plain Python.
"""

from __future__ import annotations

import itertools
from typing import Any

import apache_beam as beam
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from hypothesis import HealthCheck, assume, given, settings, strategies as st

from beam_distilabel.failures import Failure
from beam_distilabel.join import JoinSpec, align
from beam_distilabel.pipeline import Pipeline, Route
from beam_distilabel.row import ROW_ID, Row, child_id, content, fork_id
from beam_distilabel.typing import StepInput, StepOutput
from tests.fakes import journal, new_name, options
from tests.pipeline.fakes import Add, Lose, Merge, Times

BRANCHES = 3


# -- one join --------------------------------------------------------------------------------------

sent = st.lists(st.tuples(st.integers(1, 3), st.sets(st.integers(0, 2))), min_size=3, max_size=3)


@given(chosen=st.integers(1, 7), sent=sent)
def test_one_row_whatever_its_branches_made_of_it(
    chosen: int, sent: list[tuple[int, set[int]]]
) -> None:
    """Per branch: how many rows it made, and which of them it lost."""
    key = fork_id("0-7", chosen)
    columns: list[list[Row]] = []
    for branch, (count, lost) in enumerate(sent):
        numbers = [n for n in range(count) if n not in lost] if chosen >> branch & 1 else []
        ids = [key if count == 1 else child_id(key, n) for n in numbers]
        columns.append([{ROW_ID: i, f"c{branch}": i} for i in ids])
    assume(any(columns))  # else nobody knows of the row
    spec = JoinSpec(1, ("a", "b", "c"), (1, 2, 4))
    results = list(align(key, columns, spec, "merge"))

    seen: set[str] = set()
    ids = []
    for result in results:
        if isinstance(result, Failure):
            assert result.kind == "join"
            row = result.row
        else:
            # Routing explains each row that is missing.
            assert [part is not None for part in result] == [
                bool(chosen >> branch & 1) for branch in range(BRANCHES)
            ]
            row = {name: value for part in result if part for name, value in part.items()}
        ids.append(row[ROW_ID])
        seen.update(f"{name}={row[name]}" for name in ("c0", "c1", "c2") if name in row)
    assert len(set(ids)) == len(ids)
    assert seen == {
        f"{name}={row[name]}" for rows in columns for row in rows for name in row if name != ROW_ID
    }


# -- whole pipelines -------------------------------------------------------------------------------

Op = tuple[str, Any]
"""("add" | "times", a column), ("lose", values of x), or ("route" | "fork", (branches, table)):
`table` has, for each x, the branches that the row goes to."""


@st.composite
def chains(draw: Any, depth: int, xs: int, multiply: bool, min_size: int = 0) -> list[Op]:
    """Steps in a row; one branch of each fork may multiply rows."""
    ops: list[Op] = []
    kinds = ["add", "lose", *(["times"] * multiply), *(["route", "route", "fork"] * (depth > 0))]
    for kind in draw(st.lists(st.sampled_from(kinds), min_size=min_size, max_size=2)):
        if kind in ("add", "times"):
            ops.append((kind, f"c{draw(st.integers(0, 10**9))}"))
        elif kind == "lose":
            ops.append((kind, draw(st.sets(st.integers(0, xs - 1), max_size=2))))
        else:
            count = draw(st.integers(2, BRANCHES))
            multiplies = draw(st.integers(0, count - 1)) if multiply else None
            every = tuple(range(count))
            some = st.sets(st.sampled_from(every), min_size=1).map(lambda s: tuple(sorted(s)))
            table = [draw(some) if kind == "route" else every for _ in range(xs)]
            # Where no row goes, no Step may be.
            table[0] = tuple(b for b in every if b in table[0] or not any(b in t for t in table))
            ends = [draw(chains(depth - 1, xs, b == multiplies)) for b in range(count)]
            ops.append((kind, (ends, table)))
    return ops


def expected_of(chain: list[Op], rows: list[Row]) -> tuple[list[Row], int]:
    """What the chain makes of `rows`, and how many failures there are."""
    failures = 0
    for kind, what in chain:
        if kind == "add":
            rows = [{**row, what: str(row["x"])} for row in rows]
        elif kind == "times":
            rows = [{**row, what: k} for row in rows for k in range(2)]
        elif kind == "lose":
            rows = [row for row in rows if row["x"] not in what]
        else:
            branches, table = what
            joined = []
            for row in rows:
                made = [expected_of(branches[b], [{**row, "h": b}]) for b in table[row["x"]]]
                failures += sum(count for _, count in made)
                there = [parts for parts, _ in made if parts]
                together = [
                    {k: v for part in parts for k, v in part.items()}
                    for parts in itertools.product(*there)
                ]
                if not there:
                    continue  # every branch left it out: nobody misses it
                if len(there) < len(made):
                    failures += len(together)
                else:
                    joined += together
            rows = joined
    return rows, failures


def build(chain: list[Op], end: Any, numbers: Any) -> Any:
    """Append the chain's Steps to `end`; returns the last one."""
    for kind, what in chain:
        name = f"{kind}-{next(numbers)}"
        if kind == "add":
            end = end >> Add(name=name, column=what)
        elif kind == "times":
            end = end >> Times(name=name, column=what, times=2)
        elif kind == "lose":
            end = end >> Lose(name=name, which=[{"x": x} for x in what])
        else:
            branches, table = what
            heads = [Head(name=f"{name}-{b}", number=b) for b in range(len(branches))]
            if kind == "route":
                to = {x: [heads[b] for b in chosen] for x, chosen in enumerate(table)}
                end >> Route("x", to=to)
            else:
                end >> heads
            ends = [build(ops, head, numbers) for ops, head in zip(branches, heads, strict=True)]
            end = ends >> Merge(name=f"{name}-met", on_failure="drop")
    return end


class Head(Add):
    """The first Step of a branch: says in `h` which."""

    number: int

    @property
    def outputs(self) -> list[str]:
        return ["h"]

    def process(self, inputs: StepInput) -> StepOutput:  # type: ignore[override]
        yield [{**row, "h": self.number} for row in inputs]


class Both(beam.PTransform):
    """A pipeline's rows and failures."""

    def __init__(self, pipeline: Pipeline) -> None:
        super().__init__()
        self._pipeline = pipeline

    def expand(self, pcoll: Any) -> Any:
        outputs = self._pipeline.outputs(pcoll)
        return {**outputs.subsets, "failures": outputs.failures}


@st.composite
def graphs(draw: Any) -> tuple[int, list[Op]]:
    xs = draw(st.integers(2, 4))
    return xs, draw(chains(2, xs, True, min_size=1))


@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(graph=graphs())
def test_generated_graphs(graph: tuple[int, list[Op]]) -> None:
    xs, chain = graph
    data = [{"x": x} for x in range(xs)]
    with Pipeline(name="generated") as pipeline:
        build(chain, Add(name="root", column="root"), itertools.count())
    found = new_name()
    with beam.Pipeline(runner=FnApiRunner(), options=options(1)) as p:
        both = p | beam.Create(data) | Both(pipeline)
        for name, rows in both.items():
            _ = rows | name >> beam.Map(lambda row, at: journal(at).add(row), f"{found}/{name}")
    done = journal(f"{found}/default").events
    assert len({row[ROW_ID] for row in done}) == len(done)
    expected, failures = expected_of(chain, [{**row, "root": str(row["x"])} for row in data])

    def plain(rows: list[Row]) -> list[str]:
        return sorted(
            repr(sorted((k, v) for k, v in content(row).items() if k != "n")) for row in rows
        )

    assert plain(done) == plain(expected)
    failed = journal(f"{found}/failures").events
    assert {failure.kind for failure in failed} <= {"join"}
    assert len(failed) == failures
