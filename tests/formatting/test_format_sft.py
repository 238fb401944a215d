"""FormatTextGenerationSFT, FormatChatGenerationSFT and ConversationTemplate."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given, strategies as st

from beam_distilabel.errors import ColumnError
from beam_distilabel.metadata import METADATA
from beam_distilabel.steps import (
    ConversationTemplate,
    FormatChatGenerationSFT,
    FormatTextGenerationSFT,
)
from tests.fakes import plain, run_with_failures

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


def message(role: str, content: Any) -> dict[str, Any]:
    return {"role": role, "content": content}


@given(instruction=TEXTS, generation=TEXTS, system_prompt=st.none() | TEXTS)
def test_text(instruction: str, generation: str, system_prompt: str | None) -> None:
    row = {"instruction": instruction, "generation": generation, "system_prompt": system_prompt}
    made = FormatTextGenerationSFT().transform_row(row)
    system = [message("system", system_prompt)] if system_prompt else []
    assert made == {
        **row,
        "prompt": instruction,
        "prompt_id": hashlib.sha256(instruction.encode()).hexdigest(),
        "messages": [*system, message("user", instruction), message("assistant", generation)],
    }


def test_chat() -> None:
    asked = [message("system", "s"), message("user", "first"), message("user", "second")]
    made = FormatChatGenerationSFT().transform_row({"messages": asked, "generation": "g"})
    assert made["messages"] == [*asked, message("assistant", "g")]
    assert (made["prompt"], len(asked)) == ("first", 3)
    assert made["prompt_id"] == hashlib.sha256(b"first").hexdigest()


def test_chat_with_an_image() -> None:
    parts = [{"type": "text", "text": "What is"}, {"type": "image_url", "image_url": {"url": "u"}}]
    row = {"messages": [message("user", [*parts, {"type": "text", "text": "this?"}])]}
    made = FormatChatGenerationSFT().transform_row({**row, "generation": "A cat."})
    assert made["prompt"] == "What is\nthis?"


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        (None, "the column 'messages' is empty \\(None\\), not a list"),
        ([], "no text of the user"),
        ([message("assistant", "x")], "no text of the user"),
        ([message("user", None)], "no text of the user"),
        ([message("user", "x"), {"role": "user"}], "message 1 .* has no role and content"),
        (["text"], "message 0 .* has no role and content: 'text'"),
    ],
)
def test_chats_that_are_none(messages: Any, reason: str) -> None:
    with pytest.raises(ColumnError, match=reason):
        FormatChatGenerationSFT().transform_row({"messages": messages, "generation": "g"})


def test_a_row_without_an_answer_costs_itself() -> None:
    step = FormatTextGenerationSFT(name="sft", output_mappings={"messages": "chat"})
    good = {"instruction": "i", "generation": "g"}
    rows, failures = run_with_failures(
        [good, {**good, "generation": None}, {"generation": "g"}], step
    )
    assert [(failure.kind, failure.message) for failure in failures] == [
        ("column", "the column 'generation' is empty (None), not a text"),
        ("column", "the row has no column 'instruction'"),
    ]
    assert [row["chat"] is None for row in rows] == [False, True, True]
    assert plain(rows)[1] == {
        "instruction": "i",
        "generation": None,
        "prompt": None,
        "prompt_id": None,
        "chat": None,
        METADATA: {"failure_sft": failures[0].reason()},
    }


def test_half_a_character_has_a_hash() -> None:
    made = FormatTextGenerationSFT().transform_row({"instruction": "\ud83d", "generation": "g"})
    assert made["prompt_id"] == hashlib.sha256(b"\\ud83d").hexdigest()


def test_conversation() -> None:
    step = ConversationTemplate()
    assert step.transform_row({"instruction": "i", "response": "r", "x": 1}) == {
        "instruction": "i",
        "response": "r",
        "x": 1,
        "conversation": [message("user", "i"), message("assistant", "r")],
    }
    with pytest.raises(ColumnError, match="'response' is a list, not a text"):
        step.transform_row({"instruction": "i", "response": ["r"]})
