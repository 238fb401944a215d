"""What is wrong with a pipeline is said before it runs: which Step, and what to do."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field

from beam_distilabel.errors import DistilabelUserError, PipelineValidationError
from beam_distilabel.pipeline import Pipeline, sample_n_steps
from beam_distilabel.runtime_parameters import RuntimeParameter
from beam_distilabel.step import GeneratorStep, Step
from beam_distilabel.steps import KeepColumns, LoadDataFromDicts, step
from beam_distilabel.steps.tasks import TextGeneration
from beam_distilabel.typing import GeneratorStepOutput, StepInput, StepOutput
from tests.pipeline.fakes import Add, Merge, Numbers, Reverse, TaggedEcho

DATA = [{"x": 1, "instruction": "hi"}]


def refused(pipeline: Pipeline, *texts: str, tmp_path: Path, **arguments: Any) -> str:
    """Run `pipeline`, which has to fail before anything runs; the message has all of `texts`."""
    run_dir = tmp_path / "refused"
    with pytest.raises(PipelineValidationError) as caught:
        pipeline.run(output_dir=run_dir, **arguments)
    message = str(caught.value)
    for text in texts:
        assert text in message, message
    assert not run_dir.exists()
    return message


def test_an_empty_pipeline(tmp_path: Path) -> None:
    refused(Pipeline(name="p"), "has no Steps", "`with Pipeline(...)`", tmp_path=tmp_path)


def test_a_root_that_is_no_generator(tmp_path: Path) -> None:
    with Pipeline(name="p") as pipeline:
        LoadDataFromDicts(name="load", data=DATA) >> Add(name="used")
        Add(name="alone")
    remedy = ("Connect a loader to it", "pipeline.run(dataset=...)")
    refused(pipeline, "Step 'alone' (Add)", "cannot be a root step", *remedy, tmp_path=tmp_path)


def test_a_missing_column(tmp_path: Path) -> None:
    with Pipeline(name="p") as pipeline:
        LoadDataFromDicts(name="load", data=[{"y": 1}]) >> Add(name="add")
    refused(
        pipeline,
        "Step 'add' (Add)",
        "'x'",
        "Its rows have: y",
        "input_mappings={'x': <column>}",
        tmp_path=tmp_path,
    )


def test_a_column_that_keep_columns_removed(tmp_path: Path) -> None:
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(name="load", data=DATA)
        load >> KeepColumns(name="keep", columns=["instruction"]) >> Add(name="add")
    refused(pipeline, "Step 'add'", "'x'", "Its rows have: instruction", tmp_path=tmp_path)


def test_a_column_that_a_mapping_renamed(tmp_path: Path) -> None:
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(name="load", data=DATA, output_mappings={"x": "number"})
        load >> Add(name="add")
    refused(pipeline, "Step 'add'", "'x'", "instruction, number", tmp_path=tmp_path)
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(name="load", data=DATA, output_mappings={"x": "number"})
        load >> Add(name="add", input_mappings={"x": "number"})
    assert len(pipeline.run(output_dir=tmp_path / "run")["default"]["train"]) == 1


def test_columns_of_all_branches_are_there_at_a_join(tmp_path: Path) -> None:
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(name="load", data=DATA)
        a, b = Add(name="a", column="left"), Add(name="b", column="right")
        load >> [a, b] >> KeepColumns(name="keep", columns=["left", "right", "other"])
    message = refused(pipeline, "Step 'keep'", "'other'", tmp_path=tmp_path)
    assert "'left'" not in message


def test_an_optional_column_may_be_missing(tmp_path: Path) -> None:
    class Maybe(Step):
        @property
        def inputs(self) -> dict[str, bool]:
            return {"x": True, "hint": False}

        def process(self, inputs: StepInput) -> StepOutput:  # type: ignore[override]
            yield inputs

    with Pipeline(name="p") as pipeline:
        LoadDataFromDicts(name="load", data=DATA) >> Maybe(name="maybe")
    assert len(pipeline.run(output_dir=tmp_path / "run")["default"]["train"]) == 1


def test_runtime_parameters_that_are_missing(tmp_path: Path) -> None:
    class Scale(Step):
        factor: RuntimeParameter[int]
        note: RuntimeParameter[str] | None = None

        def process(self, inputs: StepInput) -> StepOutput:  # type: ignore[override]
            yield inputs

    with Pipeline(name="p") as pipeline:
        LoadDataFromDicts(name="load", data=DATA) >> Scale(name="scale")  # type: ignore[call-arg]
    refused(
        pipeline,
        "Step 'scale' (Scale)",
        "missing required runtime parameter 'factor'",
        "pipeline.run(parameters={'scale': {'factor': ...}})",
        tmp_path=tmp_path,
    )


def test_a_nested_runtime_parameter_that_is_missing(tmp_path: Path) -> None:
    class Endpoint(TaggedEcho):
        url: RuntimeParameter[str] = Field(default=None)

    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(name="load", data=DATA)
        load >> TextGeneration(name="ask", llm=Endpoint())
    refused(
        pipeline,
        "Step 'ask'",
        "'llm.url'",
        "parameters={'ask': {'llm': {'url': ...}}}",
        tmp_path=tmp_path,
    )


@pytest.mark.parametrize(
    ("parameters", "texts"),
    [
        ({"lod": {"batch_size": 1}}, ["no Step 'lod'", "Did you mean 'load'?"]),
        ({"load": {"batch_siz": 1}}, ["'load'", "'batch_siz'", "Did you mean 'batch_size'?"]),
        ({"load": 3}, ["Step 'load'", "have to be a dict", "3"]),
        ({"load": {"batch_size": -1}}, ["Step 'load'", "batch_size", "greater than 0"]),
        ({"ask": {"llm": {"generation_kwarg": {}}}}, ["'ask'", "mean 'generation_kwargs'?"]),
        ({"ask": {"llm": 3}}, ["Step 'ask'", "llm: ", "a dict"]),
        ({"ask": {"name": "other"}}, ["'ask'", "'name'"]),
        ({"ask": {"resources": {"gpu": 1}}}, ["'ask'", "'gpu'", "Did you mean 'gpus'?"]),
        (
            {"ask": {"llm": {"generation_kwargs": {"temprature": 1.0}}}},
            ["Step 'ask'", "no generation argument 'temprature'", "Did you mean 'temperature'?"],
        ),
    ],
)
def test_parameters_that_do_not_fit(
    tmp_path: Path, parameters: dict[str, Any], texts: list[str]
) -> None:
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(name="load", data=DATA)
        load >> TextGeneration(name="ask", llm=TaggedEcho())
    refused(pipeline, *texts, tmp_path=tmp_path, parameters=parameters)


def test_misspelt_generation_kwargs_in_the_constructor(tmp_path: Path) -> None:
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(name="load", data=DATA)
        load >> TextGeneration(name="ask", llm=TaggedEcho(generation_kwargs={"sufix": "!"}))
    refused(pipeline, "Step 'ask'", "'sufix'", "Did you mean 'suffix'?", tmp_path=tmp_path)


def test_mappings_that_name_nothing(tmp_path: Path) -> None:
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(name="load", data=DATA)
        load >> Add(name="add", input_mappings={"y": "x"})
    refused(
        pipeline,
        "Step 'add'",
        "input_mappings names 'y'",
        "['x']",
        "The form is",
        tmp_path=tmp_path,
    )
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(name="load", data=DATA)
        load >> Add(name="add", output_mappings={"b": "c"})
    refused(pipeline, "Step 'add'", "output_mappings names 'b'", "['a']", tmp_path=tmp_path)


def test_a_reserved_column(tmp_path: Path) -> None:
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(name="load", data=DATA)
        load >> Add(name="add", output_mappings={"a": "_row_id"})
    refused(pipeline, "Step 'add'", "'_row_id'", "output_mappings", tmp_path=tmp_path)


def test_a_process_without_step_input(tmp_path: Path) -> None:
    class Wrong(Step):
        def process(self, rows: list[Any]) -> StepOutput:  # type: ignore[override]
            yield rows

    with Pipeline(name="p") as pipeline:
        LoadDataFromDicts(name="load", data=DATA) >> Wrong(name="wrong")
    refused(
        pipeline,
        "Step 'wrong' (Wrong)",
        "no parameter annotated with StepInput",
        "def process(self, inputs: StepInput)",
        tmp_path=tmp_path,
    )


def test_a_process_with_two_step_inputs(tmp_path: Path) -> None:
    class Wrong(Step):
        def process(self, a: StepInput, b: StepInput) -> StepOutput:  # type: ignore[override]
            yield [*a, *b]

    with Pipeline(name="p") as pipeline:
        LoadDataFromDicts(name="load", data=DATA) >> Wrong(name="wrong")
    refused(pipeline, "Step 'wrong'", "2 StepInput", "*inputs: StepInput", tmp_path=tmp_path)


def test_several_predecessors_for_a_process_that_takes_one(tmp_path: Path) -> None:
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(name="load", data=DATA)
        load >> [Add(name="a"), Add(name="b", column="b")] >> Add(name="c", column="c")
    refused(pipeline, "Step 'c'", "2 predecessors", "*inputs: StepInput", tmp_path=tmp_path)


def test_a_process_with_an_argument_that_nobody_gives(tmp_path: Path) -> None:
    class Wrong(Step):
        def process(self, inputs: StepInput, limit: int) -> StepOutput:  # type: ignore[override]
            yield inputs[:limit]

    with Pipeline(name="p") as pipeline:
        LoadDataFromDicts(name="load", data=DATA) >> Wrong(name="wrong")
    refused(pipeline, "Step 'wrong'", "'limit'", "a field of the Step", tmp_path=tmp_path)


def test_generators_with_a_wrong_process(tmp_path: Path) -> None:
    class Takes(GeneratorStep):
        def process(self, inputs: StepInput) -> GeneratorStepOutput:  # type: ignore[override]
            yield inputs, True

    class NoOffset(GeneratorStep):
        def process(self) -> GeneratorStepOutput:  # type: ignore[override]
            yield [], True

    for cls, texts in ((Takes, ["no StepInput"]), (NoOffset, ["the parameter `offset`"])):
        with Pipeline(name="p") as pipeline:
            cls(name="wrong")
        refused(pipeline, "Step 'wrong'", "offset: int = 0", *texts, tmp_path=tmp_path)


def test_a_step_made_of_a_function(tmp_path: Path) -> None:
    @step(inputs=["y"], outputs=["z"])
    def Made(inputs: StepInput) -> StepOutput:
        yield inputs

    with Pipeline(name="p") as pipeline:
        LoadDataFromDicts(name="load", data=DATA) >> Made(name="made")
    refused(pipeline, "Step 'made' (Made)", "'y'", tmp_path=tmp_path)


def test_a_router_with_nothing_to_choose(tmp_path: Path) -> None:
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(name="load", data=DATA)
        load >> sample_n_steps(1) >> [Add(name="add")]
    refused(
        pipeline, "Step 'load'", "only one successor", "leave the router out", tmp_path=tmp_path
    )


def test_load_groups(tmp_path: Path) -> None:
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(name="load", data=DATA)
        add, reverse = Add(name="add"), Reverse(name="reverse")
        load >> add >> reverse
    for groups, texts in (
        ([["ad"]], ["no Step 'ad'", "Did you mean 'add'?"]),
        ([["add"], ["add"]], ["Step 'add' twice"]),
        ([["reverse", "add"]], ["the global Step 'reverse'", "alone"]),
        ("parallel", ["'parallel'", "sequential_step_execution"]),
        ([3], ["load_groups", "list of lists"]),
        (["add"], ["load_groups", "list of lists"]),
    ):
        refused(pipeline, *texts, tmp_path=tmp_path, load_groups=groups)
    distiset = pipeline.run(output_dir=tmp_path / "run", load_groups=[[add], [reverse]])
    assert len(distiset["default"]["train"]) == 1


def test_a_dataset_for_a_pipeline_that_has_a_loader(tmp_path: Path) -> None:
    with Pipeline(name="p") as pipeline:
        LoadDataFromDicts(name="load", data=DATA) >> Add(name="add")
    refused(pipeline, "Step 'load'", "leave out one of them", tmp_path=tmp_path, dataset=[{"x": 1}])


def test_rows_for_a_pipeline_that_has_a_loader() -> None:
    with Pipeline(name="p") as pipeline:
        Numbers(name="numbers", count=2) >> Add(name="add")
    with pytest.raises(PipelineValidationError, match="by Step 'numbers'; leave out"):
        [{"x": 1}] | pipeline


def test_columns_of_a_dataset_are_checked(tmp_path: Path) -> None:
    with Pipeline(name="p") as pipeline:
        Add(name="add")
    refused(pipeline, "Step 'add'", "'x'", "have: y", tmp_path=tmp_path, dataset=[{"y": 1}])


def test_dry_run_validates_as_well(tmp_path: Path) -> None:
    with Pipeline(name="p", cache_dir=tmp_path) as pipeline:
        LoadDataFromDicts(name="load", data=[{"y": 1}]) >> Add(name="add")
    with pytest.raises(PipelineValidationError, match="'add'.*'x'"):
        pipeline.dry_run()
    with pytest.raises(PipelineValidationError, match="no Step 'adds'.*'add'"):
        pipeline.dry_run(parameters={"adds": {}})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a b", "a.b", "ä", "a/b", ""])
def test_step_names(name: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(name)) + ".*letters, digits"):
        Add(name=name)


def test_a_merge_may_have_any_number_of_predecessors(tmp_path: Path) -> None:
    with Pipeline(name="p") as pipeline:
        LoadDataFromDicts(name="load", data=DATA) >> Merge(name="merge")
    assert pipeline.run(output_dir=tmp_path / "run")["default"]["train"]["n"] == [1]


def test_requirements(tmp_path: Path) -> None:
    with Pipeline(name="p", requirements=["numpy", "no-such-package>=1", "pyarrow>=999"]) as p:
        LoadDataFromDicts(name="load", data=DATA)
    with pytest.raises(ModuleNotFoundError, match="'p' requires.*pip install") as caught:
        p.run(output_dir=tmp_path / "run")
    message = str(caught.value)
    assert "'no-such-package>=1'" in message and "'pyarrow>=999'" in message
    assert "numpy" not in message
    with pytest.raises(DistilabelUserError, match="'p': 'not a requirement!' is no requirement"):
        Pipeline(name="p", requirements=["not a requirement!"])
    assert not (tmp_path / "run").exists()
