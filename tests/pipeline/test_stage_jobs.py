"""Runs of several jobs: the same rows as in one, one engine at a time, nothing left behind."""

from __future__ import annotations

import datetime
import itertools
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from hypothesis import HealthCheck, given, settings, strategies as st

from beam_distilabel.errors import PipelineValidationError, RunFailedError
from beam_distilabel.models.memory import MemoryNeed
from beam_distilabel.pipeline import Pipeline, routing_batch_function, sample_n_steps
from beam_distilabel.pipeline.needs import Needs
from beam_distilabel.pipeline.stage_files import listed_files, read_stream, units, write_streams
from beam_distilabel.row import Row
from beam_distilabel.step import Step, StepResources
from beam_distilabel.steps import LoadDataFromDicts
from beam_distilabel.steps.tasks import TextGeneration
from beam_distilabel.typing import StepInput, StepOutput
from tests.fakes import FakeLLM, journal, new_name, no_engine_is_left, open_engines
from tests.pipeline.fakes import (
    GATES,
    Add,
    Fails,
    Gate,
    Lose,
    Merge,
    Numbers,
    Reverse,
    Shuffled,
    TaggedEcho,
    Times,
)
from tests.pipeline.running import failures_of, rows_of
from tests.pipeline.test_joins import Op, build, chains, expected_of

pytestmark = pytest.mark.usefixtures("no_engine_is_left")
__all__ = ["no_engine_is_left"]

X = [{"x": x} for x in range(7)]


class SizedLLM(FakeLLM):
    """Needs `size` bytes."""

    size: int = 0

    def memory_need(self) -> MemoryNeed:
        return MemoryNeed(memory=self.size)


class WatchedLLM(SizedLLM):
    """Writes down how many engines are open whenever it answers."""

    async def agenerate(  # type: ignore[override]
        self, input: Any, num_generations: int = 1, temperature: float = 1.0
    ) -> Any:
        journal(f"{self.tag}/open").add(len(open_engines()))
        return await super().agenerate(input, num_generations)


def jobs_of(pipeline: Pipeline, folder: Path, **arguments: Any) -> Any:
    """The Distiset, the Steps of each job, and the failures."""
    handle = pipeline.submit(output_dir=folder, logging_handlers=[], **arguments)
    distiset = handle.distiset()
    assert not (folder / "stages").exists()
    return distiset, handle.report.get("jobs"), failures_of(folder)


# -- what cuts a run -------------------------------------------------------------------------------


def two_models(size: int) -> tuple[Pipeline, str, str]:
    one, two = new_name(), new_name()
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(name="load", data=[{"instruction": f"do {x}"} for x in range(5)])
        first = TextGeneration(name="first", llm=WatchedLLM(tag=one, size=size))
        again = TextGeneration(
            name="again",
            llm=WatchedLLM(tag=one, size=size),
            input_mappings={"instruction": "generation"},
            output_mappings={"generation": "more"},
        )
        judge = TextGeneration(
            name="judge",
            llm=WatchedLLM(tag=two, answer="good", size=size),
            input_mappings={"instruction": "more"},
            output_mappings={"generation": "verdict"},
        )
        load >> first >> again >> judge
    return pipeline, one, two


def test_models_that_do_not_fit_together_run_one_after_the_other(tmp_path: Path) -> None:
    pipeline, one, two = two_models(100)
    others = len(open_engines())
    distiset, jobs, _ = jobs_of(pipeline, tmp_path / "run", memory_budget=150)
    assert jobs == [["load", "first", "again"], ["judge"]]
    assert [(row["generation"], row["more"], row["verdict"]) for row in rows_of(distiset)] == [
        (f"do {x}", f"do {x}", "good") for x in range(5)
    ]
    # Two Steps with equal LLMs share one engine, and it is gone before the other is there.
    for tag in (one, two):
        assert journal(f"{tag}/life").events == ["load", "unload"]
        assert set(journal(f"{tag}/open").events) == {others + 1}


