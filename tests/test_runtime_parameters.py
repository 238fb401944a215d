"""Runtime parameters."""

# A runtime parameter may be left out of the constructor, which mypy can't know.
# mypy: disable-error-code="call-arg"

import sys
import types
from typing import Any, Literal

import pytest
from pydantic import Field, SecretStr

from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.models.base import LLM, AsyncLLM
from beam_distilabel.runtime_parameters import (
    RuntimeParameter,
    closest,
    missing_parameters,
)
from beam_distilabel.step import Step
from beam_distilabel.task import Task


class Model(AsyncLLM):
    key: RuntimeParameter[SecretStr]
    retries: RuntimeParameter[int] = Field(default=3, description="How often to try again.")

    @property
    def model_name(self) -> str:
        return "model"

    async def agenerate(  # type: ignore[override]
        self, input: Any, num_generations: int = 1, temperature: float = 1.0
    ) -> Any:
        """Answer.

        Args:
            input: a chat.
            temperature: of the sampling,
                of which more is known on a second line.
        """
        return {"generations": [None]}


class Work(Step):
    required: RuntimeParameter[str]
    optional: RuntimeParameter[str] | None = None
    default: RuntimeParameter[int] = 5
    made: RuntimeParameter[list[int]] = Field(default_factory=list)
    fixed: str = "x"


class Ask(Task):
    pass


class Several(Task):
    llms: list[LLM] = Field(default_factory=list)


def test_names_and_whether_they_are_optional() -> None:
    names = Work().runtime_parameters_names
    assert {k: names[k] for k in ("required", "optional", "default", "made")} == {
        "required": False,
        "optional": True,
        "default": True,
        "made": True,
    }
    assert "fixed" not in names
    assert names["input_batch_size"] is True
    assert names["resources"]["cpus"] is True


def test_nested_names() -> None:
    names = Several(llm=Model(), llms=[Model(), Model()]).runtime_parameters_names
    assert names["llm"]["key"] is False
    assert set(names["llms"]) == {"0", "1"}
    assert names["llms"]["1"]["retries"] is True


def test_missing() -> None:
    step = Several(llm=Model(), llms=[Model(key=SecretStr("k")), Model()])
    assert missing_parameters(step.runtime_parameters_names, step) == ["llm.key", "llms.1.key"]
    step.set_runtime_parameters({"llm": {"key": "a"}, "llms": {"1": {"key": "b"}}})
    assert missing_parameters(step.runtime_parameters_names, step) == []
    assert missing_parameters(Work().runtime_parameters_names, Work()) == ["required"]
    work = Work(required="r")
    assert missing_parameters(work.runtime_parameters_names, work) == []


