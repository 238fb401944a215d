"""ContinuousRunInference: no answer waits for another."""

import asyncio
import threading
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.ml.inference.base import PredictionResult, RunInference
from apache_beam.pvalue import TaggedOutput
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that
from apache_beam.transforms.window import (
    FixedWindows,
    GlobalWindow,
    SlidingWindows,
    TimestampedValue,
)
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from beam_distilabel.errors import DistilabelUserError, EngineError
from beam_distilabel.inference import ContinuousRunInference, _RunRollouts
from beam_distilabel.models.engine import Engine, GenerateRequest, engines
from beam_distilabel.progress import step_progress
from tests.fakes import (
    PATIENCE_SECONDS,
    BrokenLLM,
    FakeLLM,
    GatedLLM,
    SlotEngine,
    SlotLLM,
    SyncFakeLLM,
    journal,
    new_name,
    open_engines,
    run,
)


def texts(results: list[Any]) -> list[Any]:
    return [result.inference["generations"][0] for result in results]


@pytest.fixture(autouse=True)
def no_engine_is_left(request: pytest.FixtureRequest) -> Any:
    before = open_engines()
    yield
    if "[RunInference" in request.node.name or "-RunInference" in request.node.name:
        # Beam's own never says that it is done with a model.
        for fingerprint in open_engines() - before:
            while fingerprint in engines._entries:
                engine = engines._entries[fingerprint].engine
                assert engine is not None
                engine.release()
    assert open_engines() == before


# ---------------------------------------------------------------------------------- in Beam


@pytest.mark.parametrize("transform", [RunInference, ContinuousRunInference])
@pytest.mark.parametrize("llm", [FakeLLM, SyncFakeLLM])
def test_prompts_are_answered(transform: Any, llm: Any) -> None:
    prompts = ["a", "[too long]", [{"role": "user", "content": "b"}]]
    results = run(prompts, transform(llm(tag="plain")))
    assert all(isinstance(result, PredictionResult) for result in results)
    assert [(result.example, result.model_id) for result in results] == [
        (p, "plain") for p in prompts
    ]
    assert texts(results) == ["a", None, "b"]
    assert results[1].inference["failure"] == {
        "kind": "too_long",
        "message": "the prompt has 10 tokens, the model takes 4",
    }


@pytest.mark.parametrize("transform", [RunInference, ContinuousRunInference])
def test_generation_arguments(transform: Any) -> None:
    class Hot(FakeLLM):
        async def agenerate(  # type: ignore[override]
            self, input: Any, num_generations: int = 1, temperature: float = 1.0
        ) -> Any:
            return {"generations": [str(temperature)]}

    llm = Hot(generation_kwargs={"temperature": 0.2})
    assert texts(run(["a"], transform(llm))) == ["0.2"]
    assert texts(run(["a"], transform(llm, inference_args={"temperature": 0.7}))) == ["0.7"]
    with pytest.raises(DistilabelUserError, match="'temprature'. Did you mean 'temperature'"):
        run(["a"], transform(llm, inference_args={"temprature": 1}))


def test_a_long_answer_holds_back_nothing() -> None:
    """It is given only after all others have been seen downstream."""
    tag, seen = new_name(), new_name()

    def see(result: Any) -> None:
        if journal(seen).add(result.example) == 99:
            journal(tag).released.set()

    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        prompts = ["[wait]", *(f"short {n}" for n in range(99))]
        _ = (
            pipeline
            | beam.Create(prompts, reshuffle=False)
            | ContinuousRunInference(GatedLLM(tag=tag), max_in_flight=4)
            | beam.Map(see)
        )
    assert journal(seen).events[-1] == "[wait]"
    assert sorted(journal(seen).events) == sorted(prompts)


def test_no_more_are_in_flight_than_asked_for() -> None:
    tag = new_name()
    prompts = ["x" * (n % 17 + 1) for n in range(200)]
    results = run(prompts, ContinuousRunInference(SlotLLM(tag=tag, slots=64), max_in_flight=5))
    assert len(results) == 200
    assert max(most for most, _, _ in journal(f"{tag}/load").events) == 5


