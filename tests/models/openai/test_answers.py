"""What endpoints answer: reasoning, under both names that servers have for it."""

from __future__ import annotations

from typing import Any

import pytest

from beam_distilabel.models.openai.answers import output_of


def answer(*messages: dict[str, Any], reason: str = "stop") -> dict[str, Any]:
    choices = [
        {"index": i, "message": {"role": "assistant", **message}, "finish_reason": reason}
        for i, message in enumerate(messages)
    ]
    return {"choices": choices, "usage": {"prompt_tokens": 3, "completion_tokens": 8}}


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
def test_reasoning_is_kept(name: str) -> None:
    output = output_of([answer({"content": "yes", name: "so"}, {"content": "no"})], 2, None)
    assert output["generations"] == ["yes", "no"]
    assert output["reasoning"] == ["so", None]
    assert output["statistics"] == {"input_tokens": [3], "output_tokens": [6, 2]}


def test_an_answer_that_ended_in_reasoning_says_so() -> None:
    output = output_of([answer({"content": None, "reasoning": "so"}, reason="length")], 1, None)
    assert output["generations"] == [None] and output["reasoning"] == ["so"]
    (failure,) = output["failures"]
    assert failure is not None and failure["kind"] == "parse"
    assert "raise max_new_tokens" in failure["message"]


def test_without_reasoning_there_is_no_word_of_it() -> None:
    assert "reasoning" not in output_of([answer({"content": "yes", "reasoning": None})], 1, None)


def test_a_content_in_parts_is_their_text() -> None:
    parts = [{"type": "text", "text": "y"}, {"type": "audio"}, "z", {"type": "text", "text": "es"}]
    output = output_of([answer({"content": parts}, {"content": [{"type": "audio"}]})], 2, None)
    assert output["generations"] == ["yes", None]
    (none, failure) = output["failures"]
    assert none is None and failure is not None


def test_a_refusal_in_parts_is_a_refusal() -> None:
    parts = [{"type": "refusal", "refusal": "not "}, {"type": "refusal", "refusal": "this"}]
    output = output_of([answer({"content": parts})], 1, None)
    (failure,) = output["failures"]
    assert output["generations"] == [None]
    assert failure is not None and "the model refused: not this" in failure["message"]
