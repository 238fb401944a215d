"""TextGeneration and ChatGeneration."""

from typing import Any

import pytest
from hypothesis import given, strategies as st
from pydantic import ValidationError

from beam_distilabel.metadata import METADATA
from beam_distilabel.transforms.tasks.text_generation import (
    ChatGeneration,
    TextGeneration,
    is_chat,
    template_variables,
)
from tests.fakes import FakeLLM, new_name, run, run_with_failures

hostile = st.text(st.characters() | st.sampled_from("{}%#\\'\"\x00\ud800\u2028"), max_size=40)


def write(**fields: Any) -> TextGeneration:
    return TextGeneration(**{"name": "write", "llm": FakeLLM(tag=new_name()), **fields})


def said(step: Any, **row: Any) -> list[tuple[str, Any]]:
    return [(message["role"], message["content"]) for message in step.format_input(row)]


# ---------------------------------------------------------------------------------- prompts


@given(hostile, hostile)
def test_texts_are_inserted_as_they_are(one: str, other: str) -> None:
    """Whatever template syntax is in them."""
    assert said(PLAIN, instruction=one) == [("user", one)]
    assert said(TWO, one=one, other=other) == [("user", f"<{one}|{other}>\n")]


PLAIN = write()
TWO = write(columns=["one", "other"], template="<{{ one }}|{{ other }}>\n")


def test_the_system_prompt() -> None:
    step = write(system_prompt="Be brief.")
    assert said(step, instruction="i") == [("system", "Be brief."), ("user", "i")]
    own = [("system", "Be long."), ("user", "i")]
    assert said(step, instruction="i", system_prompt="Be long.") == own
    for nothing in (None, ""):
        assert said(step, instruction="i", system_prompt=nothing)[0] == ("system", "Be brief.")
    assert said(write(), instruction="i", system_prompt=None) == [("user", "i")]
    ignoring = write(system_prompt="Be brief.", use_system_prompt=False)
    assert said(ignoring, instruction="i", system_prompt="Be long.")[0] == ("system", "Be brief.")


def test_templates() -> None:
    step = write(
        columns=["examples", "question"],
        template="{% for e in examples %}- {{ e.text }}\n{% endfor %}{{ question }}",
    )
    row = {"examples": [{"text": "a"}, {"text": "b"}], "question": "?"}
    assert said(step, **row) == [("user", "- a\n- b\n?")]
    assert step.inputs == {"examples": True, "question": True, "system_prompt": False}
    assert write(columns="instruction").columns == ["instruction"]
    # A number is no text, but a template may write it.
    assert said(write(columns=["n"], template="{{ n + 1 }}"), n=1) == [("user", "2")]


def test_variables() -> None:
    assert template_variables("{{ a }}{% for x in b %}{{ x.y }}{% endfor %}") == {"a", "b"}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"template": "{{ topic }}"}, "uses 'topic', which `columns`=.'instruction'. doesn't name"),
        ({"template": "{{ instruction "}, "the template can't be read, line 1"),
        ({"template": "{% for %}"}, "the template can't be read"),
        ({"columns": "topic"}, "uses 'instruction'"),
        ({"columns": []}, "uses 'instruction'"),
    ],
)
def test_templates_that_cannot_work_are_refused_at_once(
    fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        write(**fields)


@pytest.mark.parametrize(
    "template",
    [
        "{{ instruction.__class__.__mro__[1].__subclasses__() }}",
        "{{ instruction.__init__.__globals__ }}",
        "{% for i in range(10000000) %}{% endfor %}{{ instruction }}",
        "{{ instruction.append(1) }}",
        "{{ 1 // 0 }}",
    ],
)
def test_a_template_reaches_nothing_but_its_columns(template: str) -> None:
    """It may come from a file that someone else wrote; and what it does costs the row only."""
    [row] = run([{"instruction": ["a"]}], write(template=template))
    assert row[METADATA]["failure_write"]["kind"] == "render"


# ---------------------------------------------------------------------------------- rows

BAD: list[Any] = [None, 5, 1.5, True, ["a"], {"a": "b"}, b"a"]


@pytest.mark.parametrize("column", ["instruction", "system_prompt"])
def test_a_column_without_text_costs_its_row(column: str) -> None:
    bad = [value for value in BAD if value is not None or column == "instruction"]
    good = {"instruction": "i", "system_prompt": "s"}
    rows, failures = run_with_failures([good, *({**good, column: v} for v in bad)], write())
    assert sorted(row["generation"] or "" for row in rows) == [""] * len(bad) + ["i"]
    assert [failure.kind for failure in failures] == ["render"] * len(bad)
    assert all(f"column {column!r}" in failure.message for failure in failures)


def test_a_row_without_the_column() -> None:
    [row], [failure] = run_with_failures([{"other": 1}], write())
    assert row["generation"] is None
    assert "'instruction' is empty (None)" in failure.message


def test_a_chat_belongs_to_another_task() -> None:
    [row] = run([{"instruction": [{"role": "user", "content": "a"}]}], write())
    assert "use ChatGeneration" in row[METADATA]["failure_write"]["message"]


def test_five_megabytes() -> None:
    text = "ünï 🙂 " * 500_000
    [row] = run([{"instruction": text}], write())
    assert row["generation"] == text


def test_no_answer_is_a_failure_and_an_empty_one_is_an_answer() -> None:
    empty, none = run([{"instruction": "[empty]"}, {"instruction": "[none]"}], write())
    assert (empty["generation"], empty[METADATA]["failure_write"]) == ("", None)
    assert none["generation"] is None
    assert none[METADATA]["failure_write"]["message"] == "the model gave no answer"


# ---------------------------------------------------------------------------------- chats

CHAT = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]


def test_a_chat() -> None:
    step = ChatGeneration(name="chat", llm=FakeLLM(tag=new_name()))
    [row] = run([{"messages": CHAT}], step)
    assert (row["generation"], row["model_name"]) == ("u", step.llm.model_name)
    assert row[METADATA]["raw_input_chat"] == CHAT


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        (None, "has no chat"),
        ([], "has no chat"),
        ("text", "has no chat"),
        ([{"role": "user"}], "has no chat"),
        ([*CHAT, {"role": "assistant", "content": "a"}], "the last message is by 'assistant'"),
    ],
)
def test_no_chat_costs_the_row(messages: Any, message: str) -> None:
    step = ChatGeneration(name="chat", llm=FakeLLM(tag=new_name()))
    rows, failures = run_with_failures([{"messages": messages}, {"messages": CHAT}], step)
    assert [row["generation"] for row in rows] == [None, "u"]
    [failure] = failures
    assert failure.kind == "render"
    assert message in failure.message


def test_is_chat() -> None:
    assert is_chat(CHAT)
    assert not any(map(is_chat, [None, [], ["a"], {"role": "user", "content": "a"}, [CHAT]]))


def test_a_template_may_test_an_empty_column_but_not_print_it() -> None:
    template = "{% if context %}{{ context }}: {% endif %}{{ q }}"
    task = TextGeneration(llm=FakeLLM(), template=template, columns=["q", "context"])
    assert task.format_input({"q": "Why?", "context": None})[0]["content"] == "Why?"
    with pytest.raises(ValueError, match="empty"):
        task.format_input({"q": None, "context": None})
