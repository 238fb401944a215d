"""What becomes of answers that ended in their reasoning."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from beam_distilabel.models.answer_schema import answer_schema
from beam_distilabel.models.remote.answers import failure_of
from beam_distilabel.models.vllm.answers import read_answers


class Think:
    """Splits as vLLM's parsers do."""

    def split(self, text: str) -> tuple[str | None, str | None]:
        thought, _, answer = text.partition("</think>")
        return thought or None, answer or None


@pytest.mark.parametrize("structure", [None, {"format": "choice", "schema": ["yes"]}])
@pytest.mark.parametrize(
    ("reason", "message"), [("length", "raise max_new_tokens"), ("stop", "without leaving its")]
)
@pytest.mark.parametrize("text", ["let me think", "let me think</think>", "</think>"])
def test_an_answer_that_ended_in_reasoning(
    structure: Any, reason: str, message: str, text: str
) -> None:
    completions = [
        SimpleNamespace(text=text, finish_reason=reason),
        SimpleNamespace(text="so</think>yes", finish_reason="stop"),
    ]
    output = read_answers(completions, answer_schema(structure), Think(), None)  # type: ignore[arg-type]
    assert output["generations"] == [None, "yes"]
    failure, none = output["failures"]
    assert none is None and failure is not None
    assert failure["kind"] == "parse" and message in failure["message"]
    assert failure["raw_output"] == text
    told_apart = failure_of(None, reason, None, reasoned=True)
    assert told_apart is not None
    assert (told_apart["kind"], told_apart["message"]) == ("parse", failure["message"])
