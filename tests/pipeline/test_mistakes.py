"""The mistakes that distilabel's users make, by the numbers of its own list of validations.

Each is found before anything runs: no job is started, no Step or model loaded, no file written. The
message says which Step, which field or value, and what to do. Numbers 9, 11 and 12 come of zipping
batches by position, and 8 and 10 of routing batches: such pipelines run here (`ALLOWED`), since
rows are joined by id. What can't be joined by id, streams that are windowed differently, is refused
(tests/test_join.py). 26 (Ray) and 30 (a drawing service) can't be made here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from pydantic import Field

from beam_distilabel.pipeline import Pipeline, Route, routing_batch_function, sample_n_steps
from beam_distilabel.row import Row
from beam_distilabel.runtime_parameters import RuntimeParameter
from beam_distilabel.step import GeneratorStep, Step, _Step
from beam_distilabel.steps import ExpandColumns, KeepColumns, LoadDataFromDicts, step
from beam_distilabel.steps.tasks import (
    PrometheusEval,
    TextGeneration,
    TextGenerationWithImage,
    task,
)
from beam_distilabel.typing import GeneratorStepOutput, StepInput, StepOutput
from tests.pipeline.fakes import Add, Merge, Reverse, TaggedEcho
from tests.pipeline.running import failures_of, rows_of

CANNOT_HAPPEN = {26, 30}
ALLOWED = {8, 9, 10, 11, 12}
DATA = [{"x": 1, "instruction": "hi"}]


@dataclasses.dataclass(frozen=True)
class Mistake:
    """One way to make a mistake.

    Attributes:
        number: of distilabel's validation.
        what: for the test's name.
        write: writes the pipeline, which may raise; returns it.
        says: what the message has.
        arguments: of `run`.
        error: what is raised.
    """

    number: int
    what: str
    write: Callable[[], Any]
    says: tuple[str, ...]
    arguments: dict[str, Any] = dataclasses.field(default_factory=dict)
    error: type[Exception] = ValueError


MISTAKES: list[Mistake] = []


def mistake(
    number: int, *says: str, error: type[Exception] = ValueError, **arguments: Any
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Adds what it decorates to the mistakes: a function that goes on with an open pipeline.

    It is given a loader of the columns `x` and `instruction`.
    """

    def add(connect: Callable[..., Any]) -> Callable[..., Any]:
        def write() -> Pipeline:
            with Pipeline(name="p") as pipeline:
                made = connect(LoadDataFromDicts(name="load", data=DATA))
            return made if isinstance(made, Pipeline) else pipeline

        MISTAKES.append(Mistake(number, connect.__name__, write, says, arguments, error))
        return connect

    return add


class Watched(TaggedEcho):
    """A model that tells when it is loaded or asked."""

    def load(self) -> None:
        DONE.append("a model was loaded")

    async def agenerate(  # type: ignore[override]
        self, input: Any, num_generations: int = 1, temperature: float = 1.0
    ) -> Any:
        DONE.append("a model was asked")


DONE: list[str] = []
"""What was done that must not be done."""