def test_models_that_fit_run_in_one_job(tmp_path: Path) -> None:
    pipeline, one, two = two_models(100)
    _, jobs, _ = jobs_of(pipeline, tmp_path / "run", memory_budget=200)
    assert jobs is None
    assert journal(f"{one}/life").count("load") == journal(f"{two}/life").count("load") == 1


def test_a_model_that_never_fits_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    pipeline, one, _ = two_models(2 * 2**30)
    with pytest.raises(PipelineValidationError) as error:
        pipeline.run(output_dir=tmp_path / "run", memory_budget=2**30)
    for text in ("'first', 'again'", f"WatchedLLM('{one}')", "2.00 GiB", "there is 1.00 GiB"):
        assert text in str(error.value)
    assert journal(f"{one}/life").events == []
    assert not (tmp_path / "run").exists()


def test_what_resources_say_counts_too(tmp_path: Path) -> None:
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(name="load", data=X)
        a = Add(name="a", resources=StepResources(memory=60))
        b = Add(name="b", column="b", resources=StepResources(memory=60))
        load >> a >> b
    distiset, jobs, _ = jobs_of(pipeline, tmp_path / "run", memory_budget=100)
    assert jobs == [["load", "a"], ["b"]]
    assert len(rows_of(distiset)) == 7
    with pytest.raises(PipelineValidationError, match=r"'a': Add needs 60 bytes.*50 bytes"):
        pipeline.run(output_dir=tmp_path / "run", memory_budget=50)
    with pytest.raises(PipelineValidationError, match="memory_budget=0"):
        pipeline.run(output_dir=tmp_path / "run", memory_budget=0)


def test_what_is_said_of_one_step_holds_for_all_that_share_its_model() -> None:
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(name="load", data=[{"instruction": "x"}])
        one = TextGeneration(name="one", llm=FakeLLM(tag="a"))
        two = TextGeneration(
            name="two", llm=FakeLLM(tag="a"), resources=StepResources(memory=60, gpus=2)
        )
        load >> one >> two
    needs = Needs(pipeline.graph)
    (entry,) = needs.loaded.values()
    assert (entry.need, entry.steps) == (MemoryNeed(memory=60, gpus=2), ["one", "two"])
    assert needs.keys["one"] == needs.keys["two"] == frozenset(needs.loaded)
    assert needs.keys["load"] == frozenset()
    assert Needs(pipeline.graph, lambda key: True).loaded.popitem()[1].need.memory == 0


def test_a_step_whose_models_do_not_fit_together(tmp_path: Path) -> None:
    class Two(Add):
        first: SizedLLM
        others: list[SizedLLM]

    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(name="load", data=X)
        models = [SizedLLM(tag=tag, size=60) for tag in "abc"]
        load >> Two(name="two", first=models[0], others=models[1:])
    with pytest.raises(PipelineValidationError, match=r"'two' loads several.*'b'.*there is 150 b"):
        pipeline.run(output_dir=tmp_path / "run", memory_budget=150)


# -- what crosses ----------------------------------------------------------------------------------

EXACT: Row = {
    "x": 1,
    "whole": 1,
    "real": 1.0,
    "nothing": None,
    "data": b"\x00\xff",
    "nested": {"b": [1, 1.5, {"z": None, "a": [[]]}], "a": ""},
    "big": 2**70,
    "day": datetime.date(2020, 2, 3),
}


class Write(Step):
    """Writes down its rows, reserved keys left out."""

    journal: str

    def process(self, inputs: StepInput) -> StepOutput:  # type: ignore[override]
        for row in inputs:
            journal(self.journal).add({k: v for k, v in row.items() if not k.startswith("_")})
        yield inputs