def test_values_are_set_and_checked() -> None:
    step = Work()
    step.set_runtime_parameters({"required": "r", "default": 7, "resources": {"cpus": 2}})
    assert (step.required, step.default, step.resources.cpus) == ("r", 7, 2)
    with pytest.raises(DistilabelUserError, match="Step 'work_0'.*: default='seven': .*integer"):
        step.set_runtime_parameters({"default": "seven"})
    with pytest.raises(DistilabelUserError, match="'work_0'.*: resources.cpus=-1: .*greater than"):
        step.set_runtime_parameters({"resources": {"cpus": -1}})
    with pytest.raises(DistilabelUserError, match="'work_0'.*: made.1='x': .*integer"):
        step.set_runtime_parameters({"made": [1, "x"]})


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"defualt": 1},
            "Step 'work' .Work. has no runtime parameter 'defualt'. Did you mean 'def",
        ),
        ({"fixed": "y"}, "has no runtime parameter 'fixed'"),
        (
            {"resources": {"cpu": 1}},
            "Step 'work' .Work.: resources has no runtime parameter 'cpu'. Did you mean 'cpus'",
        ),
    ],
)
def test_names_that_are_none(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(DistilabelUserError, match=message):
        Work(name="work").set_runtime_parameters(parameters)


@pytest.mark.parametrize("index", ["2", "x", "-3"])
def test_items_that_are_none(index: str) -> None:
    step = Several(llm=Model(), llms=[Model(), Model()])
    with pytest.raises(DistilabelUserError, match=f"llms has no item '{index}': it has 2, 0, 1"):
        step.set_runtime_parameters({"llms": {index: {"key": "a"}}})


def test_info() -> None:
    info = {
        entry["name"]: entry
        for entry in Several(llm=Model(), llms=[Model()]).get_runtime_parameters_info()
    }
    of_llm = {entry["name"]: entry for entry in info["llm"]["runtime_parameters_info"]}
    assert of_llm["key"] == {"name": "key", "optional": False, "type": "SecretStr"}
    assert of_llm["retries"] == {
        "name": "retries",
        "optional": True,
        "description": "How often to try again.",
        "type": "int",
        "default": 3,
    }
    # In distilabel's shape: those of a list are a dict by index.
    assert info["llms"]["runtime_parameters_info"] == {"0": info["llm"]["runtime_parameters_info"]}
    assert "optional" not in of_llm["generation_kwargs"]
    assert of_llm["generation_kwargs"]["keys"] == [
        {
            "name": "temperature",
            "optional": True,
            "description": "of the sampling, of which more is known on a second line.",
            "type": "float",
            "default": 1.0,
        }
    ]


def test_a_copy_is_set_apart() -> None:
    step = Several(llm=Model(generation_kwargs={"stop": []}), llms=[Model()])
    twin = step.copied()
    twin.set_runtime_parameters(
        {"llm": {"key": "a", "retries": 9}, "llms": {"0": {"retries": 8}}, "num_generations": 4}
    )
    twin.llm.generation_kwargs["stop"].append("x")  # type: ignore[index]
    assert (step.llm.key, step.llm.retries, step.llms[0].retries) == (None, 3, 3)  # type: ignore[attr-defined]
    assert (step.num_generations, step.llm.generation_kwargs) == (1, {"stop": []})
    assert twin.llms[0].retries == 8  # type: ignore[attr-defined]


def test_annotations_that_are_text_still(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("late_annotations")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    code = """
from __future__ import annotations
from beam_distilabel.runtime_parameters import RuntimeParameter, RuntimeParametersMixin

class Late(RuntimeParametersMixin):
    needed: RuntimeParameter[int]
"""
    exec(code, module.__dict__)
    late = module.Late()
    assert late.needed is None
    assert late.runtime_parameters_names == {"needed": False}


def test_closest() -> None:
    assert closest("temprature", ["temperature", "top_p"]) == " Did you mean 'temperature'?"
    assert closest("xyz", ["temperature"]) == ""


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"llm": {"retries": "x"}}, r": llm.retries='x': Input should be a valid integer"),
        ({"llm": {"retry": 1}}, r": llm has no runtime parameter 'retry'. Did you mean 'retries'"),
        (
            {"llm": {"generation_kwargs": {"temprature": 1.0}}},
            r": llm.generation_kwargs: Model has no generation argument 'temprature'. Did you mean "
            "'temperature'",
        ),
        (
            {"llm": {"generation_kwargs": {"temperature": "hot"}}},
            r": llm.generation_kwargs.temperature='hot': Input should be a valid number",
        ),
        ({"llm": {"generation_kwargs": 3}}, r": llm.generation_kwargs=3: Input should be a valid"),
        (
            {"llms": {"1": {"generation_kwargs": {"temperature": []}}}},
            r": llms.1.generation_kwargs.temperature=\[\]: Input should be",
        ),
        ({"llms": [{"retries": 1}, {"retry": 1}]}, r": llms.1 has no runtime parameter 'retry'"),
        ({"llms": [{}, {}, {}]}, r": llms has no item 2: it has 2, 0, 1"),
        ({"llms": {"-1": {}}}, r": llms has no item '-1'"),
        ({"llms": {"0": 3}}, r": llms.0: the runtime parameters of a Model have to be a dict, not"),
        ({"llm": [1]}, r": llm: the runtime parameters of a Model have to be a dict, not a list"),
        ({"resources": {"resources": {"a": "b"}}}, r": resources.resources.a='b': Input should"),
        ({"llm": {"key": ["s3cr3t"]}}, r": llm.key=hidden: Input should be a valid string"),
    ],
)
def test_messages_name_the_path(parameters: dict[str, Any], message: str) -> None:
    step = Several(name="ask", llm=Model(), llms=[Model(), Model()])
    with pytest.raises(DistilabelUserError, match=f"^Step 'ask' .Several.{message}") as caught:
        step.set_runtime_parameters(parameters)
    assert "s3cr3t" not in str(caught.value)


