"""What a local model answered, as a `GenerateOutput`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from beam_distilabel.models.answer_schema import AnswerSchema
from beam_distilabel.typing import GenerateOutput


class Answer(NamedTuple):
    """One answer.

    Attributes:
        text: without what ended it.
        tokens: how many were made, with the one that ended it.
        finish_reason: "stop" or "length".
    """

    text: str
    tokens: int
    finish_reason: str


def output_of(
    answers: Sequence[Answer], prompt_tokens: int, schema: AnswerSchema | None
) -> GenerateOutput:
    """The output that `answers` to one input make together.

    Args:
        answers: one per generation.
        prompt_tokens: the length of the prompt.
        schema: the structure that was asked for.
    """
    texts: list[str | None] = []
    failures: list[dict[str, Any] | None] = []
    for made in answers:
        # An answer that was cut isn't finished; its finish reason says so.
        problem = None
        if schema is not None and made.finish_reason == "stop":
            problem = schema.problem(made.text)
        texts.append(made.text if problem is None else None)
        failures.append(
            None
            if problem is None
            else {"kind": "schema", "message": problem, "attempts": 1, "raw_output": made.text}
        )
    output: GenerateOutput = {
        "generations": texts,
        "statistics": {
            "input_tokens": [prompt_tokens],
            "output_tokens": [made.tokens for made in answers],
        },
        "finish_reasons": [made.finish_reason for made in answers],
    }
    if any(failures):
        output["failures"] = failures
    return output
