"""ComplexityScorer and QualityScorer, which read the same form of answer."""

from typing import Any

import pytest
from hypothesis import example, given, strategies as st

from beam_distilabel.errors import ParseError
from beam_distilabel.metadata import METADATA
from beam_distilabel.row import Row
from beam_distilabel.transforms.tasks.answers import scores_of
from beam_distilabel.transforms.tasks.complexity_scorer import ComplexityScorer
from beam_distilabel.transforms.tasks.quality_scorer import QualityScorer
from tests.fakes import new_name, run_with_failures
from tests.tasks.judging import HOSTILE, ScriptedLLM, user_message

LINES = st.lists(
    st.sampled_from("[1] Score: 3|[2] score:|2. Score 9|Score: 1|[0] Score: 5|".split("|"))
)


def scorer(kind: str, **fields: Any) -> tuple[Any, Row]:
    """A scorer, and a row of two texts for it."""
    llm = ScriptedLLM(
        tag=new_name(), answer=fields.pop("answer", ""), script=fields.pop("script", {})
    )
    if kind == "complexity":
        return ComplexityScorer(name="score", llm=llm, **fields), {"instructions": ["a", "b"]}
    row = {"instruction": "i", "responses": ["a", "b"]}
    return QualityScorer(name="score", llm=llm, **fields), row


both = pytest.mark.parametrize("kind", ["complexity", "quality"])


@given(st.none() | HOSTILE | LINES.map("\n".join), st.integers(1, 4))
@example("score" + ":" * 10_000, 2)
@example("[1] " * 5_000 + "score", 2)
@example("[1] Score: " + "9" * 5_000, 1)
@example('{"scores": [1, 2', 2)
def test_parsing_is_total(text: str | None, count: int) -> None:
    try:
        scores = scores_of(text, count)
    except ParseError as error:
        assert str(error)
    else:
        assert len(scores) == count
        assert set(scores) <= {None, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0}


FORMS = st.sampled_from(
    ["[{0}] Score: {1}", "**[{0}] Score:** {1}", "- [{0}] score: {1}/6 (hard)", "{0}. Score - {1}"]
    + ["Instruction {0}: Score: {1}", "[{0}]\nScore: **{1}**", "  [{0}] SCORE: {1}.0"]
)


@given(st.lists(st.integers(1, 6), min_size=1, max_size=12), FORMS, st.randoms())
def test_what_the_judge_wrote_is_found(scores: list[int], form: str, random: Any) -> None:
    lines = [form.format(number, score) for number, score in enumerate(scores, 1)]
    random.shuffle(lines)
    text = "\n".join(["Here is each score:", *lines, "I scored them from 1 to 6."])
    assert scores_of(text, len(scores)) == scores


@pytest.mark.parametrize(
    ("text", "scores"),
    [
        ("[1] Score: 3", [3, None]),
        ("[2] Score: 3\n[3] Score: 6", [None, 3]),
        ("[1] Score: 9\n[2] Score: 2", [None, 2]),
        ("[1] Score: -2\n[2] Score: 2.5", [None, 2.5]),
        ("[0] Score: 1\n[1] Score: 2", [1, 2]),
        ("Score: 1\nScore: 2", [1, 2]),
        ("[1] Score: 1 [2] Score: 2", [1, 2]),
        ("[1] Score: 1\n[2] Score: 2\n[1] Score: 1", [1, 2]),
        ('```\n{"scores": [1, 2.0]}\n```', [1, 2]),
        ('{"scores": ["1", null]}', [1, None]),
    ],
)
def test_odd_answers(text: str, scores: list[Any]) -> None:
    assert scores_of(text, 2) == scores


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "gave no answer"),
        ("Both are fine.", "expected lines such as"),
        ("Score: 4", "expected 2 scores, got 1"),
        ("[1] Score: 1\n[1] Score: 2", "text 1 has two scores"),
        ("[0] Score: 1\n[2] Score: 2", "begins with 0"),
        ("[1] Score: 0\n[2] Score: 7", "no text has a score from 1 to 6"),
        ("[7] Score: 2", "no text has a score"),
        ('{"scores": [1]}', "expected 2 items in 'scores', got 1"),
        ('{"scores": 1}', "expected a list under 'scores', got int"),
    ],
)
def test_answers_that_cannot_be_used(text: Any, message: str) -> None:
    with pytest.raises(ParseError, match=message):
        scores_of(text, 2)


@given(HOSTILE, st.lists(HOSTILE, min_size=1, max_size=3))
def test_texts_are_inserted_as_they_are(instruction: str, texts: list[str]) -> None:
    listed = "\n".join(f"[{number}] {text}" for number, text in enumerate(texts, 1))
    task, _ = scorer("complexity")
    assert f"instructions:\n{listed}\n\nThe scores:\n" in user_message(
        task, {"instructions": texts}
    )
    task, _ = scorer("quality")
    prompt = user_message(task, {"instruction": instruction, "responses": texts})
    assert f"instruction:\n{instruction}\n\nThe responses:\n{listed}\n\nThe scores:\n" in prompt


@both
def test_one_bad_answer_costs_one_row(kind: str) -> None:
    script = {"[1] good": "[1] Score: 2\n[2] Score: 5", "[1] bad": "no", "[1] raise": "!refused"}
    task, row = scorer(kind, script=script)
    column = task.inputs[-1]
    lists: list[Any] = [["good", "b"], ["bad", "b"], ["raise", "b"], "ab", ["good", None, "b"], []]
    done, failures = run_with_failures([{**row, column: value} for value in lists], task)
    assert {str(one[column]): one["scores"] for one in done} == {
        "['good', 'b']": [2.0, 5.0],
        "['bad', 'b']": None,
        "['raise', 'b']": None,
        "ab": None,
        "['good', None, 'b']": [2.0, None, 5.0],
        "[]": None,
    }
    kinds = sorted(failure.kind for failure in failures)
    assert kinds == ["engine", "parse", "render", "render"]


@both
def test_structured_output(kind: str) -> None:
    task, row = scorer(kind, answer='{"scores": [3, 4]}', use_default_structured_output=True)
    task.load()
    [done] = next(task.process([row]))
    assert done["scores"] == [3.0, 4.0]
    assert done[METADATA]["failure_score"] is None
    _, structure = task._format_input(task.sample_row())
    assert structure["schema"]["required"] == ["scores"]
    assert task.output_schema().names == ["scores", "model_name"]
