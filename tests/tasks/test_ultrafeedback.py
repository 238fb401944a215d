"""UltraFeedback."""

import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given, strategies as st

from beam_distilabel.errors import ParseError
from beam_distilabel.metadata import METADATA
from beam_distilabel.transforms.tasks.ultrafeedback import (
    ASPECTS,
    UltraFeedback,
    columns_of,
    parse,
    render,
)
from tests.fakes import new_name, run_with_failures
from tests.tasks.judging import HOSTILE, WORDS, ScriptedLLM

SIMPLE = ["honesty", "instruction-following", "overall-rating"]
TYPED = ["helpfulness", "truthfulness"]
LINES = (
    *("Type:", "Rating:", "Rationale:", "**Rating:** 3", "#### Output for Text 1", "Text 2"),
    *("", " 5", " N/A", "x", "{}"),
)
LABELS = st.lists(st.sampled_from(LINES) | HOSTILE).map("\n".join)


def judge(aspect: str = "overall-rating", **fields: Any) -> UltraFeedback:
    llm = ScriptedLLM(
        tag=new_name(), answer=fields.pop("answer", ""), script=fields.pop("script", {})
    )
    return UltraFeedback(**{"name": "judge", "llm": llm, "aspect": aspect, **fields})


# ---------------------------------------------------------------------------------- parsing


@given(st.none() | HOSTILE | LABELS, st.sampled_from([*ASPECTS]), st.integers(1, 4))
@example("{" * 10_000, "honesty", 1)
@example('{"ratings": [1]}', "honesty", 1)
@example('{"ratings": [1e999], "rationales": [""]}', "honesty", 1)
@example("Rating: 5\nRationale: a\n\n#### Output for Text 0\nRating: 1", "honesty", 2)
def test_parsing_is_total(text: str | None, aspect: str, count: int) -> None:
    try:
        parsed = parse(text, aspect, count)
    except ParseError as error:
        assert str(error)
        return
    assert list(parsed) == columns_of(aspect)
    for column, values in parsed.items():
        assert len(values) == count
        if column.startswith("rationales"):
            assert all(value is None or (isinstance(value, str) and value) for value in values)
        else:
            assert set(values) <= {None, 1, 2, 3, 4, 5}


def blocks(items: list[tuple[Any, ...]], typed: bool, style: str) -> str:
    """A judge's answer, in one of the ways in which models write it."""
    bold = "**" if style == "bold" else ""
    written = []
    for number, item in enumerate(items, 1):
        lines = [] if style == "bare" else [f"#### Output for Text {number}"]
        if style == "bold":
            lines = [f"**Text {number}:**"]
        labels = ["Type", "Rationale"] * typed + ["Rating", "Rationale"]
        if style == "lower":
            labels = [label.lower() for label in labels]
        for label, value in zip(labels, item, strict=True):
            if label.lower() == "rating" and style == "bold":
                value = f"**{value}/5** (as I see it)"
            lines.append(f"{bold}{label}:{bold}{'  ' if style == 'spaced' else ' '}{value}")
        written.append(("\n\n" if style == "spaced" else "\n").join(lines))
    return "\n\n".join(written) + (
        "\n\n---\nOverall, Text 1 is best." if style == "lower" else "\n"
    )


STYLES = st.sampled_from(["plain", "bare", "bold", "lower", "spaced"])


@given(st.lists(st.tuples(st.integers(1, 5), WORDS), min_size=1, max_size=4), STYLES)
def test_what_the_judge_wrote_is_found(items: list[tuple[int, str]], style: str) -> None:
    assert parse(blocks(items, False, style), "honesty", len(items)) == {
        "ratings": [rating for rating, _ in items],
        "rationales": [rationale.strip() for _, rationale in items],
    }


