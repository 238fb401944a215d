"""SelfInstruct, Genstruct and URIAL: Tasks whose answers are split into texts."""

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given, strategies as st

from beam_distilabel.errors import ParseError
from beam_distilabel.metadata import METADATA
from beam_distilabel.transforms.tasks import genstruct, self_instruct, urial
from beam_distilabel.transforms.tasks.genstruct import Genstruct
from beam_distilabel.transforms.tasks.self_instruct import SelfInstruct
from beam_distilabel.transforms.tasks.urial import URIAL
from tests.fakes import new_name, run_with_failures
from tests.tasks.judging import HOSTILE, WORDS, ScriptedLLM, user_message


def llm(**script: Any) -> ScriptedLLM:
    return ScriptedLLM(tag=new_name(), script=script)


ANSWERS = st.none() | HOSTILE | st.text("1.-) [Asistant]#User:\n", max_size=60)


# ---------------------------------------------------------------------------------- SelfInstruct


@given(ANSWERS)
@example("1. \n2.\n")
def test_lists_of_instructions(text: str | None) -> None:
    try:
        instructions = self_instruct.parse(text)
    except ParseError as error:
        assert str(error)
    else:
        assert instructions
        assert all(one and one == one.strip() for one in instructions)


@given(
    st.lists(WORDS, min_size=1, max_size=5),
    st.sampled_from(["{1}", "{0}. {1}", "{0}) {1}", "- {1}", "  * {1} ", "{1}\n"]),
)
def test_what_the_model_listed_is_found(texts: list[str], form: str) -> None:
    lines = "\n".join(form.format(number, text) for number, text in enumerate(texts, 1))
    assert self_instruct.parse(lines) == texts
    if form not in ("{1}", "{1}\n"):
        assert self_instruct.parse(f"Here they are:\n\n{lines}\n\nEnjoy!") == texts


@given(HOSTILE)
def test_what_self_instruct_asks(text: str) -> None:
    task = SelfInstruct(llm=llm(), num_instructions=7, application_description="A bakery's phone")
    prompt = user_message(task, {"input": text})
    assert f"\n# Context\n{text}\n" in prompt
    assert "Write 7 different queries" in prompt
    assert "\n# Application\nA bakery's phone\n" in prompt
    assert f"\n{task.criteria_for_query_generation}\n" in prompt


def test_self_instruct() -> None:
    script = {"#good": "1. Why?\n2. How?", "#bad": " \n"}
    task = SelfInstruct(name="self", llm=llm(**script))
    done, failures = run_with_failures([{"input": text} for text in ("#good", "#bad", None)], task)
    found = {row["input"]: row["instructions"] for row in done}
    assert found == {"#good": ["Why?", "How?"], "#bad": None, None: None}
    assert sorted(failure.kind for failure in failures) == ["parse", "render"]
    schema = task.output_schema()
    assert schema is not None
    assert schema.field("instructions").type == pa.list_(pa.string())


# ---------------------------------------------------------------------------------- Genstruct


@given(ANSWERS | st.text("a []", max_size=9).map(lambda text: f"{text}[[[Assistant]]]{text}"))
def test_conversations_of_genstruct(text: str | None) -> None:
    try:
        pair = genstruct.parse(text)
    except ParseError as error:
        assert str(error)
    else:
        assert all(one and one == one.strip() for one in pair)


@given(
    WORDS, WORDS, st.sampled_from(["{}\n[[[Assistant]]] {}", "[[[User]]] {}[[[Assistant]]]{}\n"])
)
def test_what_genstruct_wrote_is_found(user: str, assistant: str, form: str) -> None:
    text = form.format(user, assistant)
    assert genstruct.parse(text) == (user, assistant)
    assert genstruct.parse(f"{text}\n[[[User]]] more") == (user, assistant)


@pytest.mark.parametrize(
    ("text", "message"),
    [("Why?", "expected"), ("[[[Assistant]]] a", "before"), ("a [[[Assistant]]]", "after")],
)
def test_what_genstruct_left_out(text: str, message: str) -> None:
    with pytest.raises(ParseError, match=message):
        genstruct.parse(text)


def test_genstruct() -> None:
    script = {"#good": "Why? [[[Assistant]]] So.", "#bad": "Why?"}
    task = Genstruct(name="gen", llm=llm(**script))
    rows = [{"title": "t", "content": text} for text in ("#good", "#bad", None)]
    done, failures = run_with_failures(rows, task)
    assert {row["content"]: (row["user"], row["assistant"]) for row in done} == {
        "#good": ("Why?", "So."),
        "#bad": (None, None),
        None: (None, None),
    }
    assert sorted(failure.kind for failure in failures) == ["parse", "render"]
    prompt = user_message(task, {"title": " t\n", "content": "c"})
    assert prompt.startswith("[[[Title]]] t\n[[[Content]]] c\n\n")
    assert prompt.endswith("\n\n[[[User]]] ")


# ---------------------------------------------------------------------------------- URIAL


@given(ANSWERS)
@example("# User:\n\nWhy?")
def test_answers_of_base_models(text: str | None) -> None:
    try:
        answer = urial.parse(text)
    except ParseError as error:
        assert str(error)
    else:
        assert answer
        assert "\n# User" not in answer


@given(WORDS, st.sampled_from(["{}", "\n\n{}\n\n# User:\n\nAnd?\n\n# Assistant:\n\nNo.", " {}\n"]))
def test_what_a_base_model_wrote_is_found(answer: str, form: str) -> None:
    assert urial.parse(form.format(answer)) == answer


def test_what_urial_asks() -> None:
    chat = [{"role": role, "content": role[0]} for role in ("user", "assistant", "user")]
    task = URIAL(llm=llm())
    prompt = task.format_input({"conversation": chat, "instruction": None})
    assert isinstance(prompt, str)
    assert prompt.endswith("\n\n# User:\n\nu\n\n# Assistant:\n\na\n\n# User:\n\nu\n\n# Assistant:")
    prompt = task.format_input({"instruction": "{{ 1 }}"})
    assert isinstance(prompt, str)
    assert prompt.endswith("\n\n# User:\n\n{{ 1 }}\n\n# Assistant:")


def test_urial() -> None:
    chat: list[Any] = [{"role": "user", "content": "#good"}]
    task = URIAL(name="urial", llm=llm(**{"#good": "\n\nBlue.\n\n# User:", "#bad": "# User: a"}))
    rows: list[dict[str, Any]] = [
        {"instruction": "#good", "conversation": None},
        {"instruction": None, "conversation": chat},
        {"instruction": "#bad", "conversation": None},
        {"instruction": None, "conversation": None},
        {"instruction": None, "conversation": [*chat, {"role": "assistant", "content": "a"}]},
        {"instruction": None, "conversation": [{"role": "user", "content": ["#good"]}]},
    ]
    done, failures = run_with_failures(rows, task)
    assert sorted(str(row["generation"]) for row in done) == ["Blue."] * 2 + ["None"] * 4
    assert sorted(failure.kind for failure in failures) == ["parse", *["render"] * 3]
    [row] = [row for row in done if row["conversation"] == chat]
    assert row[METADATA]["raw_input_urial"].startswith("# Instruction\n")