def test_rows_cross_as_they_are(tmp_path: Path) -> None:
    name = new_name()
    data = [EXACT, {"x": 2, "other": "é\n"}, {"x": 2, "other": "é\n"}]
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(name="load", data=data)
        load >> Write(name="write", journal=name)
    jobs_of(pipeline, tmp_path / "run", load_groups=[["write"]])
    found = sorted(journal(name).events, key=lambda row: row["x"])
    # `repr` tells 1 from 1.0, and has the order of the keys.
    assert [repr(row) for row in found] == [repr(row) for row in data]


def test_leaves_and_failures_of_all_jobs_are_in_the_result(tmp_path: Path) -> None:
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(name="load", data=X)
        early = Fails(name="early", values=[1])
        middle, late = Fails(name="middle", values=[2, 3]), Fails(name="late", values=[4])
        none = Lose(name="none", which=[{"x": x} for x in range(7)])
        load >> [early, middle, none]
        middle >> late
    distiset, jobs, failures = jobs_of(
        pipeline, tmp_path / "run", load_groups=[["early"], ["none"], ["late"]]
    )
    assert jobs == [["load"], ["early"], ["middle"], ["none"], ["late"]]
    assert sorted((f["step"], f["row"]["x"]) for f in failures) == [
        ("early", 1),
        ("late", 4),
        ("middle", 2),
        ("middle", 3),
    ]
    assert set(distiset) == {"early", "late", "none"}
    assert [row["checked"] for row in rows_of(distiset, "early")] == [True, None, *[True] * 5]
    assert len(rows_of(distiset, "late")) == 7
    assert len(distiset["none"]["train"]) == 0


def test_progress_and_report_count_all_jobs(tmp_path: Path) -> None:
    pipeline, _, _ = two_models(0)
    handle = pipeline.submit(
        output_dir=tmp_path / "run",
        logging_handlers=[],
        load_groups="sequential_step_execution",
    )
    handle.distiset()
    assert {name: step["rows_out"] for name, step in handle.report["steps"].items()} == {
        "load": 5,
        "first": 5,
        "again": 5,
        "judge": 5,
    }
    assert handle.report["output_tokens"] == 5 * (4 + 4 + 4)
    assert handle.report["jobs"] == [["load"], ["first"], ["again"], ["judge"]]


def test_a_job_that_fails_ends_the_run_and_the_next_run_begins_anew(tmp_path: Path) -> None:
    def pipeline(on_failure: Any) -> Pipeline:
        with Pipeline(name="p") as made:
            load = LoadDataFromDicts(name="load", data=X)
            load >> Add(name="a") >> Fails(name="fails", values=[3], on_failure=on_failure)
        return made

    folder = tmp_path / "run"
    with pytest.raises(RunFailedError, match="Step 'fails'"):
        pipeline("raise").run(output_dir=folder, load_groups=[["fails"]], logging_handlers=[])
    assert not (folder / "distiset").exists()
    distiset, _, failures = jobs_of(pipeline("drop"), folder, load_groups=[["fails"]])
    assert [row["x"] for row in rows_of(distiset)] == [0, 1, 2, 4, 5, 6]
    assert len(failures) == 1


def test_cancelled_in_the_first_job_the_second_never_starts(tmp_path: Path) -> None:
    gate, tag = new_name(), new_name()
    GATES[gate] = (threading.Event(), threading.Event())
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(name="load", data=[{"instruction": "x"}])
        wait = Gate(name="wait", gate=gate)
        load >> wait >> TextGeneration(name="late", llm=FakeLLM(tag=tag))
    handle = pipeline.submit(
        output_dir=tmp_path / "run", load_groups=[["late"]], logging_handlers=[]
    )
    arrived, go_on = GATES[gate]
    assert arrived.wait(60)
    handle.cancel()
    go_on.set()
    with pytest.raises(RunFailedError, match="cancelled"):
        handle.distiset()
    assert handle.state == "cancelled"
    assert journal(f"{tag}/life").events == []


