"""StructuredGeneration: what is asked, row by row."""

from __future__ import annotations

import json
from typing import Any

import pytest

from beam_distilabel.transforms.tasks.structured_generation import (
    StructuredGeneration,
    structure_of,
)
from tests.fakes import FakeLLM, new_name

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
STRUCTURE = {"format": "json", "schema": SCHEMA}
USER = {"role": "user", "content": "i"}


def write(**fields: Any) -> StructuredGeneration:
    return StructuredGeneration(name="write", llm=FakeLLM(tag=new_name()), **fields)


@pytest.mark.parametrize(
    "column",
    [
        STRUCTURE,
        json.dumps(STRUCTURE),
        {"format": "json", "schema": json.dumps(SCHEMA)},
        {"format": "json", "schema": {**SCHEMA, "items": None}, "whitespace_pattern": None},
    ],
)
def test_a_structure_comes_in_many_forms(column: Any) -> None:
    row = {"instruction": "i", "structured_output": column}
    assert write().format_input(row) == ([USER], STRUCTURE)


@pytest.mark.parametrize("nothing", [None, "", {}])
def test_a_row_without_a_structure(nothing: Any) -> None:
    assert structure_of(nothing) is None


def test_the_system_prompt_is_used_when_asked_for() -> None:
    row = {"instruction": "i", "system_prompt": "s", "structured_output": STRUCTURE}
    assert write().format_input(row)[0] == [USER]
    step = write(use_system_prompt=True)
    assert step.format_input(row)[0] == [{"role": "system", "content": "s"}, USER]
    assert step.format_input({**row, "system_prompt": None})[0] == [USER]
    assert step.inputs == {"instruction": True, "structured_output": True, "system_prompt": False}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"instruction": 3}, "'instruction' has int"),
        ({"instruction": "i", "structured_output": {"format": "x"}}, "format is 'x'"),
        ({"instruction": "i", "system_prompt": 3}, "'system_prompt' has int"),
    ],
)
def test_rows_that_can_not_be_asked_about(row: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        write(use_system_prompt=True).format_input({"structured_output": None, **row})


def test_the_answer_stays_text() -> None:
    assert write().format_output('{"a": 1}') == {"generation": '{"a": 1}'}
