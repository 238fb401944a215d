"""Steps as pydantic models and as PTransforms."""

import copy
import os
import pickle
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from pydantic import Field, PrivateAttr, ValidationError

from beam_distilabel.context import RunContext
from beam_distilabel.errors import (
    DistilabelNotImplementedError,
    DistilabelTypeError,
    DistilabelUserError,
)
from beam_distilabel.models import OpenAILLM
from beam_distilabel.pipeline import Pipeline
from beam_distilabel.processing import checked
from beam_distilabel.row import ROW_ID
from beam_distilabel.runtime_parameters import RuntimeParameter
from beam_distilabel.step import (
    GeneratorStep,
    GlobalStep,
    RowStep,
    Step,
    StepResources,
    default_name,
)
from beam_distilabel.steps import LoadDataFromDicts
from beam_distilabel.steps.tasks import TextGeneration
from beam_distilabel.typing import GeneratorStepOutput, StepInput, StepOutput
from tests.fakes import journal, new_name, options, plain, run


class Length(Step):
    """Adds the length of the text."""

    extra: RuntimeParameter[int] = Field(default=0)

    _lock: Any = PrivateAttr(None)
    _by_name: dict[str, Any] = PrivateAttr(default_factory=dict)

    def load(self) -> None:
        super().load()
        self._lock = threading.Lock()
        self._by_name["lock"] = threading.Lock()

    @property
    def inputs(self) -> list[str]:
        return ["text"]

    @property
    def outputs(self) -> list[str]:
        return ["length"]

    def process(self, inputs: StepInput) -> StepOutput:  # type: ignore[override]
        with self._lock, self._by_name["lock"]:
            yield [{**row, "length": len(row["text"]) + (self.extra or 0)} for row in inputs]


class OwnEnd(RowStep):
    def transform_row(self, row: dict[str, Any]) -> dict[str, Any]:
        return {**row, "end": row["text"][-1:]}


class Loads:
    """Not a model: what a user mixes in."""

    def load(self) -> None:
        self._client = threading.Lock()


class Mixed(Loads, Step):
    _client: Any = PrivateAttr(None)

    def process(self, inputs: StepInput) -> StepOutput:  # type: ignore[override]
        assert self._client is not None
        yield inputs


def lengths(rows: list[dict[str, Any]]) -> list[int]:
    return [row["length"] for row in rows]


TEXTS = [{"text": "a"}, {"text": "bb"}]


# ---------------------------------------------------------------------------------- in Beam


def test_rows_piped_into_a_step() -> None:
    assert lengths([{"text": "a"}, {"text": "bb"}] | Length()) == [1, 2]


def test_a_step_in_two_pipelines_of_beam() -> None:
    step = Length(name="length")
    assert lengths(run(TEXTS, step)) == lengths(run(TEXTS, step)) == [1, 2]


def test_a_step_twice_in_one_pipeline_of_beam() -> None:
    step = Length(name="length")
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        rows = pipeline | beam.Create(TEXTS)
        for _ in range(3):
            rows = rows | step
        labels = {full.split("/")[0] for full in pipeline.applied_labels}
    assert {"length", "length_1", "length_2"} <= labels


def test_a_step_twice_with_failures() -> None:
    step = Length(name="length")
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        rows = pipeline | beam.Create(TEXTS)
        once = rows | step.with_failures()
        again = once["rows"] | step.with_failures()
        assert set(again) == {"rows", "failures"}
        _ = again["rows"] | step
        labels = {full.split("/")[0] for full in pipeline.applied_labels}
    assert {"length", "length_1", "length_2"} <= labels


def test_a_label_of_ones_own() -> None:
    step = Length(name="length")
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        _ = pipeline | beam.Create(TEXTS) | "Measure" >> step
        assert any(full.startswith("Measure") for full in pipeline.applied_labels)
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        _ = pipeline | beam.Create(TEXTS) | step
        # The label belonged to that application alone.
        assert not any(full.startswith("Measure") for full in pipeline.applied_labels)