def test_other_filesystems(tmp_path: Path) -> None:
    folder = f"memory://{new_name()}/run"
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(name="load", data=X)
        load >> Add(name="a") >> Add(name="b", column="b")
    distiset = pipeline.run(output_dir=folder, load_groups=[["a"]], logging_handlers=[])
    assert [row["b"] for row in rows_of(distiset)] == [str(x) for x in range(7)]


# -- joins and routers -----------------------------------------------------------------------------


@routing_batch_function()
def one_by_seed(steps: list[str]) -> list[str]:
    import random

    return [random.choice(steps)]


def routed() -> Pipeline:
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(name="load", data=X)
        side, pre = Times(name="side", column="s", times=2), Add(name="pre", column="p")
        b, c = Add(name="b", column="b"), Add(name="c", column="c")
        load >> [side, pre]
        pre >> one_by_seed >> [b, c]
        [side, b, c] >> Merge(name="merge") >> Reverse(name="reverse")
    return pipeline


def lossy() -> Pipeline:
    with Pipeline(name="p") as pipeline:
        load = Numbers(name="load", count=7)
        a, b, c = Add(name="a"), Lose(name="b", which=[{"x": 1}]), Shuffled(name="c")
        load >> sample_n_steps(2) >> [a, b, c] >> Merge(name="merge") >> Add(name="end", column="e")
    return pipeline


def sampled() -> Pipeline:
    """Equal rows, drawn several times, with answers that show the seed."""
    from tests.fakes import SeededLLM

    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(name="load", data=[{"instruction": "same"}] * 4)
        three = TextGeneration(name="three", llm=SeededLLM(tag="one"), num_generations=2)
        judge = TextGeneration(
            name="judge",
            llm=SeededLLM(tag="two"),
            input_mappings={"instruction": "generation"},
            output_mappings={"generation": "verdict"},
        )
        echo = TextGeneration(name="echo", llm=TaggedEcho(), output_mappings={"generation": "said"})
        load >> [three, echo]
        three >> judge
        [judge, echo] >> Merge(name="merge")
    return pipeline


@pytest.mark.parametrize("make", [routed, lossy, sampled])
def test_cut_everywhere_the_rows_are_those_of_one_job(make: Any, tmp_path: Path) -> None:
    whole, _, lost = jobs_of(make(), tmp_path / "whole")
    parts, jobs, lost_in_parts = jobs_of(
        make(), tmp_path / "parts", load_groups="sequential_step_execution"
    )
    assert len(jobs) == len(make().step_names)
    assert {s: parts[s]["train"].to_list() for s in parts} == {
        s: whole[s]["train"].to_list() for s in whole
    }
    assert sorted(map(repr, lost_in_parts)) == sorted(map(repr, lost))


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(count=st.integers(1, 4), chain=chains(2, True, min_size=1), data=st.data())
def test_generated_graphs_cut_at_random(
    tmp_path_factory: pytest.TempPathFactory, count: int, chain: list[Op], data: Any
) -> None:
    rows = [{"x": x} for x in range(count)]
    with Pipeline(name="generated") as pipeline:
        build(chain, LoadDataFromDicts(name="load", data=rows), itertools.count())
    groups = data.draw(st.lists(st.sampled_from(pipeline.step_names), unique=True, max_size=4))
    folder = tmp_path_factory.mktemp("generated")
    distiset, _, failures = jobs_of(
        pipeline, folder / "run", load_groups=[[name] for name in groups]
    )
    found = [{k: v for k, v in row.items() if k != "n"} for row in rows_of(distiset)]
    assert found == expected_of(chain, rows)
    assert failures == []


# -- files -----------------------------------------------------------------------------------------


@pytest.fixture
def runner() -> Iterator[Any]:
    yield FnApiRunner()


