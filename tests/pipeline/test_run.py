"""Running: arguments, parameters, results, failures, handles, and what a run leaves alone."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import datasets
import pandas as pd  # type: ignore[import-untyped]
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from beam_distilabel.distiset import Distiset
from beam_distilabel.errors import (
    DistilabelUserError,
    EngineError,
    PipelineValidationError,
    RunFailedError,
)
from beam_distilabel.models.engine import engines
from beam_distilabel.pipeline import Pipeline
from beam_distilabel.pipeline.report import RunFacts
from beam_distilabel.pipeline.run import Run
from beam_distilabel.runners.direct import DirectSettings
from beam_distilabel.step import Step
from beam_distilabel.steps import KeepColumns, LoadDataFromDicts
from beam_distilabel.steps.tasks import TextGeneration
from beam_distilabel.typing import StepInput, StepOutput
from tests.pipeline import fakes
from tests.pipeline.fakes import Add, CannotLoad, Fails, Gate, Numbers, Refuses, TaggedEcho, Times
from tests.pipeline.running import columns, failures_of, rows_of

ASK = [{"instruction": "one"}, {"instruction": "two"}]


def echo_pipeline(name: str = "echo", **fields: Any) -> Pipeline:
    with Pipeline(name=name) as pipeline:
        load = LoadDataFromDicts(name="load", data=ASK)
        load >> TextGeneration(name="ask", llm=TaggedEcho(), **fields)
    return pipeline


@pytest.fixture(autouse=True)
def no_engine_is_left() -> Iterator[None]:
    before = set(engines._entries)  # those that the session holds open
    yield
    assert set(engines._entries) == before


@pytest.fixture
def gate() -> Iterator[tuple[threading.Event, threading.Event]]:
    """The events of a `Gate` called "gate"."""
    fakes.GATES["gate"] = events = (threading.Event(), threading.Event())
    yield events
    events[1].set()
    del fakes.GATES["gate"]


def gated_pipeline(name: str = "gated") -> Pipeline:
    with Pipeline(name=name) as pipeline:
        numbers = Numbers(name="numbers", count=5)
        numbers >> Gate(name="gate", gate="gate", input_batch_size=1) >> Add(name="add")
    return pipeline


# -- results ---------------------------------------------------------------------------------------


def test_one_leaf_is_default(tmp_path: Path) -> None:
    distiset = echo_pipeline().run(output_dir=tmp_path / "run")
    assert isinstance(distiset, Distiset)
    assert list(distiset) == ["default"]
    assert isinstance(distiset["default"], datasets.DatasetDict)
    assert columns(rows_of(distiset), "instruction", "generation", "model_name") == [
        ("one", "echo: one", "echo"),
        ("two", "echo: two", "echo"),
    ]


def test_several_leaves_are_named(tmp_path: Path) -> None:
    with Pipeline(name="leaves") as pipeline:
        load = LoadDataFromDicts(name="load", data=[{"x": 1}])
        load >> [Add(name="left"), Times(name="right")]
    distiset = pipeline.run(output_dir=tmp_path / "run")
    assert {name: len(subset["train"]) for name, subset in distiset.items()} == {
        "left": 1,
        "right": 3,
    }
    for name, count in (("left", 1), ("right", 3)):
        loaded = datasets.load_dataset(
            str(tmp_path / "run" / "distiset"), name, cache_dir=str(tmp_path / "cache")
        )
        assert len(loaded["train"]) == count


def test_mappings_in_a_pipeline(tmp_path: Path) -> None:
    data = [{"prompt": "p0", "instruction": "kept", "generation": "old"}]
    with Pipeline(name="mappings") as pipeline:
        load = LoadDataFromDicts(name="load", data=data, output_mappings={"generation": "before"})
        ask = TextGeneration(
            name="ask",
            llm=TaggedEcho(),
            input_mappings={"instruction": "prompt"},
            output_mappings={"generation": "answer"},
        )
        again = TextGeneration(
            name="again", llm=TaggedEcho(), input_mappings={"instruction": "answer"}
        )
        load >> ask >> again
    (row,) = rows_of(pipeline.run(output_dir=tmp_path / "run"))
    assert row == {
        "prompt": "p0",
        "instruction": "kept",
        "before": "old",
        "answer": "echo: p0",
        "generation": "echo: echo: p0",
        "model_name": "echo",
    }


# -- runtime parameters ----------------------------------------------------------------------------


def parameters_with(suffix: str) -> dict[str, Any]:
    return {"ask": {"llm": {"generation_kwargs": {"suffix": suffix}}, "num_generations": 2}}


def test_parameters_hold_for_one_run_only(tmp_path: Path) -> None:
    pipeline = echo_pipeline()
    before = pipeline.dump()
    first = pipeline.run(parameters=parameters_with("!"), output_dir=tmp_path / "run")
    second = pipeline.run(parameters=parameters_with("?"), output_dir=tmp_path / "run")
    third = pipeline.run(output_dir=tmp_path / "run")
    assert pipeline.dump() == before
    assert [row["generation"] for row in rows_of(first)] == [
        f"echo: {word}!" for word in ("one", "one", "two", "two")
    ]
    assert rows_of(second)[0]["generation"] == "echo: one?"
    assert [row["generation"] for row in rows_of(third)] == ["echo: one", "echo: two"]


def test_parameters_of_a_user_step_and_of_nested_parts(tmp_path: Path) -> None:
    with Pipeline(name="nested") as pipeline:
        numbers = Numbers(name="numbers")
        numbers >> Add(name="add")
    parameters: dict[str, Any] = {
        "numbers": {"count": 3},
        "add": {"resources": {"replicas": 2}, "input_batch_size": 1},
    }
    rows = rows_of(pipeline.run(parameters=parameters, output_dir=tmp_path / "run"))
    assert columns(rows, "x", "a") == [(0, "0"), (1, "1"), (2, "2")]
    add = pipeline.graph.get("add")
    assert (add.resources.replicas, add.input_batch_size) == (1, 50)
    with pytest.raises(PipelineValidationError, match="'numbers'.*'count'"):
        pipeline.run(output_dir=tmp_path / "run")


def test_runs_at_the_same_time_with_other_parameters(tmp_path: Path) -> None:
    pipeline = echo_pipeline()
    results: dict[str, Any] = {}

    def run(suffix: str) -> None:
        results[suffix] = pipeline.run(
            parameters=parameters_with(suffix), output_dir=tmp_path / f"run-{ord(suffix)}"
        )

    threads = [threading.Thread(target=run, args=(suffix,)) for suffix in "!?"]
    ours, chatty = logging.getLogger("beam_distilabel"), logging.getLogger("apache_beam")
    before = [(log.level, log.propagate, list(log.handlers)) for log in (ours, chatty)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for suffix in "!?":
        assert {row["generation"] for row in rows_of(results[suffix])} == {
            f"echo: one{suffix}",
            f"echo: two{suffix}",
        }
    assert [(log.level, log.propagate, list(log.handlers)) for log in (ours, chatty)] == before


# -- arguments -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "dataset",
    [ASK, datasets.Dataset.from_list(ASK), pd.DataFrame(ASK)],
    ids=["list", "Dataset", "DataFrame"],
)
def test_a_dataset_for_a_pipeline_of_one_task(tmp_path: Path, dataset: Any) -> None:
    with Pipeline(name="one") as pipeline:
        TextGeneration(name="ask", llm=TaggedEcho())
    rows = rows_of(pipeline.run(dataset=dataset, output_dir=tmp_path / "run"))
    assert columns(rows, "instruction", "generation") == [
        ("one", "echo: one"),
        ("two", "echo: two"),
    ]
    assert pipeline.step_names == ["ask"]


def test_a_dataset_reaches_all_roots_and_their_branches_meet(tmp_path: Path) -> None:
    with Pipeline(name="roots") as pipeline:
        a, b, merge = Add(name="a"), Times(name="b", times=2), fakes.Merge()
        [a, b] >> merge
    data = [{"x": 1}, {"x": 1}, {"x": 2}]
    rows = rows_of(pipeline.run(dataset=data, output_dir=tmp_path / "run"))
    assert columns(rows, "x", "a", "k") == [(d["x"], str(d["x"]), k) for d in data for k in (0, 1)]


def test_a_run_inside_of_the_with_block(tmp_path: Path) -> None:
    with Pipeline(name="inside", cache_dir=tmp_path) as pipeline:
        Add(name="add")
        assert rows_of(pipeline.run(dataset=[{"x": 1}])) == [{"x": 1, "a": "1"}]
        assert rows_of(pipeline.dry_run(dataset=[{"x": 2}])) == [{"x": 2, "a": "2"}]
        assert ([{"x": 3}] | pipeline)["default"][0]["a"] == "3"
    assert pipeline.step_names == ["add"]


def test_the_storage_arguments_warn_once(tmp_path: Path) -> None:
    pipeline = echo_pipeline()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pipeline.run(
            storage_parameters={"path": "gs://bucket"},
            use_fs_to_pass_data=True,
            output_dir=tmp_path / "run",
        )
    ours = [w for w in caught if "storage_parameters" in str(w.message)]
    assert len(ours) == 1
    assert ours[0].filename == __file__  # it points at the user's line


def test_ray_names_what_takes_its_place() -> None:
    with pytest.raises(DistilabelUserError, match="Flink"):
        echo_pipeline().ray()


@pytest.mark.parametrize("runner", ["direct", "DirectRunner", "FnApiRunner", None, FnApiRunner()])
def test_runners(tmp_path: Path, runner: Any) -> None:
    with Pipeline(name="runners") as pipeline:
        Numbers(name="numbers", count=1)
    distiset = pipeline.run(runner=runner, output_dir=tmp_path / "run")
    assert rows_of(distiset) == [{"x": 0}]


def test_a_runner_that_does_not_exist_and_unknown_options(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    with pytest.raises(ValueError, match="FlinkRuner.*FlinkRunner"):
        echo_pipeline().run(runner="FlinkRuner", output_dir=run_dir)
    with pytest.raises(ValueError, match="paralelism"):
        echo_pipeline().run(options={"paralelism": 2}, output_dir=run_dir)
    with pytest.raises(ValueError, match="'temp_locatio'.*'temp_location'"):
        echo_pipeline().run(options=["--temp_locatio=/x"], output_dir=run_dir)
    assert not run_dir.exists()


def test_several_worker_threads(tmp_path: Path) -> None:
    with Pipeline(name="threads") as pipeline:
        numbers = Numbers(name="numbers", count=40)
        numbers >> [Add(name="a"), Times(name="b", times=2)] >> fakes.Merge()
    distiset = pipeline.run(options={"parallelism": 3}, output_dir=tmp_path / "run")
    expected = [(x, str(x), k) for x in range(40) for k in range(2)]
    assert columns(rows_of(distiset), "x", "a", "k") == expected


# -- failures --------------------------------------------------------------------------------------


def failing(on_failure: Any) -> Pipeline:
    with Pipeline(name="failing") as pipeline:
        numbers = Numbers(name="numbers", count=4)
        numbers >> Fails(name="check", values=[2], on_failure=on_failure)
    return pipeline


def test_user_code_that_raises_costs_its_row(tmp_path: Path) -> None:
    distiset = failing("null").run(output_dir=tmp_path / "run")
    rows = distiset["default"]["train"].to_list()
    assert columns(rows, "x", "checked") == [(0, True), (1, True), (2, None), (3, True)]
    reason = rows[2]["distilabel_metadata"]["failure_check"]
    assert reason["kind"] == "user_code" and "no 2 please" in reason["message"]
    (failure,) = failures_of(tmp_path / "run")
    assert (failure["step"], failure["row"]["x"]) == ("check", 2)
    distiset = failing("drop").run(output_dir=tmp_path / "run")
    assert columns(rows_of(distiset), "x") == [(0,), (1,), (3,)]
    assert len(failures_of(tmp_path / "run")) == 1


def test_user_code_that_raises_may_end_the_run(tmp_path: Path) -> None:
    with pytest.raises(RunFailedError) as caught:
        failing("raise").run(output_dir=tmp_path / "run")
    message = str(caught.value)
    assert "'failing' failed" in message
    assert "Step 'check' (Fails)" in message and "no 2 please" in message
    assert "on_failure='null'" in message
    assert str(tmp_path / "run" / "pipeline.log") in message
    assert caught.value.__cause__ is not None
    assert "no 2 please" in (tmp_path / "run" / "pipeline.log").read_text()


def test_a_global_step_that_raises_ends_the_run(tmp_path: Path) -> None:
    class Boom(fakes.Reverse):
        def process(self, inputs: StepInput) -> StepOutput:  # type: ignore[override]
            raise KeyError("nowhere")
            yield

    with Pipeline(name="p") as pipeline:
        Numbers(name="numbers", count=3) >> Boom(name="boom")
    with pytest.raises(RunFailedError, match="Step 'boom' .Boom. failed on all of its 3 rows.*now"):
        pipeline.run(output_dir=tmp_path / "run")


def test_a_generator_that_raises_names_its_step(tmp_path: Path) -> None:
    class Boom(Numbers):
        def process(self, offset: int = 0) -> Any:
            yield [{"x": 1}], False
            raise OSError("the disk is on fire")

    with Pipeline(name="p") as pipeline:
        Boom(name="source", count=1) >> Add(name="add")
    with pytest.raises(RunFailedError, match="'source'.*the disk is on fire"):
        pipeline.run(output_dir=tmp_path / "run")


def test_a_step_whose_load_raises_names_its_step(tmp_path: Path) -> None:
    class Boom(Add):
        def load(self) -> None:
            raise OSError("no such device")

    with Pipeline(name="p") as pipeline:
        Numbers(name="numbers", count=1) >> Boom(name="boom")
    with pytest.raises(RunFailedError, match="'boom'.*no such device"):
        pipeline.run(output_dir=tmp_path / "run")


def test_an_llm_that_cannot_be_loaded(tmp_path: Path) -> None:
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(name="load", data=ASK)
        load >> TextGeneration(name="ask", llm=CannotLoad())
    with pytest.raises((RunFailedError, EngineError)) as caught:
        pipeline.run(output_dir=tmp_path / "run")
    message = str(caught.value)
    assert "CannotLoad.load() failed: ConnectionError: no accelerator is free" in message


def test_an_llm_that_refuses_a_prompt_costs_its_row(tmp_path: Path) -> None:
    data = [{"instruction": "good"}, {"instruction": "bad"}, {"instruction": "better"}]
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(name="load", data=data)
        load >> TextGeneration(name="ask", llm=Refuses())
    rows = rows_of(pipeline.run(output_dir=tmp_path / "run"))
    assert columns(rows, "generation") == [("fine",), (None,), ("fine",)]
    (failure,) = failures_of(tmp_path / "run")
    assert failure["kind"] == "engine" and "that is a bad prompt" in failure["message"]


# -- handles ---------------------------------------------------------------------------------------


def test_a_handle(tmp_path: Path, gate: tuple[threading.Event, threading.Event]) -> None:
    arrived, go_on = gate
    handle = gated_pipeline().submit(output_dir=tmp_path / "run")
    assert arrived.wait(60)
    assert handle.state == "running"
    assert handle.wait(0.01) == "running"
    assert handle.report == {}
    assert handle.run_dir == str(tmp_path / "run")
    with pytest.raises(DistilabelUserError, match="under way"):
        gated_pipeline().run(output_dir=tmp_path / "run")
    go_on.set()
    assert handle.wait(60) == "done"
    assert columns(rows_of(handle.distiset()), "x") == [(x,) for x in range(5)]
    assert handle.report["subsets"] == {"default": {"rows": 5}}
    progress = handle.progress()
    assert {name: own["rows_out"] for name, own in progress.items()} == {
        "numbers": 5,
        "gate": 5,
        "add": 5,
    }
    handle.cancel()
    assert handle.state == "done"  # it is too late


def test_what_a_handle_tells_meanwhile(
    tmp_path: Path, gate: tuple[threading.Event, threading.Event]
) -> None:
    arrived, go_on = gate
    handle = gated_pipeline().submit(output_dir=tmp_path / "run")
    assert arrived.wait(60)
    assert repr(handle) == f"<RunHandle of 'gated': running, {str(tmp_path / 'run')!r}>"
    assert handle.job_state is None  # the in-memory runner tells it at the end
    assert handle.counters() == {}
    go_on.set()
    assert handle.wait(60) == "done"
    assert handle.job_state is None
    lines = handle.progress_lines()
    assert [line.partition(",")[0] for line in lines] == [
        "numbers: 5 rows",
        "gate: 5 rows",
        "add: 5 rows",
    ]


def test_metrics_of_a_handle(tmp_path: Path) -> None:
    handle = echo_pipeline().submit(output_dir=tmp_path / "run")
    assert handle.wait(60) == "done"
    told = handle.metrics()
    assert set(told) == {"load", "ask"}
    ask = told["ask"]
    assert (ask["rows_in"], ask["rows_out"], ask["requests"], ask["failures"]) == (2, 2, 2, 0)
    assert (ask["input_tokens"], ask["output_tokens"]) == (6, 4)
    assert ask["rows_per_second"] > 0 and ask["output_tokens_per_second"] > 0
    assert ask["mean_latency_seconds"] >= 0
    counters = handle.counters()["ask"]
    assert (counters["requests"], counters["output_tokens"]) == (2, 4)


def test_models_are_told_where_the_runner_wants_them(tmp_path: Path) -> None:
    class Together(DirectSettings):
        @property
        def default_engine(self) -> str:
            return "server"

    class Tells(TaggedEcho):
        def use_default_engine(self, engine: str) -> None:
            self.tag = engine

    def answers(runner: Any) -> list[str]:
        with Pipeline(name="places") as pipeline:
            load = LoadDataFromDicts(name="load", data=[{"instruction": "hi"}])
            load >> TextGeneration(name="ask", llm=llm)
        distiset = pipeline.run(output_dir=tmp_path / "run", runner=runner)
        return list(distiset["default"]["train"]["generation"])

    llm = Tells(tag="nowhere")
    assert answers(Together()) == ["server: hi"]
    assert answers(None) == ["embedded: hi"]
    assert llm.tag == "nowhere"  # the run has copies


def test_a_run_is_cancelled(tmp_path: Path, gate: tuple[threading.Event, threading.Event]) -> None:
    arrived, go_on = gate
    handle = gated_pipeline().submit(output_dir=tmp_path / "run")
    assert arrived.wait(60)
    handle.cancel()
    assert handle.state == "cancelled"
    go_on.set()
    assert handle.wait(60) == "cancelled"
    with pytest.raises(RunFailedError, match="'gated' cancelled"):
        handle.distiset()
    assert not (tmp_path / "run" / "distiset" / "default").exists()
    # The directory can be used again.
    again = gated_pipeline().run(output_dir=tmp_path / "run")
    assert len(again["default"]["train"]) == 5


def test_a_cancel_that_comes_too_late_harms_no_later_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = Run._finish

    def cancelled_meanwhile(run: Run, facts: RunFacts) -> dict[str, Any]:
        run.control.cancel()
        return finish(run, facts)

    with Pipeline(name="late") as pipeline:
        Numbers(name="numbers", count=3) >> Add(name="add")
    monkeypatch.setattr(Run, "_finish", cancelled_meanwhile)
    handle = pipeline.submit(output_dir=tmp_path / "run")
    assert handle.wait(60) == "done"
    assert len(handle.distiset()["default"]["train"]) == 3
    monkeypatch.undo()
    assert len(pipeline.run(output_dir=tmp_path / "run")["default"]["train"]) == 3


# -- where it is called from, and what it leaves ---------------------------------------------------


def test_a_run_in_a_running_event_loop(tmp_path: Path) -> None:
    async def main() -> Any:
        return echo_pipeline().run(output_dir=tmp_path / "run")

    assert len(asyncio.run(main())["default"]["train"]) == 2


def test_a_run_in_a_cell_of_a_notebook(tmp_path: Path) -> None:
    """IPython runs a cell in a callback of a loop that goes on, in a thread like this."""
    results: list[Any] = []

    def kernel() -> None:
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)

        def cell() -> None:
            assert asyncio.get_running_loop() is loop
            results.append(echo_pipeline().run(output_dir=tmp_path / "run"))
            loop.stop()

        loop.call_soon(cell)
        loop.run_forever()
        loop.close()

    thread = threading.Thread(target=kernel)
    thread.start()
    thread.join()
    assert len(results[0]["default"]["train"]) == 2


class RaiseAtOnce(Step):
    def process(self, inputs: StepInput) -> StepOutput:  # type: ignore[override]
        raise ValueError("no")
        yield


def process_state() -> dict[str, Any]:
    names = ["", "beam_distilabel", "apache_beam", "datasets", "httpx", "distilabel"]
    loggers = [logging.getLogger(name) for name in names]
    return {
        "loggers": [
            (log.name, log.level, log.propagate, list(log.handlers), log.disabled)
            for log in loggers
        ],
        "signals": {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)},
        "environment": dict(os.environ),
        "cwd": os.getcwd(),
        "warnings": list(warnings.filters),
        "threads": {t.name for t in threading.enumerate() if t.name == "pipeline-run"},
    }


def test_a_run_leaves_the_process_as_it_was(tmp_path: Path) -> None:
    with Pipeline(name="fails") as fails:
        Numbers(name="numbers", count=1) >> RaiseAtOnce(name="boom", on_failure="raise")
    before = process_state()
    echo_pipeline().run(output_dir=tmp_path / "run")
    assert process_state() == before
    with pytest.raises(RunFailedError):
        fails.run(output_dir=tmp_path / "fails")
    assert process_state() == before


# -- dry runs --------------------------------------------------------------------------------------


def test_dry_run(tmp_path: Path) -> None:
    with Pipeline(name="dry", cache_dir=tmp_path) as pipeline:
        load = LoadDataFromDicts(
            name="load", data=[{"y": x} for x in range(9)], output_mappings={"y": "x"}
        )
        load >> Add(name="add") >> KeepColumns(name="keep", columns=["a"])
    assert rows_of(pipeline.dry_run()) == [{"a": "0"}]
    assert rows_of(pipeline.dry_run(batch_size=3)) == [{"a": str(x)} for x in range(3)]
    assert len(rows_of(pipeline.run())) == 9
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dry", "dry.dry_run"]


def test_dry_run_of_a_user_generator_with_parameters(tmp_path: Path) -> None:
    with Pipeline(name="dry", cache_dir=tmp_path) as pipeline:
        Numbers(name="numbers") >> Add(name="add")
    rows = rows_of(pipeline.dry_run(parameters={"numbers": {"count": 5}}))
    assert rows == [{"x": 0, "a": "0"}]


# -- data ------------------------------------------------------------------------------------------


def test_rows_above_a_megabyte_are_staged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The job graph stays small whatever the script holds in memory."""
    sizes = []
    run = beam.Pipeline.run

    def measured(self: beam.Pipeline, *args: Any, **kwargs: Any) -> Any:
        sizes.append(self.to_runner_api().ByteSize())
        return run(self, *args, **kwargs)

    monkeypatch.setattr(beam.Pipeline, "run", measured)
    data = [{"x": x, "text": "y" * 1000} for x in range(3000)]
    with Pipeline(name="large") as pipeline:
        LoadDataFromDicts(name="load", data=data) >> Add(name="add")
    distiset = pipeline.run(output_dir=tmp_path / "load")
    assert [row["x"] for row in rows_of(distiset)] == list(range(3000))
    assert list((tmp_path / "load" / "staged" / "load").glob("*.parquet"))
    with Pipeline(name="large") as pipeline:
        Add(name="add")
    distiset = pipeline.run(dataset=datasets.Dataset.from_list(data), output_dir=tmp_path / "given")
    assert [row["x"] for row in rows_of(distiset)] == list(range(3000))
    assert len(sizes) == 2
    assert max(sizes) < 400_000


def test_the_runs_pipeline_file_has_its_parameters(tmp_path: Path) -> None:
    with Pipeline(name="recorded") as pipeline:
        load = LoadDataFromDicts(name="load", data=[{"a": 1}])
        keep = KeepColumns(name="keep", columns=["a"])
        _ = load >> keep
    pipeline.run({"load": {"batch_size": 7}}, output_dir=tmp_path / "run")
    again = Pipeline.from_yaml(tmp_path / "run" / "pipeline.yaml")
    assert again.graph.get("load").batch_size == 7
    assert pipeline.graph.get("load").batch_size == 50
