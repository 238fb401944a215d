"""`@step` and `@task`."""

from typing import TYPE_CHECKING, Any

import pytest

from beam_distilabel.decorators import fill, step, task
from beam_distilabel.errors import DistilabelTypeError, DistilabelUserError
from beam_distilabel.metadata import METADATA
from beam_distilabel.row import ROW_ID
from beam_distilabel.runtime_parameters import RuntimeParameter
from beam_distilabel.step import GeneratorStep, GlobalStep, Step
from beam_distilabel.task import Task
from beam_distilabel.typing import StepInput
from tests.fakes import FakeLLM, new_name, plain, run, run_from, run_with_failures

if TYPE_CHECKING:
    from beam_distilabel.typing import StepOutput


@step(inputs=["text"], outputs=["length"])
def Length(
    inputs: StepInput, extra: RuntimeParameter[int] = 0, unit: RuntimeParameter[str] = ""
) -> "StepOutput":
    """Adds the length."""
    yield [{**row, "length": f"{len(row['text']) + extra}{unit}"} for row in inputs]  # type: ignore[operator]


@step(step_type="global")
def Last(inputs: StepInput) -> Any:
    yield inputs[-1:]


@step(outputs=["n"], step_type="generator")
def Count(offset: int = 0, upto: RuntimeParameter[int] = 3) -> Any:
    for n in range(offset, upto or 0):
        yield [{"n": n}], n + 1 == upto


@step(outputs=["n"], step_type="generator")
def CountBy(by: RuntimeParameter[int] = 3, offset: int = 0) -> Any:
    for n in range(offset, 3):
        yield [{"n": n * (by or 0)}], n == 2


@step(inputs=["x"], outputs=["y"])
def Scale(factor: RuntimeParameter[int], *inputs: StepInput, plus: int = 1) -> Any:
    for rows in inputs:
        yield [{**row, "y": row["x"] * factor + plus} for row in rows]


@step(inputs={"a": True, "b": False})
def Both(*inputs: StepInput) -> Any:
    yield from inputs


def test_a_step_of_a_function() -> None:
    made = Length(extra=2)
    assert isinstance(made, Step)
    assert (made.name, type(made).__doc__) == ("length_0", "Adds the length.")
    assert (made.get_inputs(), made.get_outputs()) == ({"text": True}, {"length": True})
    assert [row["length"] for row in run([{"text": "abc"}], made)] == ["5"]
    made.set_runtime_parameters({"unit": " m", "extra": 0})
    assert next(made.process([{"text": "abc"}]))[0]["length"] == "3 m"
    with pytest.raises(ValueError, match="extra"):
        Length(extra="many")


def test_a_global_step_of_a_function() -> None:
    assert isinstance(Last(), GlobalStep)
    rows = [{"x": n, ROW_ID: f"0-{n}"} for n in range(20)]
    assert run(rows, Last()) == [rows[-1]]


def test_a_generator_of_a_function() -> None:
    assert isinstance(Count(), GeneratorStep)
    assert sorted(row["n"] for row in run_from(Count(upto=5))) == [0, 1, 2, 3, 4]
    assert list(Count().process(2)) == [([{"n": 2}], True)]


def test_parameters_of_a_run_may_come_before_the_others() -> None:
    assert sorted(row["n"] for row in run_from(CountBy(by=5))) == [0, 5, 10]
    for rows in (CountBy().process(2), CountBy().process(offset=2)):
        assert list(rows) == [([{"n": 6}], True)]
    with pytest.raises(TypeError, match="too many positional arguments"):
        next(CountBy().process(2, 3))
    batches = [[{"x": 1}], [{"x": 2}]]
    assert [rows[0]["y"] for rows in Scale(factor=10).process(*batches)] == [11, 21]
    assert [rows[0]["y"] for rows in Scale(factor=10).process(*batches, plus=0)] == [10, 20]


def test_many_inputs() -> None:
    assert Both().has_multiple_inputs()
    assert not Length().has_multiple_inputs()
    assert Both().get_inputs() == {"a": True, "b": False}