@given(
    st.lists(
        st.tuples(st.integers(1, 3) | st.none(), WORDS, st.integers(1, 5), WORDS),
        min_size=1,
        max_size=4,
    ),
    STYLES,
    st.sampled_from(TYPED),
)
def test_types_are_found(items: list[tuple[Any, ...]], style: str, aspect: str) -> None:
    written = [("N/A" if kind is None else kind, *rest) for kind, *rest in items]
    assert parse(blocks(written, True, style), aspect, len(items)) == {
        "types": [item[0] for item in items],
        "rationales": [item[1].strip() for item in items],
        "ratings": [item[2] for item in items],
        "rationales-for-ratings": [item[3].strip() for item in items],
    }


@pytest.mark.parametrize(
    ("text", "ratings", "rationales"),
    [
        # In another order, by their numbers.
        ("Text 2\nRating: 1\nRationale: b\nText 1\nRating: 5\nRationale: a", [5, 1], ["a", "b"]),
        # The second is missing, or is given no rating.
        ("#### Output for Text 1\nRating: 5\nRationale: a", [5, None], ["a", None]),
        ("Rating: N/A\nRationale: a\n\nRating: None\nRationale: b", [None, None], ["a", "b"]),
        ("Rating: 4\nRationale: a\n\nRating: 7\nRationale: b", [4, None], ["a", "b"]),
        ("Rating: 4.5\nRationale: a\n\nRating: -3\nRationale: b", [None, None], ["a", "b"]),
        # One too many, about a text that isn't there.
        (
            "Text 1\nRating: 1\nRationale: a\nText 2\nRating: 2\nRationale: b\nText 3\nRating: 3",
            [1, 2],
            ["a", "b"],
        ),
        ("Text 0\nRating: 1\nRationale: a\nText 1\nRating: 2\nRationale: b", [1, 2], ["a", "b"]),
        # The rationale first, over two lines, and one that names the texts.
        ("Rationale: a\nb\nRating: 3\n\nRationale: c\nRating: 4", [3, 4], ["a\nb", "c"]),
        (
            "Rating: 3\nRationale: Text 1 is so.\n\nRating: 4\nRationale: Text 2 too.",
            [3, 4],
            ["Text 1 is so.", "Text 2 too."],
        ),
        (
            "- Rating: 3 out of 5\n- Rationale for Rating: a\n\n> rating : 2\n> rationale : b",
            [3, 2],
            ["a", "b"],
        ),
        ("Text 1\nRating: 1\nRationale: a\nRationale: no\nText 2\nRating: 2", [1, 2], ["a", None]),
        ("Text 1\nRating: 1\nRationale: a\n\nRating: 2\nRationale: b", [1, 2], ["a", "b"]),
        (
            "Text 1\nRating: 1\nRationale: a\n\nb\nc\n\nText 2\nRating: 2\n\nno\nRationale:\n\nd\n"
            "\n## Overall\nBest is 1.",
            [1, 2],
            ["a\n\nb\nc", "d"],
        ),
        ('```json\n{"ratings": [4, 1], "rationales": ["a", "b"]}\n```', [4, 1], ["a", "b"]),
        ('{"ratings": ["4", null], "rationales": ["a", ""]}', [4, None], ["a", None]),
        ("Type: 2\nRating: 4\nRationale: a\n\nRating: 1\nRationale: b", [4, 1], ["a", "b"]),
    ],
)
def test_odd_answers(text: str, ratings: list[Any], rationales: list[Any]) -> None:
    assert parse(text, "honesty", 2) == {"ratings": ratings, "rationales": rationales}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "gave no answer"),
        ("They are both good.", "expected blocks of"),
        ("Rating: 9\n\nRating: none at all", "no text has a rating"),
        ("Rating: 5\nRationale: a", "expected 2 blocks, got 1"),
        ("Rating: 1\n\nRating: 2\n\nRating: 3", "expected 2 blocks, got 3"),
        ('{"ratings": [1, 2, 3], "rationales": ["a", "b"]}', "2 items in 'ratings', got 3"),
        ('{"ratings": [1, 2]}', "a list under 'rationales', got NoneType"),
        ("Text 0\nRating: 1\n\nText 2\nRating: 3", "begins with 0"),
    ],
)
def test_answers_that_cannot_be_used(text: Any, message: str) -> None:
    with pytest.raises(ParseError, match=message):
        parse(text, "honesty", 2)


