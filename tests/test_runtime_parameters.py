"""Runtime parameters."""

# A runtime parameter may be left out of the constructor, which mypy can't know.
# mypy: disable-error-code="call-arg"

import sys
import types
from typing import Any

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
