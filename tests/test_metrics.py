"""Beam's metrics, the engine's statistics, and how they are shown."""

from __future__ import annotations

import io
import itertools
import threading
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.metrics import MetricsFilter
from apache_beam.ml.inference.base import KeyedModelHandler
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from rich.console import Console

from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.inference import AFFINITY_WINDOW, ContinuousRunInference, text_of
from beam_distilabel.metrics import NAMESPACE
from beam_distilabel.models.engine import Engine, GenerateRequest
from beam_distilabel.models.statistics import EngineStatistics
from beam_distilabel.pipeline.display import progress_line, progress_table
from beam_distilabel.progress import combined_load, forget, read_progress, step_progress
from beam_distilabel.steps.tasks import TextGeneration
from tests.fakes import (
    PATIENCE_SECONDS,
    FakeLLM,
    SlotEngine,
    SlotLLM,
    journal,
    new_name,
    open_engines,
    options,
    run,
)


@pytest.fixture(autouse=True)
def no_engine_is_left() -> Any:
    before = open_engines()
    yield
    assert open_engines() == before


def metrics_of(result: Any) -> tuple[dict[str, int], dict[str, Any]]:
    """Counters and distributions of our namespace, added up over the Steps."""
    found = result.metrics().query(MetricsFilter().with_namespace(NAMESPACE))
    counters: dict[str, int] = {}
    for counter in found["counters"]:
        name = counter.key.metric.name
        counters[name] = counters.get(name, 0) + counter.committed
    return counters, {d.key.metric.name: d.committed for d in found["distributions"]}


def counted(transform: Any, elements: list[Any]) -> tuple[dict[str, int], dict[str, Any]]:
    pipeline = beam.Pipeline(runner=FnApiRunner())
    _ = pipeline | beam.Create(elements, reshuffle=False) | transform
    result = pipeline.run()
    result.wait_until_finish()
    return metrics_of(result)


def test_metrics_of_a_task() -> None:
    rows = [{"instruction": text} for text in ("abc", "de", "[too long]")]
    counters, distributions = counted(TextGeneration(llm=FakeLLM(tag=new_name())), rows)
    assert counters["requests"] == 3
    assert counters["failures"] == counters["failures_too_long"] == 1
    assert counters["input_tokens"] == counters["output_tokens"] == 5
    assert distributions["latency_ms"].count == 3


def test_metrics_of_prompts() -> None:
    transform = ContinuousRunInference(FakeLLM(tag=new_name()))
    counters, distributions = counted(transform, ["abc", "[too long]"])
    assert counters["requests"] == counters["num_inferences"] == 2
    assert counters["failures_too_long"] == 1
    assert counters["output_tokens"] == 3
    assert distributions["latency_ms"].count == 2


class TellingEngine(SlotEngine):
    """Tells of a load at every request."""

    def __init__(self, tag: str, slots: int) -> None:
        super().__init__(tag, slots)
        self.statistics = EngineStatistics()

    @property
    def throttled_seconds(self) -> float:
        return 2.5 if journal(f"{self.statistics!r}").events else 0.0

    async def generate(self, request: GenerateRequest) -> Any:
        assert self.statistics is not None
        journal(f"{self.statistics!r}").add("asked")
        self.statistics.scheduled(running=3, waiting=2, kv_cache_usage=0.25)
        self.statistics.prefix_queries += 10
        self.statistics.prefix_hits += 4
        self.statistics.first_token(0.125)
        return await super().generate(request)


class TellingLLM(SlotLLM):
    def make_engine(self) -> Engine:
        return TellingEngine(self.tag, self.slots)


def test_metrics_of_an_engine_that_tells_of_itself() -> None:
    rows = [{"instruction": "x"}] * 5
    task = TextGeneration(llm=TellingLLM(tag=new_name(), slots=4))
    counters, distributions = counted(task, rows)
    assert (counters["prefix_queries"], counters["prefix_hits"]) == (50, 20)
    assert counters["cumulativeThrottlingSeconds"] == 2
    assert distributions["first_token_ms"].count == 5
    assert distributions["first_token_ms"].sum == 625
    assert distributions["running_requests"].max == 3
    assert distributions["waiting_requests"].max == 2
    assert distributions["kv_cache_percent"].max == 25


def test_the_mean_is_over_steps_with_work() -> None:
    statistics = EngineStatistics()
    for running in (0, 4, 8, 0):
        statistics.scheduled(running, 0, running / 10)
    assert statistics.mean_running == 6
    assert statistics.peak_kv_cache_usage == 0.8
    assert statistics.running == 0


def test_what_is_new_is_taken_once() -> None:
    statistics = EngineStatistics()
    statistics.prefix_queries, statistics.prefix_hits = 7, 2
    statistics.first_token(1.5)
    assert statistics.take_new() == {"prefix_queries": 7, "prefix_hits": 2}
    assert statistics.take_first_token_seconds() == [1.5]
    statistics.prefix_queries = 9
    assert statistics.take_new() == {"prefix_queries": 2, "prefix_hits": 0}
    assert statistics.take_first_token_seconds() == []
    assert statistics.first_token_seconds == 1.5


