"""PrometheusEval."""

import string
from collections import Counter
from typing import Any

import pytest
from hypothesis import example, given, strategies as st
from pydantic import ValidationError

from beam_distilabel.errors import ParseError
from beam_distilabel.metadata import METADATA
from beam_distilabel.transforms.tasks.prometheus_eval import (
    RUBRICS,
    PrometheusEval,
    parse,
    render_absolute,
    render_relative,
)
from tests.fakes import FakeLLM, new_name, run, run_with_failures

OWN = "[Is it short?]\n" + "\n".join(f"Score {n}: about {6 - n} pages" for n in range(1, 6))
hostile = st.text(st.characters() | st.sampled_from("{}%#\\'\"\x00\ud800\u2028[]"), max_size=40)


def judge(**fields: Any) -> PrometheusEval:
    answer = fields.pop("answer", "Feedback: fine [RESULT] 4")
    llm = FakeLLM(tag=new_name(), answer=answer)
    return PrometheusEval(
        **{"name": "judge", "llm": llm, "mode": "absolute", "rubric": "honesty", **fields}
    )


# ---------------------------------------------------------------------------------- parsing


@given(st.none() | hostile | st.text("Feedback: [RESULT]12345AB\n ", max_size=60))
@example("Feedback: [RESULT] 5 [RESULT] 5")
@example("[RESULT]")
@example("Feedback: x [RESULT] ٣")  # a digit, but none of ours
@example("Feedback: x [RESULT] 05")
@example("Feedback: x [RESULT] 3.")
def test_parsing_is_total(text: str | None) -> None:
    for mode, results in (("absolute", {1, 2, 3, 4, 5}), ("relative", {"A", "B"})):
        try:
            feedback, result = parse(text, mode)  # type: ignore[arg-type]
        except ParseError as error:
            assert str(error)
        else:
            assert result in results
            assert isinstance(feedback, str)
            assert feedback == feedback.strip()


@given(
    st.text(string.printable.replace("[", ""), max_size=50),
    st.integers(1, 5),
    st.sampled_from(["", "Feedback: ", "feedback:", " ###Feedback: ", "### Feedback :\n"]),
    st.sampled_from(["", " ", "\n", "  \n"]),
)
def test_what_the_judge_wrote_is_found(text: str, score: int, prefix: str, end: str) -> None:
    feedback, result = parse(f"{prefix}x{text} [RESULT]{end}{score}{end}", "absolute")
    assert (feedback, result) == (f"x{text}".strip(), score)


@pytest.mark.parametrize(
    ("written", "mode", "result"),
    [
        ("(4)", "absolute", 4),
        ("**5**.", "absolute", 5),
        ("b", "relative", "B"),
        (" (A)\n", "relative", "A"),
    ],
)
def test_results_in_another_dress(written: str, mode: Any, result: Any) -> None:
    assert parse(f"a [RESULT] {written}", mode) == ("a", result)


@pytest.mark.parametrize(
    ("text", "mode", "message"),
    [
        ("a [RESULT] (4) or (5)", "absolute", "got '.4. or .5.'"),
        ("a [RESULT] 4/10", "absolute", "got '4/10'"),
        (None, "absolute", "gave no answer"),
        ("", "absolute", "expected exactly one .RESULT. in the answer, got 0"),
        ("a [RESULT] 1 [RESULT] 2", "absolute", "got 2"),
        ("a [RESULT] 6", "absolute", "expected one of 1, 2, 3, 4, 5 after .RESULT., got '6'"),
        ("a [RESULT] A", "absolute", "got 'A'"),
        ("a [RESULT] 1", "relative", "expected one of A, B"),
        ("a [RESULT] AB", "relative", "got 'AB'"),
    ],
)
def test_answers_that_cannot_be_used(text: Any, mode: Any, message: str) -> None:
    with pytest.raises(ParseError, match=message):
        parse(text, mode)


def test_unknown_mode() -> None:
    with pytest.raises(ValueError, match="mode"):
        parse("a [RESULT] 1", "both")  # type: ignore[arg-type]


# ---------------------------------------------------------------------------------- rendering