@pytest.mark.parametrize("key", ["rationales_for_rating", "rationales-for-ratings"])
def test_both_spellings_of_a_json_key(key: str) -> None:
    text = json.dumps({"types": [None, 3], "rationales": ["a", "b"], "ratings": [4, 5], key: "cd"})
    with pytest.raises(ParseError, match=f"a list under '{key}', got str"):
        parse(text, "truthfulness", 2)
    answer = {**json.loads(text), key: ["c", "d"]}
    assert parse(json.dumps(answer), "truthfulness", 2) == {
        "types": [None, 3],
        "rationales": ["a", "b"],
        "ratings": [4, 5],
        "rationales-for-ratings": ["c", "d"],
    }


# ---------------------------------------------------------------------------------- rendering


@given(HOSTILE, st.lists(HOSTILE, min_size=1, max_size=3), st.sampled_from([*ASPECTS]))
def test_texts_are_inserted_as_they_are(
    instruction: str, generations: list[str], aspect: str
) -> None:
    system, user = render(instruction, generations, aspect)
    assert f"\n# Instruction\n{instruction}\n\n# Texts\n" in user["content"]
    for number, generation in enumerate(generations, 1):
        assert f"\n<text {number}>\n{generation}\n</text {number}>\n" in user["content"]
    assert (system["role"], user["role"]) == ("system", "user")
    assert ("Type: <number" in user["content"]) == (aspect in TYPED)


@pytest.mark.parametrize("aspect", ASPECTS)
def test_schemas(aspect: str) -> None:
    task = judge(aspect)
    keys = [*task.get_structured_output()["properties"]]
    assert {key.replace("_for_rating", "-for-ratings") for key in keys} == set(columns_of(aspect))
    schema = task.output_schema()
    assert schema is not None
    assert schema.names == [*columns_of(aspect), "model_name"]
    assert schema.field("ratings").type == pa.list_(pa.int64())
    task = judge(aspect, use_default_structured_output=True)
    formatted: Any = task._format_input(task.sample_row())
    _, structure = formatted
    assert structure == {"format": "json", "schema": task.get_structured_output()}


# ---------------------------------------------------------------------------------- the Task


def test_one_bad_answer_costs_one_row() -> None:
    script = {
        "good": "Rating: 5\nRationale: a\n\nRating: 2\nRationale: b",
        "bad": "Well.",
        "!": None,
    }
    rows = [
        {"instruction": "good", "generations": ["x", "y"]},
        {"instruction": "bad", "generations": ["x", "y"]},
        {"instruction": "!", "generations": ["x", "y"]},
        {"instruction": "good", "generations": "xy"},
        {"instruction": "good", "generations": [None]},
        {"instruction": None, "generations": ["x", "y"]},
        {"instruction": "good too", "generations": ["x", None, "y"]},
    ]
    done, failures = run_with_failures(rows, judge(script=script))
    assert sorted(str(row["ratings"]) for row in done) == [*["None"] * 5, "[5, 2]", "[5, None, 2]"]
    assert sorted(failure.kind for failure in failures) == [*["parse"] * 2, *["render"] * 3]
    [sparse] = [row for row in done if row["instruction"] == "good too"]
    assert sparse["rationales"] == ["a", None, "b"]
    assert "<text 2>\ny\n" in sparse[METADATA]["raw_input_judge"][1]["content"]


def test_grouped_generations() -> None:
    task = judge("honesty", answer="Rating: 5", num_generations=2, group_generations=True)
    task.load()
    [row] = next(task.process([{"instruction": "i", "generations": ["x"]}]))
    assert (row["ratings"], row["rationales"]) == ([[5], [5]], [[None], [None]])


def test_the_prompt_can_be_shown(capsys: pytest.CaptureFixture[str]) -> None:
    judge("helpfulness").print()
    assert "<GENERATION 2>" in capsys.readouterr().out
