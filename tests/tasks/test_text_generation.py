"""TextGeneration and ChatGeneration."""

from typing import Any

import pytest
from hypothesis import given, strategies as st
from jinja2 import TemplateError
from pydantic import ValidationError

from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.metadata import METADATA
from beam_distilabel.transforms.tasks.prompt_templates import fill_template, template_variables
from beam_distilabel.transforms.tasks.text_generation import (
    ChatGeneration,
    TextGeneration,
    is_chat,
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


@pytest.mark.parametrize(
    "template",
    [
        "{{ 'a' * 1500000000 }}",
        "{{ [1] * 200000000 }}",
        "{{ 10 ** (10 ** 8) }}",
        "{{ 'a'|center(1500000000) }}",
        "{{ 'a'.ljust(1500000000) }}",
        "{{ 'a\tb'.expandtabs(1500000000) }}",
        "{{ '%1500000000d' % 1 }}",
        "{{ '%*d' % (1500000000, 1) }}",
        "{{ '%1500000000d'|format(1) }}",
        "{{ '{:1500000000}'.format(1) }}",
        "{{ '{:{}}'.format(1, '1500000000') }}",
        "{{ '{a:1500000000}'.format_map({'a': 1}) }}",
        "{{ lipsum(n=10000000) }}",
        "{% autoescape 'a'|center(1500000000) %}{% endautoescape %}",
        "{{ range(100000)|join('a' * 100000) }}",
        "{{ ('a' * 100000).join(range(100000)|map('string')) }}",
        "{{ ('a' * 100000)|replace('a', 'a' * 100000) }}",
        "{{ ('a' * 100000).replace('a', 'a' * 100000) }}",
        "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
        "{% for i in range(100000) %}" + "a" * 1000 + "{% endfor %}",
        "{% set n = namespace(s='a') %}{% for i in range(60) %}{% set n.s = n.s ~ n.s %}"
        "{% endfor %}",
        "{% macro m(n) %}{% if n %}{{ m(n-1) }}{{ m(n-1) }}{% endif %}{% endmacro %}{{ m(40) }}",
    ],
)
def test_a_template_that_makes_too_much_costs_the_row_alone(template: str) -> None:
    """Neither reading it nor filling it takes memory or time without end."""
    with pytest.raises(
        (ValueError, ArithmeticError, TypeError, TemplateError, DistilabelUserError)
    ):
        template_variables(template)
        fill_template(template, {})


def test_templates_that_make_much_are_filled() -> None:
    page = "word " * 100_000
    assert fill_template("{{ a }}{{ b ~ '-' ~ 1 }}", {"a": page, "b": page}).endswith("-1")
    assert fill_template("{{ a|replace('word', b)|length }}", {"a": page, "b": "xy"}) == "300000"
    assert fill_template("{{ a|indent(2) }}|{{ n|join(', ') }}", {"a": "b\nc", "n": [1, 2]}) == (
        "b\n  c|1, 2"
    )
    assert fill_template("{{ '%05.2f'|format(n) }}{{ '{:>4}'.format(n) }}", {"n": 2}) == "02.00   2"
    assert fill_template("{{ '**%s** 100000' % n }}", {"n": 2}) == "**2** 100000"
    loop = "{% for x in a if x %}{{ loop.index }}/{{ loop.length }} {% else %}none{% endfor %}"
    assert fill_template(loop, {"a": [1, 0, 2]}) == "1/2 2/2 "
    assert fill_template(loop, {"a": []}) == "none"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}", "nested too deep"),
        ("a" * 300_000, "300,000 characters, at most 262,144"),
    ],
)
def test_templates_too_large_to_read(template: str, message: str) -> None:
    with pytest.raises(DistilabelUserError, match=message):
        template_variables(template)


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
