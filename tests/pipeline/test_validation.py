"""What is wrong with a pipeline is said before it runs: which Step, and what to do.

The mistakes that distilabel knows are in test_mistakes.py.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

import pytest

from beam_distilabel.errors import (
    DistilabelTypeError,
    DistilabelUserError,
    PipelineValidationError,
)
from beam_distilabel.pipeline import Pipeline
from beam_distilabel.step import GeneratorStep, RowStep, Step
from beam_distilabel.steps import KeepColumns, LoadDataFromDicts, step
from beam_distilabel.steps.tasks import TextGeneration
from beam_distilabel.task import Task
from beam_distilabel.typing import StepInput, StepOutput
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


def test_misspelt_generation_kwargs_in_the_constructor(tmp_path: Path) -> None:
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(name="load", data=DATA)
        load >> TextGeneration(name="ask", llm=TaggedEcho(generation_kwargs={"sufix": "!"}))
    refused(pipeline, "Step 'ask'", "'sufix'", "Did you mean 'suffix'?", tmp_path=tmp_path)


def test_a_reserved_column(tmp_path: Path) -> None:
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(name="load", data=DATA)
        load >> Add(name="add", output_mappings={"a": "_row_id"})
    refused(pipeline, "Step 'add'", "'_row_id'", "output_mappings", tmp_path=tmp_path)


def test_a_process_with_an_argument_that_nobody_gives(tmp_path: Path) -> None:
    class Wrong(Step):
        def process(self, inputs: StepInput, limit: int) -> StepOutput:  # type: ignore[override]
            yield inputs[:limit]

    with Pipeline(name="p") as pipeline:
        LoadDataFromDicts(name="load", data=DATA) >> Wrong(name="wrong")
    refused(pipeline, "Step 'wrong'", "'limit'", "a field of the Step", tmp_path=tmp_path)


def test_a_step_made_of_a_function(tmp_path: Path) -> None:
    @step(inputs=["y"], outputs=["z"])
    def Made(inputs: StepInput) -> StepOutput:
        yield inputs

    with Pipeline(name="p") as pipeline:
        LoadDataFromDicts(name="load", data=DATA) >> Made(name="made")
    refused(pipeline, "Step 'made' (Made)", "'y'", tmp_path=tmp_path)


def test_load_groups(tmp_path: Path) -> None:
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(name="load", data=DATA)
        add, reverse = Add(name="add"), Reverse(name="reverse")
        load >> add >> reverse
    distiset = pipeline.run(output_dir=tmp_path / "run", load_groups=[[add], [reverse]])
    assert len(distiset["default"]["train"]) == 1


def test_load_groups_against_the_flow_are_told_of(caplog: pytest.LogCaptureFixture) -> None:
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(name="load", data=DATA)
        load >> Add(name="add") >> Reverse(name="reverse")
    with caplog.at_level(logging.WARNING, "beam_distilabel"):
        stages = pipeline.get_load_stages([["load"], ["reverse"]]).stages
        assert caplog.messages == []
        assert pipeline.get_load_stages([["reverse"], ["load"]]).stages == stages
    (message,) = caplog.messages
    assert "names ['reverse'] before ['load'], whose rows it needs" in message


def test_a_dataset_for_a_pipeline_that_has_a_loader(tmp_path: Path) -> None:
    with Pipeline(name="p") as pipeline:
        LoadDataFromDicts(name="load", data=DATA) >> Add(name="add")
    refused(pipeline, "Step 'load'", "leave out one of them", tmp_path=tmp_path, dataset=[{"x": 1}])


def test_rows_for_a_pipeline_that_has_a_loader() -> None:
    with Pipeline(name="p") as pipeline:
        Numbers(name="numbers", count=2) >> Add(name="add")
    with pytest.raises(PipelineValidationError, match="by Step 'numbers'; leave out"):
        [{"x": 1}] | pipeline


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


# -- what Steps say of their columns ---------------------------------------------------------------


def saying(name: str, value: Any) -> type[Step]:
    """A Step whose property `name` gives `value`, or raises it."""

    def says(self: Any) -> Any:
        if isinstance(value, Exception):
            raise value
        return value

    def process(self: Any, inputs: StepInput) -> StepOutput:
        yield inputs

    members = {name: property(says), "process": process, "__module__": __name__}
    return type("Weird", (Step,), members)


@pytest.mark.parametrize("name", ["inputs", "outputs"])
@pytest.mark.parametrize(
    ("value", "says"),
    [
        (None, "is None (NoneType)"),
        ("x", "is the text 'x'"),
        ({"x"}, "is {'x'} (set)"),
        (3, "is 3 (int)"),
        (["x", "x"], "has 'x' twice"),
        (["x", 1], "has 1, which is no name of a column"),
        (["x", None], "has None, which is no name"),
        ([["x"]], "has ['x'], which is no name"),
        (["x", ""], "has '', which is no name"),
        (KeyError("oh"), "raised KeyError: 'oh'"),
        (AttributeError("oh"), "raised AttributeError: oh"),
    ],
    ids=str,
)
def test_columns_that_are_none(tmp_path: Path, name: str, value: Any, says: str) -> None:
    with Pipeline(name="p") as pipeline:
        LoadDataFromDicts(name="load", data=DATA) >> saying(name, value)(name="weird")
    refused(pipeline, "Step 'weird' (Weird)", f"`{name}`", says, tmp_path=tmp_path)


@pytest.mark.parametrize("name", ["inputs", "outputs"])
@pytest.mark.parametrize("flag", [1, None, "yes"])
def test_columns_with_a_flag_that_is_none(tmp_path: Path, name: str, flag: Any) -> None:
    with Pipeline(name="p") as pipeline:
        LoadDataFromDicts(name="load", data=DATA) >> saying(name, {"x": flag})(name="weird")
    refused(pipeline, "'weird'", f"`{name}` has 'x': {flag!r}", "True or False", tmp_path=tmp_path)


def test_an_output_schema_that_is_none(tmp_path: Path) -> None:
    class Weird(Add):
        def output_schema(self) -> Any:
            return {"a": "string"}

    with Pipeline(name="p") as pipeline:
        LoadDataFromDicts(name="load", data=DATA) >> Weird(name="weird")
    refused(
        pipeline,
        "Step 'weird'",
        "`output_schema` gave {'a': 'string'}",
        "pyarrow.Schema",
        tmp_path=tmp_path,
    )


@pytest.mark.parametrize("columns", [("x",), {"x": True}, ["größe", "x"]])
def test_columns_in_other_forms(tmp_path: Path, columns: Any) -> None:
    data = [{"x": 1, "größe": 2}]
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(name="load", data=data)
        load >> saying("inputs", columns)(name="a") >> saying("outputs", columns)(name="b")
    assert pipeline.run(output_dir=tmp_path / "run")["default"]["train"].to_list() == data


# -- mappings that collide -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mappings", "texts"),
    [
        ({"generation": "t", "model_name": "t"}, ["'generation' and 'model_name'", "column 't'"]),
        ({"generation": "model_name"}, ["'generation' and 'model_name'", "column 'model_name'"]),
        ({"generation": "distilabel_metadata"}, ["'distilabel_metadata', a reserved name"]),
        ({"generation": "_draw"}, ["'_draw', a reserved name"]),
        ({"generation": ""}, ["maps 'generation' to a column without a name"]),
    ],
)
def test_outputs_that_get_lost(tmp_path: Path, mappings: dict[str, str], texts: list[str]) -> None:
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(name="load", data=DATA)
        load >> TextGeneration(name="ask", llm=TaggedEcho(), output_mappings=mappings)
    refused(pipeline, "Step 'ask'", "output_mappings", *texts, tmp_path=tmp_path)


class Join(Step):
    """Puts two texts together; makes the rows anew, the output first."""

    @property
    def inputs(self) -> list[str]:
        return ["left", "right"]

    @property
    def outputs(self) -> list[str]:
        return ["both"]

    def process(self, inputs: StepInput) -> StepOutput:  # type: ignore[override]
        yield [{"both": row["left"] + row["right"], **row} for row in inputs]


@pytest.mark.parametrize(
    ("inputs", "outputs", "expected"),
    [
        # Two inputs of one column.
        ({"left": "a", "right": "a"}, {}, {"a": "A", "b": "B", "both": "AA"}),
        # The output takes the place of an input, of another column, of a column of its own name.
        ({"left": "a", "right": "b"}, {"both": "a"}, {"a": "AB", "b": "B"}),
        ({"left": "a", "right": "b"}, {"both": "b"}, {"a": "A", "b": "AB"}),
        ({"left": "a", "right": "b"}, {"both": "left"}, {"a": "A", "b": "B", "left": "AB"}),
        ({"left": "b", "right": "a"}, {"both": "c"}, {"a": "A", "b": "B", "c": "BA"}),
    ],
)
def test_mappings_that_meet(
    tmp_path: Path, inputs: dict[str, str], outputs: dict[str, str], expected: dict[str, str]
) -> None:
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(name="load", data=[{"a": "A", "b": "B"}])
        load >> Join(name="join", input_mappings=inputs, output_mappings=outputs)
    assert pipeline.run(output_dir=tmp_path / "run")["default"]["train"].to_list() == [expected]


# -- values of the wrong type ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "texts"),
    [
        ({"on_failure": "ignore"}, ["on_failure", "'null', 'drop' or 'raise'", "'ignore'"]),
        ({"on_failure": None}, ["on_failure", "'null', 'drop' or 'raise'"]),
        ({"input_mappings": ["x"]}, ["input_mappings", "dictionary"]),
        ({"output_mappings": {"a": 3}}, ["output_mappings.a", "string"]),
        ({"input_batch_size": float("nan")}, ["input_batch_size", "finite number"]),
        ({"colunm": "a"}, ["colunm", "Add has no field of this name"]),
    ],
)
def test_fields_of_the_wrong_type(fields: dict[str, Any], texts: list[str]) -> None:
    with pytest.raises(ValueError, match="for Step 'add' .Add.") as caught:
        Add(name="add", **fields)
    for text in texts:
        assert text in str(caught.value)


def test_a_pipeline_that_is_none() -> None:
    pipeline: Any = "p"
    with pytest.raises(DistilabelTypeError, match="Add: pipeline='p' has to be a Pipeline"):
        Add(name="add", pipeline=pipeline)
    name: Any = 3
    with pytest.raises(DistilabelUserError, match="name=3 has to be a text"):
        Pipeline(name=name)


def test_generation_arguments_that_are_no_number(tmp_path: Path) -> None:
    with Pipeline(name="p") as pipeline:
        load = LoadDataFromDicts(name="load", data=DATA)
        llm = TaggedEcho(generation_kwargs={"temperature": float("nan")})
        load >> TextGeneration(name="ask", llm=llm)
    refused(pipeline, "Step 'ask'", "generation argument.temperature is NaN", tmp_path=tmp_path)


# -- `process` -------------------------------------------------------------------------------------


class NoProcess(Step):
    pass


class NoGenerator(GeneratorStep):
    pass


class NoTransform(RowStep):
    pass


class NoRendering(Task):
    def format_output(self, output: str | None, input: Any = None) -> dict[str, Any]:
        return {}


class NoParser(Task):
    def format_input(self, input: Any) -> Any:
        return [{"role": "user", "content": "?"}]


class Async(Step):
    async def process(self, inputs: StepInput) -> Any:  # type: ignore[override]
        return [inputs]


class AsyncGenerator(GeneratorStep):
    async def process(self, offset: int = 0) -> Any:  # type: ignore[override]
        yield [], True


@pytest.mark.parametrize(
    ("cls", "says"),
    [
        (NoProcess, "has to define `process(self, inputs: StepInput)`"),
        (NoGenerator, "has to define `process(self, offset: int = 0)`"),
        (NoTransform, "has to define `transform_row(self, row)`"),
        (NoRendering, "has to define `format_input(self, input)`"),
        (NoParser, "has to define `format_output(self, output, input)`"),
        (Async, "`process` is an `async def`"),
        (AsyncGenerator, "`process` is an `async def`"),
    ],
)
def test_what_is_not_defined(tmp_path: Path, cls: type[Any], says: str) -> None:
    with Pipeline(name="p") as pipeline:
        wrong = cls(name="wrong", **({"llm": TaggedEcho()} if issubclass(cls, Task) else {}))
        if not wrong.is_generator:
            LoadDataFromDicts(name="load", data=DATA) >> wrong
    refused(pipeline, f"Step 'wrong' ({cls.__name__})", says, tmp_path=tmp_path)


@pytest.mark.parametrize(("name", "field"), [("load", "batch_size"), ("add", "input_batch_size")])
def test_a_batch_size_of_none(tmp_path: Path, name: str, field: str) -> None:
    with Pipeline(name="p") as pipeline:
        LoadDataFromDicts(name="load", data=DATA) >> Add(name="add")
    given = {name: {field: None}}
    refused(pipeline, f"'{name}'", f"{field}=None", tmp_path=tmp_path, parameters=given)


@pytest.mark.parametrize("kind", ["normal", "global", "generator"])
@pytest.mark.parametrize("always", [True, False])
def test_a_declared_column_that_no_row_has_is_told_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: Any, always: bool
) -> None:
    if kind == "generator":

        @step(outputs={"z": always}, step_type="generator")
        def Made(offset: int = 0) -> Any:
            yield DATA, True

    else:

        @step(outputs={"z": always}, step_type=kind)
        def Made(inputs: StepInput) -> StepOutput:
            yield inputs

    with Pipeline(name="p") as pipeline:
        made = Made(name="made", input_batch_size=1) if kind == "normal" else Made(name="made")
        if kind != "generator":
            LoadDataFromDicts(name="load", data=DATA * 3) >> made
    distiset = pipeline.run(output_dir=tmp_path / "run", logging_handlers=[caplog.handler])
    assert "z" not in distiset["default"]["train"].column_names
    told = [text for text in caplog.messages if "declares the outputs 'z'" in text]
    assert len(told) == always