def test_many_rows_are_read_in_parts(tmp_path: Path, runner: Any) -> None:
    rows = [{"_row_id": f"0-{i}", "x": i, "text": "y" * (i % 7)} for i in range(1000)]
    with beam.Pipeline(runner=runner) as p:
        write_streams({"s": p | beam.Create(rows)}, str(tmp_path))
    # What a failed bundle left isn't looked at.
    (tmp_path / "s" / "left.parquet").write_bytes(b"half")
    files = listed_files(str(tmp_path))
    assert sum(file["rows"] for file in files["s"]) == 1000
    assert len(units(files["s"])) >= 1000 // 128
    name = new_name()
    with beam.Pipeline(runner=runner) as p:
        _ = read_stream(p, "s", files["s"]) | beam.Map(_keep, name)
    assert sorted(journal(name).events, key=lambda row: row["x"]) == rows


def _keep(row: Row, name: str) -> None:
    journal(name).add(row)


def test_a_stream_without_rows(tmp_path: Path, runner: Any) -> None:
    with beam.Pipeline(runner=runner) as p:
        write_streams({"s": p | beam.Create([])}, str(tmp_path))
    assert listed_files(str(tmp_path)) == {}


def test_very_many_groups_are_read_several_at_a_time() -> None:
    files: Any = [
        {"stream": "s", "path": f"f{i}", "rows": 128 * 5_000, "groups": 5_000} for i in range(3)
    ]
    parts = units(files)
    assert len(parts) <= 4_000
    for i in range(3):
        mine = [part for part in parts if part[0] == f"f{i}"]
        assert [n for _, start, stop in mine for n in range(start, stop)] == list(range(5_000))


# -- resources -------------------------------------------------------------------------------------


def hints_of(pipeline: Pipeline) -> dict[str, dict[str, bytes]]:
    """Step to the hints of the transform that runs it, by the last part of their names."""
    p = beam.Pipeline()
    _ = p | pipeline
    found: dict[str, dict[str, bytes]] = {}

    class Visit(beam.pipeline.PipelineVisitor):
        def enter_composite_transform(self, node: Any) -> None:
            hints = {
                urn.split(":")[-2]: value for urn, value in (node.resource_hints or {}).items()
            }
            found.setdefault(node.full_label.split("/")[-1], hints)

    p.visit(Visit())
    return found


def test_steps_that_share_a_model_have_the_same_hints() -> None:
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(name="load", data=[{"instruction": "x"}])
        one = TextGeneration(
            name="one", llm=FakeLLM(), resources=StepResources(memory=100, cpus=2, replicas=3)
        )
        two = TextGeneration(name="two", llm=FakeLLM(), resources=StepResources(gpus=2, memory=50))
        other = TextGeneration(
            name="other", llm=FakeLLM(tag="o"), resources=StepResources(resources={"nvidia-l4": 1})
        )
        load >> one >> two >> other
    hints = hints_of(pipeline)
    expected = {"min_ram_bytes": b"100", "cpu_count": b"2", "accelerator": b"count:2"}
    assert hints["one"] == hints["two"] == expected
    assert hints["other"] == {"accelerator": b"type:nvidia-l4;count:1;install-nvidia-driver:5xx"}
    assert hints["load"] == {}


def test_resources_do_not_hinder_the_local_runner(tmp_path: Path) -> None:
    tag = new_name()
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(name="load", data=[{"instruction": "x"}])
        resources = StepResources(replicas=2, cpus=2, gpus=1, memory=1000, resources={"disk": 1})
        one = TextGeneration(name="one", llm=FakeLLM(tag=tag), resources=resources)
        two = TextGeneration(name="two", llm=FakeLLM(tag=tag), output_mappings={"generation": "g2"})
        load >> one >> Add(name="free", input_mappings={"x": "instruction"}) >> two
    distiset, jobs, _ = jobs_of(pipeline, tmp_path / "run")
    assert jobs is None and rows_of(distiset)[0]["g2"] == "x"
    assert journal(f"{tag}/life").count("load") == 1
