"""GenerateSentencePair."""

from typing import Any

import pytest
from hypothesis import example, given, strategies as st
from pydantic import ValidationError

from beam_distilabel.errors import ParseError
from beam_distilabel.metadata import METADATA
from beam_distilabel.transforms.tasks.generate_sentence_pair import (
    GenerateSentencePair,
    parse,
    render,
)
from tests.fakes import new_name, run_with_failures
from tests.tasks.judging import HOSTILE, WORDS, ScriptedLLM

HEADINGS = st.lists(st.sampled_from(["## Positive", "## Negative", "#positive:", "x", ""]))


def writer(**fields: Any) -> GenerateSentencePair:
    llm = ScriptedLLM(tag=new_name(), script=fields.pop("script", {}))
    return GenerateSentencePair(**{"name": "pair", "llm": llm, "action": "query", **fields})


@given(st.none() | HOSTILE | HEADINGS.map("\n".join), st.booleans())
@example('{"positive": 1, "negative": null}', True)
@example('{"positive": ["a"]}', False)
@example("#" * 10_000 + "positive", False)
def test_parsing_is_total(text: str | None, triplet: bool) -> None:
    try:
        found = parse(text, triplet)
    except ParseError as error:
        assert str(error)
    else:
        assert list(found) == (["positive", "negative"] if triplet else ["positive"])
        assert all(value and value == value.strip() for value in found.values())


@given(WORDS, WORDS, st.sampled_from(["\n", "\n\n", ": ", " \n"]), st.booleans())
def test_what_was_written_is_found(positive: str, negative: str, gap: str, turned: bool) -> None:
    sections = [f"## Positive{gap}{positive}\n", f"## Negative{gap}{negative}\n"]
    if gap == ": " and turned:
        sections = [f"**Positive:** {positive}", f"**Negative**:\n{negative}"]
    text = "\n".join(["Sure!", *(reversed(sections) if turned else sections)])
    assert parse(text, triplet=True) == {"positive": positive, "negative": negative}


@pytest.mark.parametrize(
    ("text", "triplet", "message"),
    [
        (None, False, "no answer"),
        ("I can't.", False, "'positive', got nothing"),
        ("## Positive\na", True, "'negative', got nothing"),
        ("## Positive\n\n## Negative\nb", True, "'positive' is empty"),
        ("## Positive\na\n## Positive\nb", False, "two sections 'positive'"),
        ('{"positive": "a", "negative": {}}', True, "'negative', got dict"),
    ],
)
def test_answers_that_cannot_be_used(text: Any, triplet: bool, message: str) -> None:
    with pytest.raises(ParseError, match=message):
        parse(text, triplet)


@pytest.mark.parametrize("form", ["{}:", "**{}:**", "**{}**:", "**{}**\n", "### **{}**"])
def test_headings_in_another_dress(form: str) -> None:
    text = f"{form.format('Positive')} so\n\n{form.format('Negative')} no"
    assert parse(text, triplet=True) == {"positive": "so", "negative": "no"}


def test_labels_below_headings_are_a_part_of_the_text() -> None:
    assert parse("## Positive\nnegative: -1", False) == {"positive": "negative: -1"}


def test_json_is_read_too() -> None:
    assert parse('{"positive": "a", "negative": "b"}', True) == {"positive": "a", "negative": "b"}


@given(HOSTILE, HOSTILE.filter(bool))
def test_texts_are_inserted_as_they_are(anchor: str, context: str) -> None:
    system, user = render(anchor, "paraphrase", triplet=True, hard_negative=True, context=context)
    assert user["content"] == f"## Context\n{context}\n\n## Anchor\n{anchor}\n"
    assert "## Negative" in system["content"] and "hard one" in system["content"]
    system, user = render(anchor, "answer")
    assert user["content"] == f"## Anchor\n{anchor}\n"
    assert "egative" not in system["content"] and "context" not in system["content"]


def test_a_hard_negative_needs_a_negative() -> None:
    with pytest.raises(ValidationError, match="hard_negative=True needs triplet=True"):
        writer(hard_negative=True)


def test_rows() -> None:
    answer = "## Positive\nWhat is rain?\n\n## Negative\nWhat is a train?"
    step = writer(triplet=True, script={"Rain": answer, "Snow": "I don't know."})
    rows = [{"anchor": "Rain is water."}, {"anchor": "Snow is ice."}, {"anchor": None}]
    done, failures = run_with_failures(rows, step)
    made = {row["anchor"]: (row["positive"], row["negative"]) for row in done}
    assert made == {
        "Rain is water.": ("What is rain?", "What is a train?"),
        "Snow is ice.": (None, None),
        None: (None, None),
    }
    assert {failure.kind for failure in failures} == {"parse", "render"}
    [sent] = [row[METADATA]["raw_input_pair"] for row in done if row["positive"]]
    assert sent == render("Rain is water.", "query", triplet=True)


def test_structured_output() -> None:
    schema = writer(triplet=True).get_structured_output()
    assert schema["required"] == ["positive", "negative"]
    assert writer().outputs == ["positive", "model_name"]