def test_all_slots_are_used() -> None:
    tag = new_name()
    prompts = ["x" * (n % 17 + 1) for n in range(200)]
    run(prompts, ContinuousRunInference(SlotLLM(tag=tag, slots=8)))
    load = journal(f"{tag}/load").events
    assert max(busiest for _, busiest, _ in load) == 8
    assert max(most for most, _, _ in load) > 8


def test_windows_and_timestamps() -> None:
    found = new_name()

    def see(
        result: Any, time: Any = beam.DoFn.TimestampParam, window: Any = beam.DoFn.WindowParam
    ) -> None:
        journal(found).add((result.example, int(time), int(window.start)))

    times = (3, 14, 5, 25, 11)
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        _ = (
            pipeline
            | beam.Create([TimestampedValue(f"t{t}", t) for t in times])
            | beam.WindowInto(FixedWindows(10))
            | ContinuousRunInference(SlotLLM(tag=new_name()))
            | beam.Map(see)
        )
    assert sorted(journal(found).events) == sorted((f"t{t}", t, t // 10 * 10) for t in times)


def test_an_engine_that_cannot_start() -> None:
    """Its own words, though it can't be stopped either."""
    with pytest.raises(Exception, match=r"BrokenLLM.load\(\) failed: RuntimeError: no accelerator"):
        run(["a"], ContinuousRunInference(BrokenLLM(tag=new_name())))


def test_what_a_client_library_cancels_is_not_waited_for_forever() -> None:
    results = run(["a", "[cancel]"], ContinuousRunInference(FakeLLM(tag=new_name())))
    outputs = {result.example: result.inference for result in results}
    assert "failure" not in outputs["a"]
    assert "CancelledError" in outputs["[cancel]"]["failure"]["message"]


# ---------------------------------------------------------------------------------- the DoFn


class Doubles:
    """A rollout that gives two outputs and a side output per element."""

    owner = "a run"
    begins_apart = False
    has_answers = False

    def __init__(self, tag: str) -> None:
        self._tag = tag

    def load(self, handler: Any) -> Engine:
        return handler.load_model()

    def setup(self) -> None:
        self.progress = step_progress(None, "")
        journal(self._tag).add("setup")

    def use(self, engine: Engine) -> None:
        self._engine = engine

    def settle(self) -> None:
        """Nothing is kept."""

    def teardown(self) -> None:
        journal(self._tag).add("teardown")

    def flush(self, end: bool = False) -> None:
        """Nothing is counted."""

    async def run(self, element: Any) -> list[Any]:
        output = await self._engine.generate(GenerateRequest(element))
        text = output["generations"][0]
        return [text, TaggedOutput("side", text), text]


class Harness:
    """Calls a DoFn as a runner does."""

    def __init__(self, llm: Any, rollout: Any = None, limit: int | None = None) -> None:
        self.rollout = rollout or Doubles(new_name())
        self.fn = _RunRollouts(llm, self.rollout, limit)
        self.fn.setup()
        self.engine: Any = self.fn._engine

    def process(self, element: Any) -> list[Any]:
        windowed = WindowedValue(element, Timestamp(0), (GlobalWindow(),))
        return list(self.fn.process(element, windowed))

    def finish(self) -> list[Any]:
        return list(self.fn.finish_bundle())

    def known(self) -> int:
        """How many coroutines the engine's loop has, apart from the one that counts them."""

        async def count() -> int:
            return len(asyncio.all_tasks()) - 1

        return int(self.engine.call(count()))


def values(outputs: list[Any]) -> list[Any]:
    return [
        output.value.value if isinstance(output, TaggedOutput) else output.value
        for output in outputs
    ]


def test_outputs_and_side_outputs() -> None:
    harness = Harness(FakeLLM(tag=new_name()))
    harness.fn.start_bundle()
    outputs = [*harness.process("a"), *harness.finish()]
    assert values(outputs) == ["a", "a", "a"]
    assert [output.tag for output in outputs if isinstance(output, TaggedOutput)] == ["side"]
    harness.fn.teardown()
    assert journal(harness.rollout._tag).events == ["setup", "teardown"]


def test_finish_bundle_drains() -> None:
    tag = new_name()
    harness = Harness(GatedLLM(tag=tag))
    for _ in range(2):
        harness.fn.start_bundle()
        outputs = [out for n in range(20) for out in harness.process(f"[wait] {n}")]
        assert outputs == [] or journal(tag).released.is_set()
        journal(tag).released.set()
        outputs += harness.finish()
        assert len(outputs) == 60
        assert harness.known() == 0
    harness.fn.teardown()


def test_a_failed_bundle_leaves_nothing() -> None:
    """Neither under way, nor in the outputs of the next."""
    tag = new_name()
    harness = Harness(GatedLLM(tag=tag))
    harness.fn.start_bundle()
    with pytest.raises(RuntimeError, match="the engine broke"):
        for n in range(10):
            harness.process(f"[wait] of the first {n}")
        harness.process("[raise]")
        harness.finish()
    harness.fn.start_bundle()
    assert harness.known() == 0
    outputs = [*harness.process("second"), *harness.finish()]
    assert values(outputs) == ["second"] * 3
    journal(tag).released.set()
    harness.fn.teardown()


def test_teardown_in_the_middle_of_a_bundle() -> None:
    """What was handed over last may not have started yet."""
    tag = new_name()
    harness = Harness(GatedLLM(tag=tag))
    harness.fn.start_bundle()
    hold, held = threading.Event(), threading.Event()

    def block() -> None:
        held.set()
        hold.wait(PATIENCE_SECONDS)

    harness.engine.loop.call_soon_threadsafe(block)
    assert held.wait(PATIENCE_SECONDS)
    harness.process("[wait] not started")
    tearing = threading.Thread(target=harness.fn.teardown)
    tearing.start()
    hold.set()
    tearing.join(PATIENCE_SECONDS)
    assert not tearing.is_alive()
    assert ("answered", "[wait] not started") not in journal(tag).events
    journal(tag).released.set()


def test_an_engine_that_dies_ends_the_bundle() -> None:
    class Dies(SlotEngine):
        async def generate(self, request: GenerateRequest) -> Any:
            raise EngineError("dead")

    class DiesLLM(SlotLLM):
        def make_engine(self) -> Engine:
            return Dies(self.tag, 1)

    harness = Harness(DiesLLM(tag=new_name()))
    harness.fn.start_bundle()
    with pytest.raises(EngineError, match="dead"):
        harness.process("a")
        harness.finish()
    harness.fn.teardown()


def test_the_engine_is_used_in_the_name_of_the_rollouts_owner() -> None:
    llm = FakeLLM(tag=new_name())
    harness = Harness(llm)
    assert engines._entries[llm.fingerprint()].uses == {"a run": 1}
    harness.fn.teardown()


def test_overlapping_windows_each_get_their_elements_once() -> None:
    def counted(counts: list[Any]) -> None:
        assert sorted(counts) == [2, 2, 4, 4]

    with beam.Pipeline(runner=FnApiRunner()) as p:
        assert_that(
            p
            | beam.Create(range(6))
            | beam.Map(lambda i: TimestampedValue(f"{i}", i))
            | beam.WindowInto(SlidingWindows(4, 2))
            | ContinuousRunInference(FakeLLM())
            | beam.Map(lambda result: 1)
            | beam.CombineGlobally(sum).without_defaults(),
            counted,
        )


def test_fields_may_have_any_text() -> None:
    pipeline = beam.Pipeline(runner=FnApiRunner())
    llm = FakeLLM(tag="5 € für 名前")
    for label, transform in (("ours", ContinuousRunInference(llm)), ("Beam's", RunInference(llm))):
        _ = pipeline | f"Create {label}" >> beam.Create(["a"]) | label >> transform
    assert b"5 \\u20ac f\\xfcr" in pipeline.to_runner_api().SerializeToString()