def test_generation_arguments_are_checked_by_their_types() -> None:
    llm = Model()
    llm.set_runtime_parameters({"generation_kwargs": {"temperature": 1}})  # a number all the same
    assert llm.generation_kwargs == {"temperature": 1}
    llm.set_runtime_parameters({"generation_kwargs": None})
    assert llm.generation_kwargs is None


class Keyed(Task):
    by_name: dict[str, LLM] = Field(default_factory=dict)


def test_members_of_a_dict_go_by_their_keys() -> None:
    step = Keyed(llm=Model(), by_name={"a.b": Model(), "c": Model()})
    twin = step.copied()
    twin.set_runtime_parameters({"by_name": {"a.b": {"retries": 5}}})
    assert [llm.retries for llm in twin.by_name.values()] == [5, 3]  # type: ignore[attr-defined]
    assert [llm.retries for llm in step.by_name.values()] == [3, 3]  # type: ignore[attr-defined]
    assert set(step.runtime_parameters_names["by_name"]) == {"a.b", "c"}
    missing = missing_parameters(step.runtime_parameters_names, step)
    assert missing == ["llm.key", "by_name.a.b.key", "by_name.c.key"]


class Documented(Step):
    """A Step.

    Attributes:
        level: how high,
            in metres.
        kind: one of two.
    """

    level: RuntimeParameter[float] = 1.5
    kind: RuntimeParameter[Literal["a", "b"]] = "a"
    key: RuntimeParameter[SecretStr] = SecretStr("s3cr3t")
    made: RuntimeParameter[list[int]] = Field(default_factory=lambda: [1])
    kept: RuntimeParameter[dict[str, list[int] | None]] = Field(default_factory=dict)


def test_types_defaults_and_descriptions() -> None:
    info = {entry.pop("name"): entry for entry in Documented().get_runtime_parameters_info()}
    assert info["level"] == {
        "optional": True,
        "description": "how high, in metres.",
        "type": "float",
        "default": 1.5,
    }
    assert (info["kind"]["type"], info["kind"]["description"]) == ("'a' | 'b'", "one of two.")
    assert (info["key"]["type"], info["key"]["default"]) == ("SecretStr", None)
    assert info["made"] == {"optional": True, "type": "list[int]"}  # what it makes isn't known
    assert (info["kept"]["type"], info["kept"]["default"]) == ("dict[str, list[int]]", {})
    assert info["input_batch_size"]["description"].startswith("The number of rows")
    of_resources = {e["name"]: e for e in info["resources"]["runtime_parameters_info"]}
    assert (of_resources["cpus"]["type"], of_resources["cpus"]["default"]) == ("int", None)


@pytest.mark.parametrize(
    ("step", "given", "message"),
    [
        (Work(), {"default": None}, "default=None: expected int, not None"),
        (Work(), {"default": True}, "default=True: expected int, not a bool"),
        (Ask(llm=Model()), {"num_generations": None}, "expected int, not None"),
        (Ask(llm=Model()), {"llm": {"retries": False}}, "retries=False: expected int, not a bool"),
        (
            Ask(llm=Model()),
            {"llm": {"generation_kwargs": {"temperature": float("inf")}}},
            "generation_kwargs.*a number has to be finite",
        ),
        (
            Ask(llm=Model()),
            {"llm": {"generation_kwargs": {"temperature": True}}},
            "temperature=True: expected float, not a bool",
        ),
    ],
)
def test_what_pydantic_would_take(step: Step, given: dict[str, Any], message: str) -> None:
    with pytest.raises(DistilabelUserError, match=message):
        step.set_runtime_parameters(given)


def test_none_is_for_what_may_be_none() -> None:
    step = Work(optional="x")
    step.set_runtime_parameters({"optional": None})
    assert step.optional is None