def test_copies_and_pickles_are_whole() -> None:
    step = Length(name="length", extra=3, input_mappings={"text": "prompt"})
    for twin in (
        copy.copy(step),
        copy.deepcopy(step),
        step.copied(),
        pickle.loads(pickle.dumps(step)),
    ):
        assert (twin.name, twin.extra, twin.input_mappings) == ("length", 3, {"text": "prompt"})
        assert twin != step
        assert lengths(run([{"prompt": "abc"}], twin)) == [6]


def test_what_load_made_is_never_pickled() -> None:
    step = Length(name="length")
    step.load()
    assert step._lock is not None
    twin = pickle.loads(pickle.dumps(step))
    assert twin._lock is None
    assert twin._by_name == {}
    assert step._lock is not None
    assert lengths(run(TEXTS, step)) == [1, 2]
    assert lengths(next(step.process(TEXTS))) == [1, 2]


def test_what_a_mixed_in_load_made_is_never_pickled() -> None:
    step = Mixed(name="mixed")
    step.load()
    assert pickle.loads(pickle.dumps(step))._client is None
    assert len(run(TEXTS, step)) == 2


def test_an_applied_step_can_be_pickled() -> None:
    step = Length(name="length")
    pipeline = beam.Pipeline(runner=FnApiRunner())
    _ = pipeline | beam.Create(TEXTS) | "Measure" >> step
    assert pickle.loads(pickle.dumps(step)).default_label() == "length"


def test_classes_of_a_script(tmp_path: Path) -> None:
    """Classes in `__main__` reach the workers, and so does what is loaded there."""
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            """
            import threading
            import apache_beam as beam
            from apache_beam.runners.portability.fn_api_runner import FnApiRunner
            from pydantic import PrivateAttr
            from beam_distilabel.models.llms import AsyncLLM
            from beam_distilabel.steps import Step, StepInput, step
            from beam_distilabel.steps.tasks import Task

            class Shout(AsyncLLM):
                @property
                def model_name(self):
                    return "shout"

                async def agenerate(self, input, num_generations=1):
                    return {"generations": [input[-1]["content"].upper()] * num_generations}

            class Ask(Task):
                @property
                def inputs(self):
                    return ["text"]

                @property
                def outputs(self):
                    return ["answer", "model_name"]

                def format_input(self, input):
                    return [{"role": "user", "content": input["text"]}]

                def format_output(self, output, input=None):
                    return {"answer": output}

            class Locked(Step):
                _lock: threading.Lock = PrivateAttr(None)
                def load(self):
                    super().load()
                    self._lock = threading.Lock()

                def process(self, inputs: StepInput):
                    with self._lock:
                        yield [{**row, "locked": True} for row in inputs]

            @step(inputs=["text"], outputs=["n"])
            def Count(inputs: StepInput):
                yield [{**row, "n": len(row["text"])} for row in inputs]

            if __name__ == "__main__":
                locked, ask = Locked(), Ask(llm=Shout())
                locked.load()
                ask.load()
                with beam.Pipeline(runner=FnApiRunner()) as p:
                    rows = p | beam.Create([{"text": "hey"}])
                    rows | locked | ask | Count() | beam.Map(
                        lambda row: print(row["answer"], row["locked"], row["n"], row["model_name"])
                    )
            """
        )
    )
    done = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).resolve().parents[1],
        env={**os.environ, "PYTHONPATH": "."},
        timeout=120,
    )
    assert done.stdout.split("\n")[-2:] == ["HEY True 3 shout", ""], done.stderr


# ---------------------------------------------------------------------------------- the model


@pytest.mark.parametrize(
    "name", ["label", "pipeline", "annotations", "side_inputs", "display_data"]
)
def test_fields_that_beam_would_take_are_refused(name: str) -> None:
    with pytest.raises(DistilabelTypeError, match=f"field '{name}'.*call the field something else"):
        type("Clash", (Step,), {"__annotations__": {name: str}, name: "x", "__module__": __name__})