def test_loads_of_two_processes_and_copies_of_one(tmp_path: Any) -> None:
    own = EngineStatistics()
    own.scheduled(4, 1, 0.5)
    own.prefix_queries, own.prefix_hits = 100, 25
    for _ in range(2):  # two copies of a DoFn on one engine
        progress = step_progress(str(tmp_path), "ask")
        progress.statistics = own
        progress.answered(0.5)
        progress.failed("parse", "why")
    forget(str(tmp_path))
    other = step_progress(str(tmp_path), "ask")
    other.statistics = EngineStatistics()
    other.statistics.scheduled(6, 2, 0.75)
    other.statistics.prefix_queries = 100
    other.failed("schema", "why")
    forget(str(tmp_path))
    counts = read_progress(str(tmp_path))["ask"]
    assert counts["kinds"] == {"parse": 2, "schema": 1}
    load = combined_load(counts["loads"])
    assert load is not None
    assert (load["running"], load["waiting"], load["kv_cache_usage"]) == (10, 3, 0.75)
    assert load["prefix_hit_rate"] == 0.125
    assert load["mean_first_token_seconds"] is None

    counts["output_tokens"] = 1
    line = progress_line("ask", counts, None)
    assert "0.5 s a request, 10 running, 3 waiting, KV cache 75 %, prefix hits 12 %" in line
    assert "3 failures (parse 2, schema 1)" in line
    console = Console(file=io.StringIO(), width=160)
    console.print(progress_table({"ask": counts}, ["load", "ask"], {}))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    for text in ("running", "75 %", "12 %", "parse 2"):
        assert text in shown


def test_no_load_where_no_engine_tells_anything() -> None:
    assert combined_load({}) is None


# ---------------------------------------------------------------------------------- feeding


SLOW = "." * 2_000


def asked(tag: str) -> list[str]:
    return [event[1] for event in journal(tag).events if event[0] == "answered"]


@pytest.mark.parametrize("window", [AFFINITY_WINDOW, 0])
def test_rows_with_a_common_beginning_are_fed_together(window: int) -> None:
    tag = new_name()
    # An answer takes a turn per character: longer than it takes to feed them all.
    prompts = [f"{'abcd'[n % 4]} long prefix {n:02} {SLOW}" for n in range(16)]
    transform = ContinuousRunInference(
        SlotLLM(tag=tag, slots=1), max_in_flight=1, prefix_affinity=bool(window)
    )
    results = run(prompts, transform)
    order = [result.example for result in results]
    assert sorted(order) == sorted(prompts)
    if not window:
        assert order == prompts
    # In order all but every prompt begins as the one before; as they come, none does.
    changes = sum(one[0] != other[0] for one, other in itertools.pairwise(order))
    assert changes <= 8 if window else changes == 15


def test_prefix_affinity_of_a_task_changes_the_order_alone() -> None:
    rows = [{"instruction": f"{'ab'[n % 2]}{n} {SLOW}"} for n in range(10)]
    llm = SlotLLM(tag=new_name(), slots=1)
    task = TextGeneration(llm=llm, prefix_affinity=True, max_in_flight=1)
    found = run(rows, task)
    assert {row["instruction"]: row["generation"] for row in found} == {
        row["instruction"]: row["instruction"] for row in rows
    }
    assert [row["instruction"] for row in found] != [row["instruction"] for row in rows]


def test_the_text_of_prompts() -> None:
    chat = [
        {"role": "system", "content": "s"},
        {"role": "user", "content": [{"type": "image_url"}]},
        {"role": "user", "content": "u"},
    ]
    assert text_of("raw") == "raw"
    assert text_of(chat) == text_of((chat, {"format": "json"})) == "s\nu"


def test_the_bound_holds_for_all_threads_that_use_an_engine() -> None:
    tag = new_name()
    llm = SlotLLM(tag=tag, slots=4)
    engine = llm.load_model()
    try:
        engine.max_in_flight = 16
        most, threads = 0, 4
        done = threading.Event()

        def watch() -> None:
            nonlocal most
            while not done.is_set():
                most = max(most, engine.in_flight)

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            with beam.Pipeline(runner=FnApiRunner(), options=options(threads)) as pipeline:
                prompts = pipeline | beam.Create(["x" * (n % 9 + 1) for n in range(400)])
                _ = prompts | ContinuousRunInference(llm)
        finally:
            done.set()
            watcher.join(PATIENCE_SECONDS)
        # Each thread may have one more, so that all get on.
        assert 4 < most <= engine.max_in_flight + threads
        assert engine.in_flight == 0
    finally:
        engine.release()


def test_what_orders_rows_does_not_change_them() -> None:
    class Popping(TextGeneration):
        def format_input(self, input: Any) -> Any:
            input["instruction"] = input["parts"].pop(0)
            return super().format_input(input)

    rows = [{"parts": [f"a{n}", f"b{n}"], "instruction": ""} for n in range(4)]
    for affinity in (False, True):
        task = Popping(llm=FakeLLM(tag=new_name()), prefix_affinity=affinity)
        found = run(rows, task)
        assert sorted(row["generation"] for row in found) == ["a0", "a1", "a2", "a3"]


def test_a_prompt_without_text_fails_alone() -> None:
    transform = ContinuousRunInference(FakeLLM(tag=new_name()), prefix_affinity=True)
    results = run([None, "fine"], transform)
    assert len(results) == 2
    assert [r.inference["generations"] for r in results if r.example == "fine"] == [["fine"]]


@pytest.mark.parametrize("wrong", [0, -1])
def test_no_room_at_all_is_refused(wrong: int) -> None:
    with pytest.raises(DistilabelUserError, match=f"max_in_flight is {wrong}"):
        ContinuousRunInference(FakeLLM(tag=new_name()), max_in_flight=wrong)


def test_what_beams_own_takes_and_this_does_not_is_said() -> None:
    llm = FakeLLM(tag=new_name())
    with pytest.raises(DistilabelUserError, match="KeyedModelHandler.*RunInference"):
        ContinuousRunInference(KeyedModelHandler(llm))
    with pytest.raises(DistilabelUserError, match="with_exception_handling"):
        ContinuousRunInference(llm).with_exception_handling()
