"""InstructionBacktranslation."""

from typing import Any

import pytest
from hypothesis import example, given, strategies as st

from beam_distilabel.errors import ParseError
from beam_distilabel.transforms.tasks.instruction_backtranslation import (
    InstructionBacktranslation,
    parse,
)
from tests.fakes import new_name, run_with_failures
from tests.tasks.judging import HOSTILE, WORDS, ScriptedLLM, user_message


def judge(**script: Any) -> InstructionBacktranslation:
    llm = ScriptedLLM(tag=new_name(), script=script)
    return InstructionBacktranslation(name="judge", llm=llm)


@given(st.none() | HOSTILE | st.text("Score: 35\n*/.", max_size=40))
@example("score" + " :" * 10_000)
@example("Score: " + "5" * 10_000)
def test_parsing_is_total(text: str | None) -> None:
    try:
        score, reason = parse(text)
    except ParseError as error:
        assert str(error)
    else:
        assert score in range(1, 6)
        assert reason == reason.strip()


@given(
    WORDS,
    st.integers(1, 5),
    st.sampled_from(
        [
            "\n\nScore: {}",
            "\nScore:{}\n",
            "\n\n**Score:** {}/5",
            "\n**Score: {}**",
            " SCORE: [{}].  \n",
        ]
        + ["\nScore: {} out of 5", "\n### Score:\n{}"]
    ),
)
def test_what_the_judge_wrote_is_found(reason: str, score: int, end: str) -> None:
    assert parse(f" {reason}{end.format(score)}") == (score, reason)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Score: 3", (3, "")),
        ("Score: 4/5\n\nIt is fine.", (4, "It is fine.")),
        ("A score: 5 would be too much.\nScore: 4", (4, "A score: 5 would be too much.")),
    ],
)
def test_odd_answers(text: str, expected: tuple[int, str]) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "gave no answer"),
        ("", "a line such as 'Score: 3'"),
        ("I give it a three.", "a line such as"),
        ("Fine. Score: 0", "from 1 to 5, got 0"),
        ("Fine. Score: 10", "from 1 to 5, got 10"),
        ("Fine. Score: 4.5", "a line such as"),
        ("Score: 4\nScore: 9", "got 9"),
    ],
)
def test_answers_that_cannot_be_used(text: Any, message: str) -> None:
    with pytest.raises(ParseError, match=message):
        parse(text)


@given(HOSTILE, HOSTILE)
def test_texts_are_inserted_as_they_are(instruction: str, generation: str) -> None:
    prompt = user_message(judge(), {"instruction": instruction, "generation": generation})
    assert prompt.endswith(f"\n\nInstruction:\n{instruction}\n\nResponse:\n{generation}\n")


def test_one_bad_answer_costs_one_row() -> None:
    rows = [{"instruction": "i", "generation": text} for text in ("#good", "#bad", "#raise", None)]
    script = {"#good": "It is right.\nScore: 5", "#bad": "Hm.", "#raise": "!refused"}
    task = judge(**script)
    done, failures = run_with_failures(rows, task)
    assert {row["generation"]: (row["score"], row["reason"]) for row in done} == {
        "#good": (5, "It is right."),
        "#bad": (None, None),
        "#raise": (None, None),
        None: (None, None),
    }
    assert sorted(failure.kind for failure in failures) == ["engine", "parse", "render"]
    schema = task.output_schema()
    assert schema is not None
    assert schema.names == ["score", "reason", "model_name"]
