"""What a `process` function asks for."""

import inspect
from typing import TYPE_CHECKING, Any

import pytest

from beam_distilabel.signatures import step_inputs, takes_many_inputs
from beam_distilabel.typing import StepInput

if TYPE_CHECKING:
    from beam_distilabel import typing as only_for_checkers


def plain(self: Any, inputs: StepInput) -> Any: ...


def many(self: Any, *inputs: StepInput) -> Any: ...


def as_text(self: Any, inputs: "StepInput") -> Any: ...


def of_checkers(
    self: Any, inputs: "only_for_checkers.StepInput"
) -> "only_for_checkers.Nothing": ...  # type: ignore[name-defined]


def two(self: Any, a: StepInput, b: StepInput, c: int = 1) -> Any: ...


def without(self: Any, inputs: list[dict[str, Any]]) -> Any: ...


@pytest.mark.parametrize(
    ("function", "names"),
    [
        (plain, ["inputs"]),
        (many, ["inputs"]),
        (as_text, ["inputs"]),
        (of_checkers, ["inputs"]),
        (two, ["a", "b"]),
        (without, []),
    ],
)
def test_parameters_that_receive_rows(function: Any, names: list[str]) -> None:
    assert [parameter.name for parameter in step_inputs(function)] == names
    assert takes_many_inputs(function) == (function is many)


def test_a_signature_that_was_set() -> None:
    def function(*args: Any) -> Any: ...

    parameter = inspect.Parameter(
        "inputs", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=StepInput
    )
    function.__signature__ = inspect.Signature([parameter])  # type: ignore[attr-defined]
    assert [p.name for p in step_inputs(function)] == ["inputs"]
