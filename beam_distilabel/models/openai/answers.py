"""What an endpoint of the OpenAI protocol answered, as a `GenerateOutput`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from beam_distilabel.errors import GenerationError
from beam_distilabel.models.answer_schema import AnswerSchema
from beam_distilabel.models.remote.answers import MalformedAnswer, failure_of
from beam_distilabel.models.user_engine import failed_output, merge_outputs
from beam_distilabel.typing import GenerateOutput


def checked_answer(answer: Any) -> dict[str, Any]:
    """`answer`, if it has choices.

    Raises:
        MalformedAnswer: it has none, or is no JSON object.
    """
    if isinstance(answer, str):  # a server that doesn't say that it sends JSON
        try:
            answer = json.loads(answer)
        except ValueError:
            raise MalformedAnswer(f"the answer is no JSON: {answer[:200]!r}") from None
    choices = answer.get("choices") if isinstance(answer, dict) else None
    if not isinstance(choices, list) or not choices:
        raise MalformedAnswer(f"the answer has no choices: {str(answer)[:200]}")
    for choice in choices:
        if not isinstance(choice, dict) or not (
            isinstance(choice.get("message"), dict) or isinstance(choice.get("text"), str)
        ):
            raise MalformedAnswer(f"the answer has a choice without a text: {str(choice)[:200]}")
    return answer


def total_tokens(answer: dict[str, Any]) -> int | None:
    """What the answer says was used, None if it doesn't."""
    usage = _usage(answer)
    return usage[0] + usage[1] if usage is not None else None


def output_of(
    answers: Sequence[dict[str, Any]], num_generations: int, schema: AnswerSchema | None
) -> GenerateOutput:
    """The output that `answers` to one input make together.

    Usage counts all choices of an answer as one; `output_tokens` shares it out among them by the
    length of their texts.

    Args:
        answers: checked, with `num_generations` choices or more in total.
        num_generations: how many were asked for.
        schema: the structure that was asked for.
    """
    texts: list[str | None] = []
    reasons: list[str | None] = []
    failures: list[dict[str, Any] | None] = []
    logprobs: list[Any] = []
    reasoning: list[str | None] = []
    inputs: list[int] = []
    outputs: list[int] = []
    for answer in answers:
        choices = sorted(answer["choices"], key=_index)
        lengths = []
        for choice in choices:
            text, failure = _text_of(choice, schema)
            failures.append(failure)
            texts.append(text if failure is None else None)
            reasons.append(choice.get("finish_reason"))
            thoughts = _reasoning(choice)
            reasoning.append(thoughts)
            lengths.append(len(text or "") + len(thoughts or ""))
            candidates = _candidates(choice.get("logprobs"))
            if candidates is not None:
                logprobs.append(candidates)
        usage = _usage(answer)
        if usage is not None:
            inputs.append(usage[0])
            outputs += shared_out(usage[1], lengths)
    output: GenerateOutput = {
        "generations": texts[:num_generations],
        "statistics": {},
        "finish_reasons": reasons[:num_generations],
    }
    if len(inputs) == len(answers):
        output["statistics"] = {
            "input_tokens": [sum(inputs)],
            "output_tokens": outputs[:num_generations],
        }
    if any(failure is not None for failure in failures[:num_generations]):
        output["failures"] = failures[:num_generations]
    if logprobs:
        output["logprobs"] = logprobs[:num_generations]
    if any(thoughts is not None for thoughts in reasoning):
        output["reasoning"] = reasoning[:num_generations]
    return output


def with_failures(
    answers: Sequence[dict[str, Any]],
    missing: int,
    error: GenerationError,
    num_generations: int,
    schema: AnswerSchema | None,
) -> GenerateOutput:
    """What came before a request failed, which isn't lost with it.

    Args:
        answers: as in `output_of`, with `missing` choices too few.
        missing: how many generations failed.
        error: why.
        num_generations: how many were asked for.
        schema: the structure that was asked for.

    Raises:
        GenerationError: nothing came.
    """
    if not answers:
        raise error
    came = output_of(answers, num_generations - missing, schema)
    return merge_outputs([came, failed_output(error, missing)])


def shared_out(total: int, weights: Sequence[int]) -> list[int]:
    """Whole numbers in the proportion of `weights` that add up to `total`.

    Example:
        >>> shared_out(10, [1, 1, 1]), shared_out(7, [0, 0])
        ([4, 3, 3], [4, 3])
    """
    weights = weights if sum(weights) else [1] * len(weights)
    whole = sum(weights)
    shares = [total * weight // whole for weight in weights]
    by_rest = sorted(range(len(weights)), key=lambda i: -(total * weights[i] % whole))
    for i in by_rest[: total - sum(shares)]:
        shares[i] += 1
    return shares


def _index(choice: dict[str, Any]) -> int:
    index = choice.get("index")
    return index if isinstance(index, int) else 0


def _text_of(
    choice: dict[str, Any], schema: AnswerSchema | None
) -> tuple[str | None, dict[str, Any] | None]:
    """The text of a choice, and why it is of no use if it isn't."""
    message = choice.get("message") or {}
    content = choice.get("text", message.get("content"))
    text = content if isinstance(content, str) else _joined_parts(content, "text")
    reason = choice.get("finish_reason")
    refusal = message.get("refusal") or _joined_parts(content, "refusal")
    if refusal:
        refusal = f"the model refused: {refusal}"
    elif reason == "content_filter":
        refusal = "the endpoint's content filter stopped the answer"
    reasons = _reasoning(choice) is not None
    return text, failure_of(text, reason, schema, refusal, reasons)


def _joined_parts(content: Any, kind: str) -> str | None:
    """The parts of one kind, joined, of a content that is a list of parts; None without any."""
    parts = [
        part.get(kind)
        for part in (content if isinstance(content, list) else ())
        if isinstance(part, dict) and part.get("type") == kind
    ]
    texts = [part for part in parts if isinstance(part, str)]
    return "".join(texts) if texts else None


def _reasoning(choice: dict[str, Any]) -> str | None:
    """What the model thought, under one of the two names that servers have for it."""
    message = choice.get("message") or {}
    text = message.get("reasoning_content") or message.get("reasoning")
    return text if isinstance(text, str) else None


def _usage(answer: dict[str, Any]) -> tuple[int, int] | None:
    usage = answer.get("usage")
    if not isinstance(usage, dict) or not isinstance(usage.get("prompt_tokens"), int):
        return None
    return usage["prompt_tokens"], int(usage.get("completion_tokens") or 0)


def _candidates(logprobs: Any) -> list[list[dict[str, Any]]] | None:
    """The candidates for each token, in the form of chats or that of raw prompts."""
    if not isinstance(logprobs, dict):
        return None
    content = logprobs.get("content")
    if isinstance(content, list):
        return [
            [
                {"token": one["token"], "logprob": one["logprob"]}
                for one in (token.get("top_logprobs") or [token])
            ]
            for token in content
        ]
    positions = logprobs.get("top_logprobs")
    if isinstance(positions, list):
        return [
            [{"token": token, "logprob": logprob} for token, logprob in (position or {}).items()]
            for position in positions
        ]
    return None
