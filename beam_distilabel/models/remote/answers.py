"""One answer of an endpoint, as a `GenerateOutput`."""

from __future__ import annotations

from typing import Any

from beam_distilabel.models.answer_schema import (
    ENDED_IN_REASONING,
    ONLY_REASONING,
    AnswerSchema,
)
from beam_distilabel.typing import GenerateOutput


class MalformedAnswer(ValueError):
    """An answer without the parts that the protocol demands."""


def output_of_one(
    text: str | None,
    finish_reason: str | None,
    input_tokens: int | None,
    output_tokens: int | None,
    schema: AnswerSchema | None = None,
    refusal: str | None = None,
) -> GenerateOutput:
    """The output that one answer makes.

    Args:
        text: the answer's; None and refused answers are failures.
        finish_reason: why it ended, in OpenAI's words where they have one ("stop", "length").
        input_tokens: of the prompt, where known.
        output_tokens: of the answer, where known.
        schema: the structure that was asked for.
        refusal: why the answer is of no use, if the model or the endpoint refused.

    Example:
        >>> output_of_one("Hi", "stop", 3, 1)["statistics"]
        {'input_tokens': [3], 'output_tokens': [1]}
        >>> output_of_one("", "content_filter", 3, 0, refusal="unsafe")["generations"]
        [None]
    """
    failure = failure_of(text, finish_reason, schema, refusal)
    output: GenerateOutput = {
        "generations": [text if failure is None else None],
        "statistics": {},
        "finish_reasons": [finish_reason],
    }
    if input_tokens is not None and output_tokens is not None:
        output["statistics"] = {"input_tokens": [input_tokens], "output_tokens": [output_tokens]}
    if failure is not None:
        output["failures"] = [failure]
    return output


def failure_of(
    text: str | None,
    finish_reason: str | None,
    schema: AnswerSchema | None,
    refusal: str | None = None,
    reasoned: bool = False,
) -> dict[str, Any] | None:
    """Why an answer is of no use, None if it is of use; the arguments are `output_of_one`'s.

    Args:
        reasoned: whether the model reasoned before the answer.
    """
    if refusal:
        return _failure("refused", refusal, text)
    if text is None and finish_reason == "length" and reasoned:
        return _failure("parse", ENDED_IN_REASONING, text)
    if text is None and finish_reason == "stop" and reasoned:
        return _failure("parse", ONLY_REASONING, text)
    if text is None:
        reason = f"the answer has no text (finish reason {finish_reason!r})"
        return _failure("engine", reason, text)
    # An answer that was cut at its greatest length isn't finished; its finish reason says so.
    if schema is not None and finish_reason != "length":
        problem = schema.problem(text)
        if problem is not None:
            return _failure("schema", problem, text)
    return None


def used_tokens(output: GenerateOutput) -> int | None:
    """Prompt and answers together, None where the endpoint didn't say."""
    counts = output["statistics"]
    if not counts:
        return None
    return sum(counts["input_tokens"]) + sum(counts["output_tokens"])


def _failure(kind: str, message: str, raw_output: str | None) -> dict[str, Any]:
    return {"kind": kind, "message": message, "attempts": 1, "raw_output": raw_output}
