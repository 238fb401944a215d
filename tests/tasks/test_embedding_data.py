"""The Tasks that write training data for text embeddings."""

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import example, given, strategies as st
from pydantic import ValidationError

from beam_distilabel.errors import ParseError
from beam_distilabel.metadata import METADATA
from beam_distilabel.steps.tasks import (
    BitextRetrievalGenerator,
    EmbeddingTaskGenerator,
    GenerateLongTextMatchingData,
    GenerateShortTextMatchingData,
    GenerateTextClassificationData,
    GenerateTextRetrievalData,
    MonolingualTripletGenerator,
)
from beam_distilabel.transforms.tasks.json_answers import json_answer, texts_under
from tests.fakes import new_name, run_from, run_with_failures
from tests.tasks.judging import HOSTILE, WORDS, ScriptedLLM, prompts, user_message

WRITERS: list[Any] = [
    GenerateLongTextMatchingData,
    GenerateShortTextMatchingData,
    GenerateTextClassificationData,
    GenerateTextRetrievalData,
]
GENERATORS: list[Any] = [BitextRetrievalGenerator, MonolingualTripletGenerator]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | HOSTILE,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(HOSTILE, inner, max_size=3),
    max_leaves=6,
)


def make(cls: Any, **fields: Any) -> Any:
    llm = ScriptedLLM(
        tag=new_name(), answer=fields.pop("answer", ""), script=fields.pop("script", {})
    )
    if cls is BitextRetrievalGenerator:
        fields.setdefault("target_language", "Basque")
    return cls(name="write", llm=llm, **fields)


# ---------------------------------------------------------------------------------- JSON


@given(st.none() | HOSTILE | st.text('{}[]",:0 \n`', max_size=40), st.sampled_from([dict, list]))
@example("[" * 100_000, list)
@example('{"a":' * 100_000, dict)
@example("[" + "9" * 5_000 + "]", list)
@example("```json\n{}\n```\n{", dict)
def test_reading_json_is_total(text: str | None, kind: Any) -> None:
    try:
        assert isinstance(json_answer(text, kind), kind)
    except ParseError as error:
        assert str(error)


@given(
    st.dictionaries(HOSTILE, VALUES, max_size=3) | st.lists(VALUES, max_size=3),
    st.sampled_from(["{}", "Sure:\n```json\n{}\n```\nBye!", "```\n{}\n```", "Here: {} .", " {}\n"]),
)
def test_json_is_found_where_it_stands(value: Any, form: str) -> None:
    assert json_answer(form.replace("{}", json.dumps(value)), type(value)) == value


@given(
    st.lists(st.dictionaries(st.sampled_from("ab"), VALUES), max_size=3),
    st.sampled_from(["<think>{}</think>", "{}</think>", "Not {}. ", "Of the form {}: ", "[1] {"]),
)
def test_the_last_that_fits_is_the_answer(drafts: list[Any], form: str) -> None:
    before = "".join(form.replace("{}", json.dumps(draft)) for draft in drafts)
    for after in ("", " As [1] and {} say.", ' {"b": 1}'):
        text = f'Hm. {before}{{"a": [{{"a": 2}}]}}{after}'
        assert json_answer(text, dict, lambda found: "a" in found) == {"a": [{"a": 2}]}


def test_what_fits_nowhere_is_told_of_by_the_caller() -> None:
    assert json_answer('{"a": 1} {"b": 2}', dict, lambda found: "c" in found) == {"b": 2}
    assert json_answer('{"tasks": ["a"]}', list) == ["a"]


@pytest.mark.parametrize("text", ['<think>Is it {"a": 1}?', 'So.</think>Yes. <think> {"a": 1}'])
def test_thoughts_without_an_end_are_no_answer(text: str) -> None:
    with pytest.raises(ParseError, match="expected a JSON object"):
        json_answer(text, dict)


def test_texts_about_thoughts_are_read() -> None:
    value = {"a": "<think>", "b": "it ends with </think>"}
    assert json_answer(json.dumps(value), dict) == value


def test_line_breaks_in_texts_are_read() -> None:
    assert json_answer('{"a": "one\ntwo\tthree"}', dict) == {"a": "one\ntwo\tthree"}


def test_nothing_is_evaluated() -> None:
    with pytest.raises(ParseError, match="expected a JSON object"):
        json_answer("{'a': __import__('os').getcwd()}", dict)


@pytest.mark.parametrize("value", [None, [], {}])
def test_what_is_no_text_is_refused(value: Any) -> None:
    with pytest.raises(ParseError, match="expected text under 'a', got"):
        texts_under({"a": value}, ["a"])
    with pytest.raises(ParseError, match="got nothing"):
        texts_under({}, ["a"])


# ---------------------------------------------------------------------------------- rows


