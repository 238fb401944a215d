"""CLAIR."""

from typing import Any

import pytest
from hypothesis import example, given, strategies as st

from beam_distilabel.errors import ParseError
from beam_distilabel.transforms.tasks.clair import CLAIR, SYSTEM_PROMPT, parse
from tests.fakes import new_name, run_with_failures
from tests.tasks.judging import HOSTILE, WORDS, ScriptedLLM

HEADINGS = st.sampled_from(
    [
        "{{{}_student_solution}}:",
        "{{{}_student_solution}}",
        "**{{{}_student_solution}}:**",
        "**{} Student Solution:**",
        "## {} Student Solution",
        "{} student solution:",
    ]
)
REASONING = st.sampled_from(
    ["", "{teacher_reasoning}: ", "**{teacher_reasoning}:**\n", "Teacher reasoning: "]
    + ["{teacher_reasoning}\n", "Sure!\n\n**Teacher Reasoning:** "]
)


def teacher(**fields: Any) -> CLAIR:
    llm = ScriptedLLM(tag=new_name(), script=fields.pop("script", {}))
    return CLAIR(name="teacher", llm=llm, **fields)


@given(st.none() | HOSTILE | st.text("{}corrected_student_solution:*\n ", max_size=60))
@example("**" * 5_000 + "corrected student solution")
@example("{corrected_student_solution}" * 3_000)
@example("{corrected_student_solution}: \n ")
def test_parsing_is_total(text: str | None) -> None:
    try:
        revision, rational = parse(text)
    except ParseError as error:
        assert str(error)
    else:
        assert revision
        assert (revision.strip(), rational.strip()) == (revision, rational)


@given(WORDS, WORDS, HEADINGS, REASONING, st.sampled_from(["corrected", "worsened", "Corrected"]))
def test_what_the_teacher_wrote_is_found(
    why: str, revision: str, heading: str, reasoning: str, kind: str
) -> None:
    if "{" in heading:
        kind = kind.lower()
    text = f"{reasoning}{why}\n\n{heading.format(kind)}\n{revision}\n"
    assert parse(text) == (revision, why)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Prose that names the heading isn't the heading, where there is one.
        (
            "The {corrected_student_solution} has to say 4.\n\n{corrected_student_solution}: 4",
            ("4", "The {corrected_student_solution} has to say 4."),
        ),
        ("Wrong. {corrected_student_solution}: 4", ("4", "Wrong.")),
        ("{corrected_student_solution}: 4\n\n4 it is.", ("4\n\n4 it is.", "")),
    ],
)
def test_odd_answers(text: str, expected: tuple[str, str]) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "gave no answer"),
        ("The corrected student solution is 4.", "expected the heading"),
        ("{teacher_reasoning}: a\n{corrected_student_solution}:\n", "nothing after the heading"),
    ],
)
def test_answers_that_cannot_be_used(text: Any, message: str) -> None:
    with pytest.raises(ParseError, match=message):
        parse(text)


@given(HOSTILE, HOSTILE)
def test_texts_are_inserted_as_they_are(task: str, solution: str) -> None:
    system, user = teacher().format_input({"task": task, "student_solution": solution})
    assert system == {"role": "system", "content": SYSTEM_PROMPT}
    assert user["content"].startswith(f"{{task}}: {task}\n\n{{student_solution}}: {solution}\n\n")


def test_one_bad_answer_costs_one_row() -> None:
    good = "{teacher_reasoning}: off by one\n\n{corrected_student_solution}: 4"
    task = teacher(script={"}: five": good, "}: six": "4"}, system_prompt="Revise.")
    rows = [{"task": "2+2?", "student_solution": text} for text in ("five", "six", 5)]
    done, failures = run_with_failures(rows, task)
    assert {row["student_solution"]: (row["revision"], row["rational"]) for row in done} == {
        "five": ("4", "off by one"),
        "six": (None, None),
        5: (None, None),
    }
    assert sorted(failure.kind for failure in failures) == ["parse", "render"]
    schema = task.output_schema()
    assert schema is not None
    assert schema.names == ["revision", "rational", "model_name"]
