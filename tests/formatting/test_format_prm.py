"""FormatPRM and PrepareExamples."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from beam_distilabel.errors import ColumnError
from beam_distilabel.metadata import METADATA
from beam_distilabel.steps.tasks import FormatPRM
from beam_distilabel.steps.tasks.apigen.utils import PrepareExamples
from tests.fakes import plain, run, run_with_failures

ROW = {"instruction": "1+1+1?", "solutions": ["Step 1: 1+1=2 +", "Step 2: 2+1=4 -"]}


def test_math_shepherd() -> None:
    assert FormatPRM().transform_row(ROW) == {
        **ROW,
        "input": "1+1+1? Step 1: 1+1=2 ки\nStep 2: 2+1=4 ки",
        "label": "1+1+1? Step 1: 1+1=2 +\nStep 2: 2+1=4 -",
    }


def test_trl() -> None:
    assert FormatPRM(format="trl").transform_row(ROW) == {
        **ROW,
        "prompt": "1+1+1?",
        "completions": ["Step 1: 1+1=2", "Step 2: 2+1=4"],
        "labels": [True, False],
    }


def test_tags_of_several_characters() -> None:
    step = FormatPRM(format="trl", tags=["d", "bad"], step_token="?")
    row = {"instruction": "i", "solutions": ["one bad", "two d"]}
    made = step.transform_row(row)
    assert (made["completions"], made["labels"]) == (["one", "two"], [False, True])


@pytest.mark.parametrize(
    ("solutions", "reason"),
    [
        ([], "'solutions' has no steps"),
        (None, "'solutions' is empty \\(None\\), not a list"),
        (["fine +", "lost its tag"], "step 1 .* ends with none of the tags \\['\\+', '-'\\]"),
        ([["a +"]], "item 0 .* is a list, not a text; expand it by ExpandColumns"),
    ],
)
def test_solutions_that_are_none(solutions: Any, reason: str) -> None:
    with pytest.raises(ColumnError, match=reason):
        FormatPRM().transform_row({"instruction": "i", "solutions": solutions})


@pytest.mark.parametrize(
    "arguments", [{"format": "other"}, {"tags": ["+"]}, {"tags": ["+", "+"]}, {"tags": ["+", ""]}]
)
def test_arguments_that_can_not_be_meant(arguments: Any) -> None:
    with pytest.raises(ValidationError, match=next(iter(arguments))):
        FormatPRM(**arguments)


def test_outputs_are_those_of_the_form() -> None:
    assert FormatPRM().outputs == ["input", "label"]
    assert FormatPRM(format="trl").outputs == ["prompt", "completions", "labels"]


def test_examples() -> None:
    row = {"query": ["a", "b"], "answers": ["{1}", None], "other": 1, METADATA: {"x": 1}}
    assert plain(run([row], PrepareExamples())) == [
        {
            "examples": "## Query:\na\n## Answers:\n{1}\n\n## Query:\nb\n## Answers:\nNone",
            METADATA: {"x": 1},
        }
    ]


def test_a_bad_row_costs_itself() -> None:
    rows, [failure] = run_with_failures(
        [{"query": ["a"], "answers": []}, {"query": ["a"], "answers": ["b"]}],
        PrepareExamples(name="prepare", template="{{{query}}} {answers}"),
    )
    assert failure.message == "lists of different lengths: 'query' 1, 'answers' 0"
    assert plain(rows) == [
        {"examples": None, METADATA: {"failure_prepare": failure.reason()}},
        {"examples": "{a} b"},
    ]


@pytest.mark.parametrize(
    "template",
    [
        "{query}",
        "{query} {answers} {more}",
        "{query.__class__} {answers}",
        "{query[0]} {answers}",
        "{query!r} {answers}",
        "{query:>999999999} {answers}",
        "{query} {answers} {",
        "{} {}",
    ],
)
def test_templates_that_can_not_be_meant(template: str) -> None:
    with pytest.raises(ValidationError, match="template"):
        PrepareExamples(template=template)