def test_names() -> None:
    assert default_name(Length) == "length"
    assert Length().name == "length_0"
    with Pipeline("names"):
        assert [Length().name, Length().name, Length(name="x").name] == [
            "length_0",
            "length_1",
            "x",
        ]
    for name in ("with space", "a/b", "", "é", "a.b"):
        with pytest.raises(ValidationError, match="letters, digits"):
            Length(name=name)


def test_unknown_and_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValidationError, match="lenght"):
        Length(lenght=1)  # type: ignore[call-arg]
    with pytest.raises(ValidationError, match="on_failure"):
        Length(on_failure="ignore")  # type: ignore[arg-type]
    step = Length()
    with pytest.raises(ValidationError, match="extra"):
        step.extra = "many"  # type: ignore[assignment]
    with pytest.raises(ValidationError, match="input_batch_size"):
        Length(input_batch_size=0)


def wrong(cls: Any, **fields: Any) -> Any:
    """A Step, unless its constructor refuses what mypy would refuse, too."""
    return cls(name="s", **fields)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: wrong(Length, use_cash=1), ["Step 's' (Length)", "use_cash", "'use_cache'?"]),
        (
            lambda: wrong(Length, input_batch_size=0),
            ["Step 's' (Length)", "than 0", "=0"],
        ),
        (lambda: wrong(Length, use_cache="maybe"), ["use_cache", "boolean", "'maybe'"]),
        (lambda: wrong(Length, resources={"gpu": 1}), ["StepResources", "mean 'gpus'?"]),
        (lambda: wrong(TextGeneration), ["Step 's' (TextGeneration)", "(llm=..., ...)"]),
        (
            lambda: LoadDataFromDicts(**{"data": [1]}),
            ["for LoadDataFromDicts", "data.0", "dictionary"],
        ),
        (
            lambda: OpenAILLM(model="m", **{"generation_kwarg": 3}),
            ["OpenAILLM", "generation_kwargs'?"],
        ),
    ],
)
def test_a_constructor_names_the_step_the_field_and_the_remedy(
    make: Callable[[], Any], says: list[str]
) -> None:
    with pytest.raises(ValidationError) as caught:
        make()
    for text in says:
        assert text in str(caught.value), str(caught.value)
    assert "pydantic.dev" not in str(caught.value)


def test_a_constructor_tells_no_secrets() -> None:
    for fields in (
        {"apikey": "sk-of-someone"},
        {"api_key": ["sk-of-someone"]},
        {"generation_kwarg": {"key": "sk-of-someone"}},
        {"use_offline_batch_generation": "sk-of-someone"},
    ):
        with pytest.raises(ValidationError) as caught:
            OpenAILLM(model="m", **fields)  # type: ignore[arg-type]
        assert next(iter(fields)) in str(caught.value)
        assert "of-someone" not in str(caught.value) + repr(caught.value.errors())


def test_a_generator_may_take_its_offset_by_keyword_only() -> None:
    class Counts(GeneratorStep):
        def process(self, *, offset: int = 0) -> GeneratorStepOutput:
            yield [{"n": n} for n in range(offset, 3)], True

    assert list(Counts().process_applying_mappings(1)) == [([{"n": 1}, {"n": 2}], True)]


def test_steps_are_equal_to_themselves_only() -> None:
    one, other = Length(name="a"), Length(name="a")
    assert one == one
    assert one != other
    assert len({one, other, one}) == 2


def test_resources_have_runtime_parameters() -> None:
    step = Length(resources=StepResources(replicas=2))
    step.set_runtime_parameters({"resources": {"cpus": 3}, "extra": 5})
    assert (step.resources.replicas, step.resources.cpus, step.extra) == (2, 3, 5)


def test_connecting_without_a_pipeline() -> None:
    with pytest.raises(DistilabelTypeError, match="with Pipeline"):
        _ = Length() >> Length()