@given(hostile, hostile, st.none() | hostile)
def test_texts_are_inserted_as_they_are(
    instruction: str, generation: str, reference: str | None
) -> None:
    system, user = render_absolute(instruction, generation, RUBRICS["honesty"], reference)
    assert (
        f"evaluate:\n{instruction}\n\n###Response to evaluate:\n{generation}\n" in user["content"]
    )
    assert user["content"].endswith(f"###Score Rubrics:\n{RUBRICS['honesty']}\n\n###Feedback: ")
    assert ("###Reference Answer (Score 5):" in user["content"]) >= (reference is not None)
    if reference is not None:
        assert f"(Score 5):\n{reference}\n" in user["content"]
    assert [system["role"], user["role"]] == ["system", "user"]

    _, user = render_relative(instruction, [generation, instruction], OWN, reference)
    assert f"A:\n{generation}\n\n###Response B:\n{instruction}\n" in user["content"]
    # As published: the criterion alone.
    assert user["content"].endswith("###Score Rubric:\n[Is it short?]\n\n###Feedback: ")


@pytest.mark.parametrize("generations", [[], ["a"], ["a", "b", "c"], "ab"])
def test_a_comparison_of_not_two(generations: Any) -> None:
    with pytest.raises(ValueError, match="compares exactly two answers"):
        render_relative("?", generations, OWN)


# ---------------------------------------------------------------------------------- the Task


def test_absolute() -> None:
    [row] = run([{"instruction": "2+2?", "generation": "4"}], judge())
    assert (row["feedback"], row["result"]) == ("fine", 4)
    sent = row[METADATA]["raw_input_judge"]
    assert sent == render_absolute("2+2?", "4", RUBRICS["honesty"])


def test_relative_with_a_reference() -> None:
    step = judge(mode="relative", reference=True, answer="Feedback: A is. [RESULT] B")
    assert step.inputs == ["instruction", "generations", "reference"]
    row = {"instruction": "?", "generations": ["a", "b"], "reference": "r"}
    [done] = run([row], step)
    assert (done["feedback"], done["result"]) == ("A is.", "B")
    assert done[METADATA]["raw_input_judge"] == render_relative(
        "?", ["a", "b"], RUBRICS["honesty"], "r"
    )


def test_a_rubric_of_ones_own() -> None:
    step = judge(rubric="length", rubrics={"length": OWN})
    assert step.format_input({"instruction": "?", "generation": "!"})[1]["content"].endswith(
        f"{OWN}\n\n###Feedback: "
    )


def test_built_in_rubrics() -> None:
    assert set(RUBRICS) == {
        "helpfulness",
        "harmlessness",
        "honesty",
        "factual-validity",
        "reasoning",
    }
    for rubric in RUBRICS:
        judge(rubric=rubric)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rubric": "beauty"}, "rubric='beauty' is not among the rubrics helpfulness, harml"),
        ({"rubric": "r", "rubrics": {"r": "[x]\nScore 1: a"}}, "'r' isn't in Prometheus' form"),
        ({"rubric": "r", "rubrics": {"r": OWN, "s": "text"}}, "'s' isn't in Prometheus' form"),
        ({"rubric": "r", "rubrics": {}}, "is not among the rubrics"),
        ({"mode": "both"}, "mode"),
    ],
)
def test_wrong_arguments_are_refused_at_once(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        judge(**fields)


BAD: list[Any] = [None, 5, 1.5, True, ["a"], {"a": "b"}, b"a"]


@pytest.mark.parametrize("column", ["instruction", "generation", "reference"])
def test_a_column_without_text_costs_its_row(column: str) -> None:
    good = {"instruction": "i", "generation": "g", "reference": "r"}
    rows = [good, *({**good, column: value} for value in BAD)]
    lacking = {k: v for k, v in good.items() if k != column}
    done, failures = run_with_failures([*rows, lacking], judge(reference=True))
    # In any order: rows that can't be rendered may be done before the engine answers.
    assert Counter(row["result"] for row in done) == {4: 1, None: len(BAD) + 1}
    assert {failure.kind for failure in failures} == {"render"}
    assert len(failures) == len(BAD) + 1
    for failure in failures:
        assert f"the column {column!r} has " in failure.message


@pytest.mark.parametrize(
    "generations", [*BAD, [], ["a", None], ["a", "b", "c"], [["a"], ["b"]], "ab"]
)
def test_generations_that_are_not_two_texts_cost_their_row(generations: Any) -> None:
    rows = [{"instruction": "i", "generations": generations}]
    [row] = run(rows, judge(mode="relative", answer="[RESULT] A"))
    assert row["result"] is None
    assert row[METADATA]["failure_judge"]["kind"] == "render"


def test_an_answer_without_result_costs_its_row() -> None:
    rows = [{"instruction": "i", "generation": "g"}]
    [row], [failure] = run_with_failures(rows, judge(answer="It is nice."))
    assert (row["feedback"], row["result"]) == (None, None)
    assert (failure.kind, failure.raw_output) == ("parse", "It is nice.")
