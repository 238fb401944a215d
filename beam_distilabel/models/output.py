"""Helpers for the `generate` of an LLM of one's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from beam_distilabel.typing import ChatType, GenerateOutput


def prepare_output(
    generations: list[str | None],
    input_tokens: list[int] | None = None,
    output_tokens: list[int] | None = None,
    logprobs: list[Any] | None = None,
) -> GenerateOutput:
    """A `GenerateOutput` with what is known.

    Args:
        generations: one text per generation, None where there is none.
        input_tokens: tokens of the prompt, once or per generation.
        output_tokens: tokens of each generation.
        logprobs: per generation, per token, the candidates.

    Example:
        >>> prepare_output(["Hi."], input_tokens=[3], output_tokens=[2])
        {'generations': ['Hi.'], 'statistics': {'input_tokens': [3], 'output_tokens': [2]}}
    """
    counts = {"input_tokens": input_tokens, "output_tokens": output_tokens}
    known: Any = {name: tokens for name, tokens in counts.items() if tokens}
    output: GenerateOutput = {"generations": generations, "statistics": known}
    if logprobs:
        output["logprobs"] = logprobs
    return output


def compute_tokens(
    text_or_messages: str | ChatType, tokenizer: Callable[[str], Sequence[int]]
) -> int:
    """The number of tokens of a text, or of all messages of a chat without its template.

    Example:
        >>> compute_tokens([{"role": "user", "content": "to be or not"}], str.split)
        4
    """
    if isinstance(text_or_messages, str):
        return len(tokenizer(text_or_messages))
    return sum(len(tokenizer(message["content"])) for message in text_or_messages)


__all__ = ["compute_tokens", "prepare_output"]