def test_undefined_process() -> None:
    with pytest.raises(DistilabelNotImplementedError, match="Step has to define `process"):
        list(Step().process([]))
    with pytest.raises(DistilabelNotImplementedError, match="process\\(self, offset"):
        list(GeneratorStep().process())
    with pytest.raises(DistilabelNotImplementedError, match="transform_row"):
        list(RowStep().process([{}]))


def test_kinds() -> None:
    assert (Length().is_normal, GlobalStep().is_normal, GeneratorStep().is_normal) == (
        True,
        False,
        False,
    )
    assert not Length().has_multiple_inputs()


def test_impute_step_outputs() -> None:
    step = Length(output_mappings={"length": "n"})
    assert step.impute_step_outputs([{"text": "a"}]) == [{"text": "a", "n": None}]


def test_columns_after_mappings() -> None:
    step = Length(input_mappings={"text": "prompt"}, output_mappings={"length": "n"})
    assert step.get_inputs() == {"prompt": True}
    assert step.get_outputs() == {"n": True}


# ---------------------------------------------------------------------------------- mappings


class Rewrite(Step):
    """Reads `a` and `b`, changes `a`, makes `c`; `times` rows of each."""

    times: int = 1

    @property
    def inputs(self) -> list[str]:
        return ["a", "b"]

    @property
    def outputs(self) -> list[str]:
        return ["a", "c"]

    def process(self, inputs: StepInput) -> StepOutput:  # type: ignore[override]
        yield [
            {**row, "a": f"new {row['a']}", "c": f"{row['a']}{row['b']}{k}"}
            for row in inputs
            for k in range(self.times)
        ]


ROW = {"a": 1, "b": 2, "c": 3, "x": 4, "y": 5}
MAPPINGS: list[tuple[dict[str, str], dict[str, str], dict[str, Any]]] = [
    ({}, {}, {"a": "new 1", "b": 2, "c": "120", "x": 4, "y": 5}),
    # `a` makes way for `x` and comes back.
    ({"a": "x"}, {}, {"a": 1, "b": 2, "c": "420", "x": "new 4", "y": 5}),
    ({"a": "x", "b": "y"}, {"c": "d"}, {"a": 1, "b": 2, "c": 3, "d": "450", "x": "new 4", "y": 5}),
    # Two columns change places.
    ({"a": "b", "b": "a"}, {}, {"a": 1, "b": "new 2", "c": "210", "x": 4, "y": 5}),
    # What the Step makes goes elsewhere: the columns of that name stay as they were.
    ({}, {"a": "A", "c": "C"}, {"a": 1, "A": "new 1", "b": 2, "c": 3, "C": "120", "x": 4, "y": 5}),
    ({"a": "x"}, {"a": "A"}, {"a": 1, "A": "new 4", "b": 2, "c": "420", "x": 4, "y": 5}),
    ({"b": "missing"}, {}, {"a": "new 1", "b": 2, "c": "120", "x": 4, "y": 5}),
]