@pytest.mark.parametrize("cls", WRITERS)
def test_rows(cls: Any) -> None:
    texts = {key: f"some {key}" for key in cls.keys}
    step = make(cls, script={"Sort letters": json.dumps(texts), "Say no": "No."})
    rows = [{"task": "Sort letters."}, {"task": "Say no."}, {"task": 7}]
    done, failures = run_with_failures(rows, step)
    made = {row["task"]: {key: row[key] for key in cls.keys} for row in done}
    nothing = dict.fromkeys(cls.keys)
    assert made == {"Sort letters.": texts, "Say no.": nothing, 7: nothing}
    assert Counter(failure.kind for failure in failures) == {"parse": 1, "render": 1}


@given(HOSTILE)
@example("{task} {{ task }}")
def test_a_task_is_inserted_as_it_is(task: str) -> None:
    for cls in WRITERS:
        prompt = user_message(make(cls), {"task": task})
        assert f" task: {task}\n" in prompt
        assert all(f'"{key}"' in prompt for key in cls.keys)


@given(WORDS, st.integers(0, 5))
def test_what_is_drawn_depends_on_the_row_alone(task: str, seed: int) -> None:
    step = make(GenerateTextRetrievalData, seed=seed)
    asked = user_message(step, {"task": task})
    assert user_message(make(GenerateTextRetrievalData, seed=seed), {"task": task}) == asked
    metadata = {METADATA: {"statistics_other": {"input_tokens": 3}}, "_row_id": "0-7"}
    assert user_message(step, {"task": task, **metadata}) == asked


def test_rows_and_seeds_get_different_draws() -> None:
    step = make(GenerateTextRetrievalData)
    rows = [{"task": "the same", "id": number} for number in range(20)]
    assert len({user_message(step, row) for row in rows}) > 10
    again = make(GenerateTextRetrievalData, seed=1)
    assert [user_message(step, row) for row in rows] != [user_message(again, row) for row in rows]


def test_what_is_set_is_not_drawn() -> None:
    step = make(
        GenerateTextRetrievalData,
        query_type="common",
        query_length="5 to 15 words",
        difficulty="PhD",
        clarity="ambiguous",
        num_words=300,
        language="Basque",
    )
    prompt = user_message(step, {"task": "Find."})
    for said in ("common, ambiguous, and has 5 to 15 words", "PhD", "300 words", "in Basque"):
        assert said in prompt


@pytest.mark.parametrize(
    ("cls", "fields"),
    [
        (GenerateTextClassificationData, {"difficulty": "kindergarten"}),
        (GenerateTextRetrievalData, {"num_words": 60}),
        (MonolingualTripletGenerator, {"high_score": "3"}),
        (EmbeddingTaskGenerator, {"category": "poetry"}),
    ],
)
def test_wrong_arguments_are_refused_at_once(cls: Any, fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        make(cls, **fields)


# ---------------------------------------------------------------------------------- generators


@pytest.mark.parametrize("cls", GENERATORS)
def test_generators(cls: Any) -> None:
    texts = {"S1": "Rain.", "S2": "A shower.", "S3": "Wet."}
    step = make(cls, answer=json.dumps(texts), num_generations=2, unit="phrase", low_score="3")
    done = run_from(step)
    assert [{key: row[key] for key in texts} for row in done] == [texts, texts]
    [prompt] = set(prompts(step.llm))
    assert "phrase" in prompt and "similarity to S1 is 3" in prompt
    assert prompt == step.prompt[0]["content"]


def test_languages() -> None:
    asked = make(BitextRetrievalGenerator, source_language="Latin").prompt[0]["content"]
    assert '"S1": a' in asked and "in Latin" in asked and asked.count("in Basque") == 2
    assert (
        "texts in Maori" in make(MonolingualTripletGenerator, language="Maori").prompt[0]["content"]
    )


def test_tasks_in_one_row() -> None:
    step = make(
        EmbeddingTaskGenerator, category="text-retrieval", answer='```json\n["One.", " Two. "]\n```'
    )
    [row] = run_from(step)
    assert (row["tasks"], row["model_name"]) == (["One.", "Two."], "scripted")
    assert "text retrieval" in prompts(step.llm)[0]


def test_tasks_in_rows_of_their_own() -> None:
    step = make(
        EmbeddingTaskGenerator,
        category="text-matching-long",
        flatten_tasks=True,
        num_generations=2,
        answer='["One.", "Two."]',
    )
    done = run_from(step)
    assert Counter(row["task"] for row in done) == {"One.": 2, "Two.": 2}
    assert len({row["_row_id"] for row in done}) == 4


@pytest.mark.parametrize("flatten", [True, False])
@pytest.mark.parametrize("answer", ["No idea.", "[]", '["a", 1]', '[" "]', "{}"])
def test_tasks_that_cannot_be_read(answer: str, flatten: bool) -> None:
    step = make(
        EmbeddingTaskGenerator, category="text-classification", answer=answer, flatten_tasks=flatten
    )
    with pytest.raises(ParseError):
        step.format_output(answer)


def test_a_generator_without_an_answer_leaves_a_failure() -> None:
    step = make(EmbeddingTaskGenerator, category="text-retrieval", answer="No.", flatten_tasks=True)
    [row] = run_from(step)
    assert row["task"] is None
    assert row[METADATA]["failure_write"]["kind"] == "parse"