@pytest.fixture
def nothing_done(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Nothing is loaded, started, or written."""
    DONE.clear()
    monkeypatch.setattr(beam.Pipeline, "run", lambda *_, **__: DONE.append("a job was started"))
    monkeypatch.setattr(_Step, "load", lambda self: DONE.append(f"{self.name} was loaded"))
    monkeypatch.setenv("DISTILABEL_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    yield
    assert DONE == []
    assert list(tmp_path.iterdir()) == []


def described(one: Mistake) -> str:
    return f"{one.number}-{one.what}"


# -- the graph -------------------------------------------------------------------------------------


@mistake(1, "'my step'", "letters, digits, '_' and '-'")
def a_name_with_a_blank(load: Any) -> None:
    load >> Add(name="my step")


@mistake(1, "'größe'", "letters, digits, '_' and '-'")
def a_name_with_other_letters(load: Any) -> None:
    load >> Add(name="größe")


@mistake(1, "300 characters, use at most 200")
def a_name_that_no_folder_can_have(load: Any) -> None:
    load >> Add(name="a" * 300)


@mistake(2, "'load' already exists", "give Add another `name`")
def two_steps_of_one_name(load: Any) -> None:
    load >> Add(name="load")


@mistake(3, "'add' is no Step of the pipeline 'p'", "same `with` block")
def a_name_instead_of_a_step(load: Any) -> None:
    Add(name="add")
    load >> ["add"]


@mistake(3, "no Step 'ad'", "connections", "Did you mean 'add'?")
def a_connection_in_a_file_to_a_step_that_is_not_there(load: Any) -> Pipeline:
    with Pipeline(name="p") as pipeline:
        LoadDataFromDicts(name="load", data=DATA) >> Add(name="add")
    dumped = pipeline.dump()
    dumped["pipeline"]["connections"][0]["to"] = ["ad"]
    return Pipeline.from_dict(dumped)


@mistake(3, "'other'", "no Step of the pipeline 'p'", "same `with` block")
def a_step_of_another_pipeline(load: Any) -> None:
    with Pipeline(name="q"):
        other = Add(name="other")
    load >> other


@mistake(3, "'add' (Add) belongs to no pipeline", "`with Pipeline(...)`", error=TypeError)
def a_step_of_no_pipeline(load: Any) -> None:
    from beam_distilabel.step import open_pipelines

    token = open_pipelines.set(())
    add = Add(name="add")
    open_pipelines.reset(token)
    add >> load


@mistake(4, "'load' is already connected to 'add'", "connect them once")
def an_edge_twice(load: Any) -> None:
    add = Add(name="add")
    load >> add
    load >> add


@mistake(4, "'load' is already connected to 'add'")
def an_edge_twice_in_a_list(load: Any) -> None:
    add = Add(name="add")
    load >> [add, add]


@mistake(4, "'add' is already connected to 'merge'")
def an_edge_twice_in_a_list_of_sources(load: Any) -> None:
    add = Add(name="add")
    load >> add
    [add, add] >> Merge(name="merge")


@mistake(5, "'c' to 'a' would create a cycle", "has to be acyclic")
def a_circle(load: Any) -> None:
    a, b, c = Merge(name="a"), Add(name="b"), Add(name="c")
    load >> a >> b >> c >> a


@mistake(5, "'a' to 'a' would create a cycle")
def a_step_after_itself(load: Any) -> None:
    a = Merge(name="a")
    load >> a >> a


@mistake(5, "'load' (LoadDataFromDicts) makes rows of its own", "'add' was")
def rows_for_a_loader(load: Any) -> None:
    Add(name="add") >> load


@mistake(3, "can't be connected to KeepColumns", "it is a class: write `KeepColumns(...)`")
def a_class_in_place_of_a_step(load: Any) -> None:
    load >> KeepColumns


@mistake(3, "lists of Steps can't be nested", "list of Step 'b' (Add), Step 'c' (Add)", "one list")
def a_list_in_a_list(load: Any) -> None:
    load >> [Add(name="a"), [Add(name="b"), Add(name="c")]]


@mistake(6, "'alone' (Add) cannot be a root step", "Connect a loader", "run(dataset=...)")
def a_root_that_loads_nothing(load: Any) -> None:
    load >> Add(name="add")
    Add(name="alone")


# -- columns ---------------------------------------------------------------------------------------


@mistake(7, "'ask' (TextGeneration) requires", "'instruction'", "x", "input_mappings=")
def a_column_that_is_not_there(load: Any) -> None:
    load >> KeepColumns(name="keep", columns=["x"]) >> TextGeneration(name="ask", llm=Watched())


@mistake(7, "'ask'", "makes: 'nope'", "input_mappings={'instruction': <column>}")
def a_column_mapped_to_nothing(load: Any) -> None:
    load >> TextGeneration(name="ask", llm=Watched(), input_mappings={"instruction": "nope"})


@mistake(7, "'keep'", "'instuction'. Did you mean 'instruction'?", "It is `columns` that names")
def a_column_misspelt_in_a_field(load: Any) -> None:
    load >> KeepColumns(name="keep", columns=["x", "instuction"])


@mistake(7, "'expand'", "It is `columns` that names 'xs': name one of these there, or add a Step")
def a_column_that_a_field_names(load: Any) -> None:
    load >> ExpandColumns(name="expand", columns={"xs": "x"})


@mistake(7, "'judge'", "'instruction'", "Its rows have:", "prompt")
def a_column_under_its_old_name(load: Any) -> None:
    renamed = LoadDataFromDicts(name="data", data=DATA, output_mappings={"instruction": "prompt"})
    ask = TextGeneration(name="ask", llm=Watched(), input_mappings={"instruction": "prompt"})
    judge = PrometheusEval(name="judge", llm=Watched(), mode="absolute", rubric="honesty")
    renamed >> ask >> judge


@mistake(7, "'end'", "'b'", "Its rows have: a, n")
def a_column_that_no_branch_has(load: Any) -> None:
    first, second = Add(name="first"), Add(name="second")
    load >> sample_n_steps(1) >> [first, second] >> Merge(name="merge")
    end = KeepColumns(name="end", columns=["b"])
    merge = load._pipeline.graph.get("merge")
    merge >> KeepColumns(name="keep", columns=["a", "n"]) >> end


@mistake(7, "'ask'", "'instruction'. Did you mean 'instructoin'?", dataset=[{"instructoin": "hi"}])
def a_column_misspelt_in_the_dataset(load: Any) -> Pipeline:
    with Pipeline(name="p") as pipeline:
        TextGeneration(name="ask", llm=Watched())
    return pipeline


@mistake(7, "'add'", "'x'", "Its rows have: y", dataset=[{"y": 1}])
def a_column_that_the_dataset_lacks(load: Any) -> Pipeline:
    with Pipeline(name="p") as pipeline:
        Add(name="add")
    return pipeline


@mistake(19, "'add' (Add)", "input_mappings names 'y'", "inputs ['x']", "The form is {name the")
def a_mapping_the_wrong_way_round(load: Any) -> None:
    load >> Add(name="add", input_mappings={"y": "x"})


@mistake(19, "'ask'", "input_mappings names 'instructoin'", "Did you mean 'instruction'?")
def a_misspelt_input(load: Any) -> None:
    load >> TextGeneration(name="ask", llm=Watched(), input_mappings={"instructoin": "x"})


@mistake(19, "'merge'", "input_mappings names 'x'", "none of its inputs []")
def a_mapping_for_a_step_without_inputs(load: Any) -> None:
    load >> Merge(name="merge", input_mappings={"x": "x"})


@mistake(20, "'ask'", "output_mappings names 'genration'", "Did you mean 'generation'?")
def a_misspelt_output(load: Any) -> None:
    load >> TextGeneration(name="ask", llm=Watched(), output_mappings={"genration": "text"})


@mistake(20, "'data'", "output_mappings names 'y'", "['instruction', 'x']")
def a_mapping_of_a_column_that_the_loader_lacks(load: Any) -> None:
    LoadDataFromDicts(name="data", data=DATA, output_mappings={"y": "z"})


# -- `process` -------------------------------------------------------------------------------------


@mistake(13, "'wrong' (Wrong)", "no parameter annotated with StepInput", "inputs: StepInput")
def a_process_without_step_input(load: Any) -> None:
    class Wrong(Step):
        def process(self, rows: list[Any]) -> StepOutput:  # type: ignore[override]
            yield rows

    load >> Wrong(name="wrong")


@mistake(13, "'wrong' (Wrong)", "by position", "'inputs'", "def process(self, inputs: StepInput)")
def a_process_that_takes_rows_by_keyword_only(load: Any) -> None:
    class Wrong(Step):
        def process(self, *, inputs: StepInput) -> StepOutput:  # type: ignore[override]
            yield inputs

    load >> Wrong(name="wrong")


@mistake(13, "'wrong' (Wrong)", "by position", "'rows'", "def process(self, inputs: StepInput)")
def a_process_whose_rows_go_to_another_parameter(load: Any) -> None:
    @step(inputs=["x"])
    def Wrong(size: int = 3, rows: StepInput = None) -> StepOutput:
        yield rows

    load >> Wrong(name="wrong")


@mistake(13, "'wrong' (Wrong)", "by position", "'inputs'", "process(self, *inputs: StepInput)")
def a_process_whose_first_rows_go_to_another_parameter(load: Any) -> None:
    class Wrong(Step):
        def process(self, size: Any = 3, *inputs: StepInput) -> StepOutput:
            yield from inputs

    load >> Wrong(name="wrong")


@mistake(13, "'wrong' (Wrong)", "needs the argument 'size'")
def a_process_that_needs_more(load: Any) -> None:
    class Wrong(Step):
        def process(self, inputs: StepInput, size: int, /) -> StepOutput:  # type: ignore[override]
            yield inputs

    load >> Wrong(name="wrong")


@mistake(14, "'c' (Add) has 2 predecessors", "def process(self, *inputs: StepInput)")
def several_predecessors_for_a_step_that_takes_one(load: Any) -> None:
    load >> [Add(name="a"), Add(name="b")] >> Add(name="c")


@mistake(15, "'wrong' (Wrong)", "2 StepInput parameters", "*inputs: StepInput")
def a_process_with_two_step_inputs(load: Any) -> None:
    class Wrong(Step):
        def process(self, a: StepInput, b: StepInput) -> StepOutput:  # type: ignore[override]
            yield [*a, *b]

    load >> Wrong(name="wrong")


@mistake(15, "Wrong: a Step has at most one StepInput", "*inputs: StepInput", error=TypeError)
def a_function_with_two_step_inputs(load: Any) -> None:
    @step(inputs=["x"])
    def Wrong(a: StepInput, b: StepInput) -> StepOutput:
        yield [*a, *b]


@mistake(17, "'wrong' (Wrong)", "takes no StepInput", "process(self, offset: int = 0)")
def a_generator_that_wants_rows(load: Any) -> None:
    class Wrong(GeneratorStep):
        def process(self, inputs: StepInput) -> GeneratorStepOutput:  # type: ignore[override]
            yield inputs, True

    Wrong(name="wrong")


@mistake(18, "'wrong' (Wrong)", "needs the parameter `offset`", "process(self, offset: int = 0)")
def a_generator_without_offset(load: Any) -> None:
    class Wrong(GeneratorStep):
        def process(self) -> GeneratorStepOutput:  # type: ignore[override]
            yield [], True

    Wrong(name="wrong")


@mistake(18, "'wrong' (Wrong)", "called as `process(offset=0)`", "process(self, offset: int = 0)")
def a_generator_that_needs_more(load: Any) -> None:
    class Wrong(GeneratorStep):
        def process(self, size: int, offset: int = 0) -> GeneratorStepOutput:  # type: ignore[override]
            yield [], True

    Wrong(name="wrong")


@mistake(18, "'wrong' (Wrong)", "needs the parameter `offset`")
def a_generator_function_without_offset(load: Any) -> None:
    @step(outputs=["x"], step_type="generator")
    def Wrong() -> Any:
        yield [{"x": 1}], True

    Wrong(name="wrong")


# -- runtime parameters ----------------------------------------------------------------------------


@mistake(16, "'scale' (Scale)", "required runtime parameter 'factor'", "{'scale': {'factor': ...}}")
def a_required_parameter_without_a_value(load: Any) -> None:
    class Scale(Step):
        factor: RuntimeParameter[int]

        def process(self, inputs: StepInput) -> StepOutput:  # type: ignore[override]
            yield inputs

    load >> Scale(name="scale")  # type: ignore[call-arg]


class Endpoint(Watched):
    """Needs an address."""

    url: RuntimeParameter[str] = Field(default=None)


@mistake(16, "'ask'", "parameter 'llm.url'", "{'ask': {'llm': {'url': ...}}}")
def a_required_parameter_of_the_model(load: Any) -> None:
    load >> TextGeneration(name="ask", llm=Endpoint())


def parameters(number: int, value: Any, *says: str) -> None:
    """A run's `parameters` that don't fit the pipeline `load >> ask`."""

    def write() -> Pipeline:
        with Pipeline(name="p") as pipeline:
            load = LoadDataFromDicts(name="load", data=DATA)
            load >> TextGeneration(name="ask", llm=Watched())
        return pipeline

    MISTAKES.append(Mistake(number, f"parameters={value!r}", write, says, {"parameters": value}))


parameters(28, {"lod": {"batch_size": 1}}, "no Step 'lod'", "mean 'load'?", "It has: load, ask")
parameters(28, {"load": {"batch_siz": 1}}, "'load'", "'batch_siz'", "mean 'batch_size'?")
parameters(28, {"ask": {"llm": {"generation_kwarg": {}}}}, "'ask'", "mean 'generation_kwargs'?")
parameters(28, {"ask": {"resources": {"gpu": 1}}}, "'ask'", "'gpu'", "Did you mean 'gpus'?")
parameters(28, {"ask": {"name": "other"}}, "'ask'", "'name'")
parameters(
    28,
    {"ask": {"llm": {"tag": "x"}}},
    "'ask'",
    "no runtime parameter 'tag'. It is a field",
    "Watched",
)
parameters(28, {"ask": {3: 1}}, "'ask'", "no runtime parameter", "3")
parameters(28, {3: {"batch_size": 1}}, "parameters has the key 3", "no name of a Step")
parameters(28, {None: {}}, "parameters has the key None")
parameters(28, [("load", {})], "parameters=[('load', {})]", "a dict")
parameters(28, "load.batch_size=3", "'load.batch_size=3' is no .yaml")
parameters(28, 0, "parameters=0", "a dict")
parameters(28, {"load": 3}, "Step 'load'", "have to be a dict", "got 3")
parameters(28, {"load": None}, "Step 'load'", "have to be a dict", "got None")
parameters(28, {"ask": {"llm": 3}}, "Step 'ask'", "llm", "have to be a dict")
parameters(28, {"load": {"batch_size": -1}}, "Step 'load'", "batch_size", "greater than 0")
parameters(28, {"load": {"batch_size": "many"}}, "Step 'load'", "batch_size", "integer")
parameters(28, {"load": {"batch_size": float("nan")}}, "'load'", "batch_size is NaN")
parameters(
    28,
    {"ask": {"llm": {"generation_kwargs": {"temperature": float("nan")}}}},
    "'ask'",
    "llm.generation_kwargs.temperature is NaN",
)
parameters(
    28,
    {"ask": {"llm": {"generation_kwargs": {"temprature": 1.0}}}},
    "'ask'",
    "no generation argument 'temprature'",
    "Did you mean 'temperature'?",
)


# -- routing ---------------------------------------------------------------------------------------


@mistake(21, "'sample_n_steps' has to be followed by a list of Steps, got Add", "step >> router")
def a_router_before_one_step(load: Any) -> None:
    load >> sample_n_steps(1) >> Add(name="add")


@mistake(21, "'sample_n_steps' has no Step before it", "step >> router >> [a, b]")
def a_router_after_nothing(load: Any) -> None:
    sample_n_steps(1) >> [Add(name="a"), Add(name="b")]


@mistake(21, "'sample_n_steps' can't follow", "it follows one Step")
def a_router_after_several(load: Any) -> None:
    [load, Add(name="a")] >> sample_n_steps(1)


@mistake(21, "'load' is followed by the router 'sample_n_steps'", "by no Steps", "step >> router")
def a_router_before_nothing(load: Any) -> None:
    load >> sample_n_steps(1)


@mistake(21, "'load' was connected to nothing", "a.connect(b, c, routing_batch_function=router)")
def a_router_before_an_empty_list(load: Any) -> None:
    load >> sample_n_steps(1) >> []


@mistake(21, "'load' has a routing function but only one successor", "leave the router out")
def a_router_with_nothing_to_choose(load: Any) -> None:
    load >> sample_n_steps(1) >> [Add(name="add")]


@mistake(21, "'load'", "sample_n_steps", "it has to be called: `sample_n_steps(1)`")
def a_router_that_is_not_called(load: Any) -> None:
    load >> sample_n_steps >> [Add(name="a"), Add(name="b")]


@mistake(21, "'load'", "sample_n_steps is no routing", "it has to be called: `sample_n_steps(1)`")
def a_router_given_by_name_that_is_not_called(load: Any) -> None:
    load.connect(Add(name="a"), Add(name="b"), routing_batch_function=sample_n_steps)


@mistake(21, "'load'", "is no routing function", "@routing_batch_function")
def a_plain_function_as_a_router(load: Any) -> None:
    load.connect(Add(name="a"), Add(name="b"), routing_batch_function=lambda steps: steps)


@mistake(
    21, "'load' already sends each row to what 'sample_n_steps' chooses of 'a', 'b'", "'c' too"
)
def a_step_beside_the_routed_ones(load: Any) -> None:
    load >> sample_n_steps(1) >> [Add(name="a"), Add(name="b")]
    load >> Add(name="c")


@mistake(21, "'load' already sends every row to 'c'", "no router can be put after it")
def a_router_beside_a_step(load: Any) -> None:
    load >> Add(name="c")
    load >> sample_n_steps(1) >> [Add(name="a"), Add(name="b")]


def routed(number: int, *says: str) -> Callable[[Callable[..., Any]], None]:
    """`load >> router >> [first, second]`, where the router is what it decorates."""

    def add(function: Callable[..., Any]) -> None:
        def write() -> Pipeline:
            with Pipeline(name="p") as pipeline:
                load = LoadDataFromDicts(name="load", data=DATA)
                ends = [Add(name="first"), TextGeneration(name="second", llm=Watched())]
                load >> routing_batch_function(function) >> ends
            return pipeline

        MISTAKES.append(Mistake(number, function.__name__, write, ("Step 'load'", *says)))

    return add


@routed(22, "'a_router_to_elsewhere' returned 'frist'", "mean 'first'?", "['first', 'second']")
def a_router_to_elsewhere(steps: list[str]) -> list[str]:
    return ["frist"]


@routed(22, "returned 'third'", "none of the connected Steps")
def a_router_that_is_sometimes_wrong(steps: list[str]) -> list[str]:
    import random

    return [random.choice([*steps, "third"])]


@routed(22, "'a_router_to_nobody' returned no Step", "at least one")
def a_router_to_nobody(steps: list[str]) -> list[str]:
    return []


@routed(22, "'a_router_that_forgets_its_list' returned 'first'", "return a list")
def a_router_that_forgets_its_list(steps: list[str]) -> Any:
    return steps[0]


@routed(22, "'a_router_that_forgets_return' returned None", "return a list")
def a_router_that_forgets_return(steps: list[str]) -> Any:
    steps[:1]


@routed(22, "'a_router_that_raises' raised ZeroDivisionError", "['first', 'second']")
def a_router_that_raises(steps: list[str]) -> Any:
    return steps[1 // 0]


@mistake(22, "'load'", "sample_n_steps: n=3, but only 2 Steps are connected")
def a_router_that_wants_more_steps(load: Any) -> None:
    load >> sample_n_steps(3) >> [Add(name="a"), Add(name="b")]


@mistake(22, "'load'", "'mine' can't be loaded from a file", "known are Route, sample_n_steps")
def a_routing_function_of_ones_own_in_a_file(load: Any) -> Pipeline:
    @routing_batch_function
    def mine(steps: list[str]) -> list[str]:
        return steps

    load >> mine >> [Add(name="a"), Add(name="b")]
    return Pipeline.from_dict(load._pipeline.dump())


@mistake(22, "'load'", "Route(kind) goes by the column 'kind'", "Its rows have: instruction, x")
def a_route_by_a_column_that_is_not_there(load: Any) -> None:
    load >> Route("kind", to={"math": Add(name="a"), "code": Add(name="b")})


@mistake(22, "'load'", "the column 'instuction'", "Did you mean 'instruction'?")
def a_route_by_a_misspelt_column(load: Any) -> None:
    load >> Route("instuction", to={"math": Add(name="a"), "code": Add(name="b")})


@mistake(22, "no Step 'slover'", "Did you mean 'solver'?")
def a_route_to_a_name_that_is_not_there(load: Any) -> None:
    Add(name="solver")
    load >> Route("x", to={1: "slover"})


# -- the run ---------------------------------------------------------------------------------------


def load_groups(value: Any, *says: str) -> None:
    def write() -> Pipeline:
        with Pipeline(name="p") as pipeline:
            load = LoadDataFromDicts(name="load", data=DATA)
            load >> Add(name="add") >> Reverse(name="reverse") >> Add(name="end")
        return pipeline

    MISTAKES.append(Mistake(23, f"load_groups={value!r}", write, says, {"load_groups": value}))


load_groups([["ad"]], "no Step 'ad'", "Did you mean 'add'?")
load_groups([["add"], ["add"]], "load_groups names Step 'add' twice")
load_groups([["reverse", "add"]], "the global Step 'reverse'", "alone")
load_groups([["load", "end"]], "'load', 'end' can't be loaded together", "'add', 'reverse'")
load_groups("parallel", "load_groups='parallel'", "'sequential_step_execution'")
load_groups(["add"], "load_groups=['add']", "a list of lists")
load_groups([[3]], "load_groups has 3", "names of Steps")


@mistake(24, "storage_parameters={'key': 'k'}", "a 'path'", storage_parameters={"key": "k"})
def storage_parameters_without_a_path(load: Any) -> None:
    load >> Add(name="add")


@mistake(24, "storage_parameters='s3://b'", "a 'path'", storage_parameters="s3://b")
def storage_parameters_that_are_a_path(load: Any) -> None:
    load >> Add(name="add")


@mistake(
    25, "'p' requires packages", "pip install 'no-such-package>=1' 'numpy<1'", error=ImportError
)
def packages_that_are_not_installed(load: Any) -> Pipeline:
    wanted = ["no-such-package>=1", "numpy<1", "numpy", "gone; python_version<'3'"]
    with Pipeline(name="p", requirements=wanted) as pipeline:
        LoadDataFromDicts(name="data", data=DATA)
    return pipeline


@mistake(25, "'not a requirement!'", "no requirement", "requirements file")
def a_malformed_requirement(load: Any) -> None:
    Pipeline(name="q", requirements=["numpy", "not a requirement!"])


# -- Tasks -----------------------------------------------------------------------------------------


@mistake(27, "'judge' (PrometheusEval)", "use_offline_batch_generation=True", "Leave it False")
def a_batch_service_for_a_task_that_cannot(load: Any) -> None:
    llm = Watched(use_offline_batch_generation=True)
    judge = PrometheusEval(name="judge", llm=llm, mode="absolute", rubric="honesty")
    LoadDataFromDicts(name="data", data=[{"instruction": "a", "generation": "b"}]) >> judge


@mistake(27, "'ask' (TextGeneration)", "Watched has no batch service", "False")
def a_batch_service_that_the_model_lacks(load: Any) -> None:
    load >> TextGeneration(name="ask", llm=Watched(use_offline_batch_generation=True))


@mistake(
    27,
    "'ask' (TextGeneration)",
    "Watched has no batch service",
    parameters={"ask": {"llm": {"use_offline_batch_generation": True}}},
)
def a_batch_service_asked_for_with_the_run(load: Any) -> None:
    load >> TextGeneration(name="ask", llm=Watched())


@mistake(29, "TextGeneration ask", "uses 'topic'", "columns`=['instruction']", "add the column")
def a_template_with_a_column_that_is_not_named(load: Any) -> None:
    TextGeneration(name="ask", llm=Watched(), template="{{ instruction }} about {{ topic }}")


@mistake(29, "the template can't be read, line 1")
def a_template_that_cannot_be_read(load: Any) -> None:
    TextGeneration(name="ask", llm=Watched(), template="{{ instruction ")


@mistake(29, "the template can't be read, line 1", "'loud'")
def a_template_with_a_filter_that_is_not_there(load: Any) -> None:
    TextGeneration(name="ask", llm=Watched(), template="{{ instruction | loud }}")


@mistake(29, "TextGenerationWithImage", "image_type", "'url', 'base64' or 'PIL'")
def an_image_of_no_type(load: Any) -> None:
    image_type: Any = "path"
    TextGenerationWithImage(name="ask", llm=Watched(), image_type=image_type)


@mistake(29, "PrometheusEval judge", "rubric='kindness'", "helpfulness", "your own `rubrics`")
def a_rubric_that_is_not_there(load: Any) -> None:
    PrometheusEval(name="judge", llm=Watched(), mode="absolute", rubric="kindness")


@mistake(29, "PrometheusEval judge", "the rubric 'mine'", "'Score 1: ...' to 'Score 5: ...'")
def a_rubric_without_its_form(load: Any) -> None:
    rubrics = {"mine": "Is it good?"}
    PrometheusEval(name="judge", llm=Watched(), mode="absolute", rubric="mine", rubrics=rubrics)


@mistake(29, "PrometheusEval", "mode", "'absolute' or 'relative'")
def a_mode_that_is_not_there(load: Any) -> None:
    mode: Any = "both"
    PrometheusEval(name="judge", llm=Watched(), mode=mode, rubric="honesty")


@mistake(29, "@task Capital", "user_message_template uses 'land'", "inputs`=['country']")
def a_placeholder_that_is_no_input(load: Any) -> None:
    @task(inputs=["country"], outputs=["capital"])
    def Capital(output: Any, input: Any) -> Any:
        """
        ---
        system_prompt: You know every capital.
        user_message_template: What is the capital of {land}?
        ---
        """


@mistake(29, "@task Capital", "docstring needs a YAML block", "system_prompt")
def a_task_function_without_a_prompt(load: Any) -> None:
    @task(inputs=["country"], outputs=["capital"])
    def Capital(output: Any, input: Any) -> Any:
        """No prompt."""


# -- the tests -------------------------------------------------------------------------------------


def test_no_number_is_missing() -> None:
    numbers = {one.number for one in MISTAKES}
    assert numbers == set(range(1, 31)) - CANNOT_HAPPEN - ALLOWED
    assert len({described(one) for one in MISTAKES}) == len(MISTAKES)


@pytest.mark.usefixtures("nothing_done")
@pytest.mark.parametrize("one", MISTAKES, ids=described)
def test_a_run(one: Mistake) -> None:
    with pytest.raises(one.error) as caught:
        one.write().run(logging_handlers=[], **one.arguments)
    for text in one.says:
        assert text in str(caught.value), str(caught.value)


WITH_RUN_ONLY = ("load_groups", "storage_parameters")


@pytest.mark.usefixtures("nothing_done")
@pytest.mark.parametrize(
    "one", [m for m in MISTAKES if not set(m.arguments) & set(WITH_RUN_ONLY)], ids=described
)
def test_a_dry_run(one: Mistake) -> None:
    with pytest.raises(one.error) as caught:
        one.write().dry_run(**one.arguments)
    for text in one.says:
        assert text in str(caught.value), str(caught.value)


# -- what distilabel refuses, and is no mistake here -----------------------------------------------

ROWS = [{"x": x} for x in range(10)]


def routed_to_one(load: Any) -> Any:
    """9: the join wants 50 rows at once, the branches make batches of 2."""
    branches = [Add(name=name, input_batch_size=2) for name in "ab"]
    return load >> sample_n_steps(1) >> branches >> Merge(name="merge", input_batch_size=50)


def routed_in_larger_batches(load: Any) -> Any:
    """11: the loader makes batches of 4, the routed Steps take 50."""
    branches = [Add(name=name, input_batch_size=50) for name in "ab"]
    return load >> sample_n_steps(1) >> branches >> Merge(name="merge")


def routed_in_uneven_batches(load: Any) -> Any:
    """12: 4 is no multiple of 3."""
    branches = [Add(name=name, input_batch_size=3) for name in "ab"]
    return load >> sample_n_steps(1) >> branches >> Merge(name="merge")


def routed_and_not(load: Any) -> Any:
    """8: of the three branches that meet, a router chooses among two."""
    before, side = Add(name="before"), Add(name="side", column="s")
    routed = [Add(name=name) for name in "ab"]
    load >> [before, side]
    before >> sample_n_steps(1) >> routed
    return [side, *routed] >> Merge(name="merge")


def routed_by_two(load: Any) -> Any:
    """8: of the branches that meet, two routers choose."""
    before, after = Add(name="before"), Add(name="after")
    first, second = ([Add(name=f"{name}{k}") for name in "ab"] for k in (1, 2))
    load >> [before, after]
    before >> sample_n_steps(1) >> first
    after >> sample_n_steps(1) >> second
    return [*first, *second] >> Merge(name="merge")


def routed_with_another_predecessor(load: Any) -> Any:
    """10: a Step that a router chooses has another predecessor."""
    before, side = Add(name="before"), Add(name="side", column="s")
    meets, other = Merge(name="meets"), Add(name="other")
    load >> [before, side]
    before >> sample_n_steps(2) >> [meets, other]
    side >> meets
    return meets


def test_what_is_allowed_are_the_other_numbers() -> None:
    assert {int((write.__doc__ or "").partition(":")[0]) for write, _ in WORK} == ALLOWED


WORK: list[tuple[Callable[[Any], Any], Row]] = [
    (routed_to_one, {"n": 1}),
    (routed_in_larger_batches, {"n": 1}),
    (routed_in_uneven_batches, {"n": 1}),
    (routed_and_not, {"n": 2}),
    (routed_by_two, {"n": 2}),
    (routed_with_another_predecessor, {"n": 2}),
]


@pytest.mark.parametrize(("write", "made"), WORK)
def test_what_distilabel_refuses(tmp_path: Path, write: Callable[[Any], Any], made: Row) -> None:
    with Pipeline(name="p") as pipeline:
        end = write(LoadDataFromDicts(name="load", data=ROWS, batch_size=4))
        end >> KeepColumns(name="keep", columns=["x", "a", "n"])
    distiset = pipeline.run(output_dir=tmp_path / "run")
    name = "keep" if len(distiset) > 1 else "default"
    assert rows_of(distiset, name) == [{"x": x, "a": str(x), **made} for x in range(10)]
    assert failures_of(tmp_path / "run") == []