@pytest.mark.parametrize(("inputs", "outputs", "expected"), MAPPINGS)
@pytest.mark.parametrize("times", [1, 3])
def test_mappings(
    inputs: dict[str, str], outputs: dict[str, str], expected: dict[str, Any], times: int
) -> None:
    step = Rewrite(input_mappings=inputs, output_mappings=outputs, times=times)
    rows = [{**ROW, "n": n} for n in range(3)]

    def without_count(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
        made = outputs.get("c", "c")
        return [{**row, made: row[made][:-1] + "0"} for row in found]

    wanted = [{**expected, "n": n} for n in range(3) for _ in range(times)]
    assert without_count(plain(run(rows, step))) == wanted
    assert without_count([r for out in step.process_applying_mappings(rows) for r in out]) == wanted
    assert rows == [{**ROW, "n": n} for n in range(3)]


class LastHalf(Step):
    """Drops rows, and keeps no id."""

    @property
    def inputs(self) -> list[str]:
        return ["a"]

    def process(self, inputs: StepInput) -> StepOutput:  # type: ignore[override]
        yield inputs[len(inputs) // 2 :]


def test_displaced_columns_come_back_to_the_rows_that_are_left() -> None:
    step = LastHalf(input_mappings={"a": "x"})
    rows = [{"a": n, "x": 10 * n} for n in range(4)]
    assert plain(run(rows, step)) == rows[2:]
    assert list(step.process_applying_mappings(rows)) == [rows[2:]]


def test_mappings_outside_of_a_pipeline_leave_no_ids() -> None:
    step = Rewrite(input_mappings={"a": "x"})
    assert ROW_ID not in next(step.process_applying_mappings([dict(ROW)]))[0]
    named = {**ROW, ROW_ID: "0-4"}
    assert next(step.process_applying_mappings([named]))[0][ROW_ID] == "0-4"
    assert list(step.process_applying_mappings([])) == [[]]


# ---------------------------------------------------------------------------------- generators


class Numbers(GeneratorStep):
    """Counts, and makes each number twice."""

    count: int = 7

    @property
    def outputs(self) -> list[str]:
        return ["number"]

    def process(self, offset: int = 0) -> GeneratorStepOutput:
        numbers = [n // 2 for n in range(self.count * 2)][offset:]
        size = self.batch_size or 1
        for start in range(0, len(numbers), size):
            last = start + size >= len(numbers)
            yield [{"number": n} for n in numbers[start : start + size]], last


class Endless(GeneratorStep):
    def process(self, offset: int = 0) -> GeneratorStepOutput:
        while True:
            yield [{"n": offset}], offset == 4
            offset += 1


def test_a_generator_in_a_plain_pipeline_of_beam() -> None:
    found = new_name()
    with beam.Pipeline(runner=FnApiRunner(), options=options(1)) as pipeline:
        rows = pipeline | Numbers(batch_size=4, output_mappings={"number": "n"})
        _ = rows | beam.Map(lambda row, name: journal(name).add(row), found)
    rows = journal(found).events
    assert sorted((row["n"], row[ROW_ID], row.get("_draw", 0)) for row in rows) == sorted(
        (n // 2, f"0-{n}", n % 2) for n in range(14)
    )


def test_a_generator_stops_at_its_last_batch() -> None:
    found = new_name()
    with beam.Pipeline(runner=FnApiRunner(), options=options(1)) as pipeline:
        _ = pipeline | Endless() | beam.Map(lambda row, name: journal(name).add(row["n"]), found)
    assert sorted(journal(found).events) == [0, 1, 2, 3, 4]


def test_a_generator_from_an_offset() -> None:
    step = Numbers(batch_size=4, count=3)
    assert [(len(rows), last) for rows, last in step.process(1)] == [(4, False), (1, True)]
    mapped = Numbers(count=1, output_mappings={"number": "n"})
    assert list(mapped.process_applying_mappings(1)) == [([{"n": 0}], True)]


def test_a_generator_takes_no_rows() -> None:
    with pytest.raises(DistilabelUserError, match="makes rows of its own"):
        run(TEXTS, Numbers())


def test_a_renamed_column_wins_over_one_of_that_name() -> None:
    for row in ({"prompt": "NEW", "instruction": "OLD"}, {"instruction": "OLD", "prompt": "NEW"}):
        loader = LoadDataFromDicts(data=[row], output_mappings={"prompt": "instruction"})
        ((rows, _),) = loader.process_applying_mappings()
        assert rows == [{"instruction": "NEW"}]


def test_a_step_that_was_loaded_before_the_run_belongs_to_the_run() -> None:
    step = Length()
    step.load()
    step._context = RunContext(run_dir="somewhere", seed=3)
    assert pickle.loads(pickle.dumps(step))._context == step._context


@pytest.mark.parametrize("given", ["text", [1], None])
def test_what_is_no_batch_of_rows_is_named(given: Any) -> None:
    class Odd(Step):
        def process(self, inputs: StepInput) -> Any:
            yield given

    step = Odd()
    with pytest.raises(DistilabelTypeError, match=r"Step 'odd_0' .*yield \[row, \.\.\.\]"):
        checked(step, step.process([]))
