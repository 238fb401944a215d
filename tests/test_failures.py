"""Failure records."""

import pytest

from beam_distilabel.errors import GenerationError, ParseError, PromptTooLongError
from beam_distilabel.failures import Failure, kind_of, message_of
from beam_distilabel.row import ROW_ID


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (ParseError("no verdict"), "parse", "no verdict"),
        (PromptTooLongError("9 tokens, 4 fit"), "too_long", "9 tokens, 4 fit"),
        (GenerationError("busy", kind="rate_limit"), "rate_limit", "busy"),
        (GenerationError("broken"), "engine", "broken"),
        (TimeoutError(), "timeout", "TimeoutError: TimeoutError"),
        (KeyError("a"), "user_code", "KeyError: 'a'"),
        (ValueError("  two\nlines "), "user_code", "ValueError: two\nlines"),
    ],
)
def test_kinds_and_messages(error: Exception, kind: str, message: str) -> None:
    assert (kind_of(error), message_of(error)) == (kind, message)


def test_one_kind_does_not_change_the_next() -> None:
    GenerationError("busy", kind="rate_limit")
    assert GenerationError("broken").kind == "engine"


def test_as_metadata_and_as_a_row() -> None:
    row = {"a": 1, ROW_ID: "0-3"}
    failure = Failure("ask", "parse", "no verdict", row, attempts=2, raw_output="hm")
    assert failure.reason() == {"kind": "parse", "message": "no verdict", "attempts": 2}
    assert failure.to_row() == {
        "step": "ask",
        "kind": "parse",
        "message": "no verdict",
        "row": row,
        "attempts": 2,
        "raw_output": "hm",
        ROW_ID: "0-3",
    }
