"""TextClassification."""

import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given, strategies as st
from pydantic import ValidationError

from beam_distilabel.errors import ParseError
from beam_distilabel.transforms.tasks.text_classification import TextClassification
from tests.fakes import new_name, run_with_failures
from tests.tasks.judging import HOSTILE, ScriptedLLM, user_message


def classifier(**fields: Any) -> TextClassification:
    llm = ScriptedLLM(tag=new_name(), script=fields.pop("script", {}))
    return TextClassification(**{"name": "classify", "llm": llm, **fields})


def labels(text: str | None, **fields: Any) -> Any:
    return classifier(**fields).format_output(text)["labels"]


TWO = {"n": 2, "default_label": ["?", "!"]}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | HOSTILE, lambda inner: st.lists(inner, max_size=3)
).map(lambda value: json.dumps({"labels": value}))


@given(st.none() | HOSTILE | JSON, st.integers(1, 3), st.none() | st.just(["a", "b"]))
@example('{"labels": "\\ud800"}', 1, None)
def test_parsing_is_total(text: str | None, n: int, available: list[str] | None) -> None:
    try:
        found = labels(text, n=n, available_labels=available)
    except ParseError as error:
        assert str(error)
    else:
        assert isinstance(found, str) if n == 1 else 1 <= len(found) <= n


@given(st.lists(st.sampled_from(["Good news", "bad", "Unclassified"]), min_size=1, unique=True))
def test_what_the_model_wrote_is_found(given_labels: list[str]) -> None:
    fields: dict[str, Any] = {"n": 3, "available_labels": {"Good news": "what is fine", "bad": "-"}}
    text = json.dumps({"labels": given_labels})
    assert labels(text, **fields) == given_labels
    assert labels(f"Sure:\n```json\n{text.lower()}\n```", **fields) == given_labels
    assert labels(json.dumps({"labels": [f" {one} " for one in given_labels]}), n=3) == given_labels


@pytest.mark.parametrize(
    ("text", "fields", "expected"),
    [
        ('{"labels": ["a"]}', {}, "a"),
        ('<think>{"labels": "b"}? No.</think>{"labels": "a"} {}', {}, "a"),
        ('{"labels": "a"}', {"n": 2}, ["a"]),
        ('{"labels": ["a", "a"]}', {}, "a"),
        ('{"labels": "unclassified"}', {"available_labels": ["a"]}, "Unclassified"),
        (
            '{"labels": ["?", "!"]}',
            {"n": 2, "available_labels": ["a"], "default_label": ["?", "!"]},
            ["?", "!"],
        ),
        ('{"labels": "A"}', {"available_labels": ["a", "A"]}, "A"),
    ],
)
def test_odd_answers(text: str, fields: dict[str, Any], expected: Any) -> None:
    assert labels(text, **fields) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "gave no answer"),
        ("good", "expected JSON"),
        ('{"label": "a"}', "expected JSON"),
        ('{"labels": 1}', "expected a text or a list of texts"),
        ('{"labels": ["a", null]}', "expected a text or a list of texts"),
        ('{"labels": []}', "expected 1 to 1 labels, got 0"),
        ('{"labels": ["a", "b"]}', "expected 1 to 1 labels, got 2"),
        ('{"labels": " "}', "a label is empty"),
        ('{"labels": "c"}', "the label 'c' is none of the available ones"),
    ],
)
def test_answers_that_cannot_be_used(text: Any, message: str) -> None:
    with pytest.raises(ParseError, match=message):
        labels(text, available_labels=["a", "b"])


@given(HOSTILE)
def test_what_is_asked(text: str) -> None:
    prompt = user_message(classifier(), {"text": text})
    assert f"\n# User Query\n<text>\n{text}\n</text>\n" in prompt
    assert prompt.endswith('\n{"labels": "label"}')


def test_what_is_asked_with_labels_and_examples() -> None:
    task = classifier(
        n=2,
        available_labels={"spam": "nobody asked for it", "mail": "the rest"},
        examples=["Buy now! -> spam"],
        context=None,
        default_label=None,
        query_title="E-Mail",
        system_prompt=None,
    )
    [message] = task.format_input(task.sample_row())
    lines = str(message["content"]).splitlines()
    assert {"- spam: nobody asked for it", "- mail: the rest", "- Buy now! -> spam"} <= {*lines}
    assert "# E-Mail" in lines
    assert lines[-1] == '{"labels": ["label", "label"]}'
    assert not any("says too little" in line for line in lines)


def test_no_labels_to_choose_from() -> None:
    with pytest.raises(ValidationError, match="available_labels is empty"):
        classifier(available_labels=[])


@pytest.mark.parametrize(
    ("n", "kind", "found"), [(1, pa.string(), "a"), (2, pa.list_(pa.string()), ["a"])]
)
def test_one_bad_answer_costs_one_row(n: int, kind: Any, found: Any) -> None:
    task = classifier(n=n, name="labels", script={"#good": '{"labels": "a"}', "#bad": "a"})
    formatted: Any = task._format_input({"text": "t"})
    assert formatted[1] == {"format": "json", "schema": task.get_structured_output()}
    done, failures = run_with_failures([{"text": text} for text in ("#good", "#bad", 5)], task)
    assert {row["text"]: row["labels"] for row in done} == {"#good": found, "#bad": None, 5: None}
    assert sorted(failure.kind for failure in failures) == ["parse", "render"]
    schema = task.output_schema()
    assert schema is not None
    assert schema.field("labels").type == kind


class Own(TextClassification):
    """A user's own."""

    query_title: str = "Letter"


def test_a_field_that_beam_has_a_method_for() -> None:
    assert Own(llm=ScriptedLLM()).default_label == "Unclassified"
    task = classifier(name="labels", default_label="?")
    assert (task.default_label, task.label, ("other" >> task).label) == ("?", "labels", "other")
    [row] = [{"text": "t"}] | classifier(name="labels", script={"": '{"labels": "a"}'})
    assert (row["text"], row["labels"]) == ("t", "a")