def test_functions_that_cannot_be_steps() -> None:
    with pytest.raises(ValueError, match="step_type='local': use one of 'normal', 'global', 'gen"):
        step(step_type="local")  # type: ignore[arg-type]
    with pytest.raises(
        DistilabelTypeError, match="Two: a Step has at most one StepInput.*this has 2"
    ):

        @step()
        def Two(a: StepInput, b: StepInput) -> Any:
            yield a


# ---------------------------------------------------------------------------------- tasks


@task(inputs=["country", "year"], outputs=["capital"])
def Capital(output: Any, input: Any) -> Any:
    """Asks for capitals.

    ---
    system_prompt: |
        You know every capital --- and nothing else.
    user_message_template: |
        | country |
        | --- |
        Capital of {country} in {year}? As JSON: {{"capital": ...}}
    ---
    """
    if output is None:
        raise ValueError("no answer")
    return {"capital": output}


def test_a_task_of_a_function() -> None:
    made = Capital(name="capital", llm=FakeLLM(tag=new_name(), answer="Rome"))
    assert isinstance(made, Task)
    row = {"country": "{year} {0} {{x}} %s", "year": 1900}
    [done] = plain(run([row], made))
    assert done["capital"] == "Rome"
    assert done[METADATA]["raw_input_capital"] == [
        {"role": "system", "content": "You know every capital --- and nothing else."},
        {
            "role": "user",
            "content": "| country |\n| --- |\n"
            'Capital of {year} {0} {{x}} %s in 1900? As JSON: {"capital": ...}',
        },
    ]
    assert made.outputs == ["capital", "model_name"]


def test_a_row_that_lacks_a_column_costs_itself() -> None:
    made = Capital(name="capital", llm=FakeLLM(tag=new_name()))
    rows, [failure] = run_with_failures([{"country": "Italy"}, {"country": "I", "year": 1}], made)
    assert len(rows) == 2
    assert (failure.kind, failure.message) == ("render", "KeyError: 'year'")


def test_a_task_without_a_system_prompt() -> None:
    @task(inputs=["q"])
    def Ask(output: Any, input: Any) -> Any:
        """
        ---
        system_prompt:
        user_message_template: "{q}"
        ---
        """

    made = Ask(llm=FakeLLM())
    assert made.format_input({"q": "?"}) == [{"role": "user", "content": "?"}]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (None, "its docstring needs a YAML block"),
        ("Text only --- without --- a block.", "its docstring needs a YAML block"),
        ("---\nsystem_prompt: a\n---\n", "lacks user_message_template"),
        ("---\na text\n---\n", "lacks its keys"),
        ("---\n[a: \n---\n", "the YAML of its docstring is wrong"),
        (
            "---\nsystem_prompt: a\nuser_message_template: '{b}'\n---\n",
            "uses 'b', which `inputs`=.'a'. doesn't name",
        ),
        ("---\nsystem_prompt: a\nuser_message_template: '{}'\n---\n", "uses ''"),
        (
            "---\nsystem_prompt: a\nuser_message_template: '{a'\n---\n",
            "@task broken: the user_message_template can't be read: expected '}'",
        ),
    ],
)
def test_docstrings_that_cannot_work_are_refused_at_once(document: Any, message: str) -> None:
    def broken(output: Any, input: Any) -> Any: ...

    broken.__doc__ = document
    with pytest.raises(DistilabelUserError, match=message):
        task(inputs=["a"])(broken)


def test_the_yaml_of_a_docstring_makes_no_objects() -> None:
    def evil(output: Any, input: Any) -> Any: ...

    evil.__doc__ = "---\nsystem_prompt: !!python/object/apply:os.getpid []\n---\n"
    with pytest.raises(DistilabelUserError, match="the YAML of its docstring is wrong"):
        task()(evil)


def test_filling() -> None:
    assert fill("{a} and {{b}} and {a}", {"a": "{b}"}) == "{b} and {b} and {b}"
