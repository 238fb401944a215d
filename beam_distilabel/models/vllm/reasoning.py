"""Telling a model's reasoning from its answer, with vLLM's own parsers."""

from __future__ import annotations

from typing import Any

from beam_distilabel.errors import DistilabelUserError, EngineError
from beam_distilabel.problems import closest


class ReasoningSplitter:
    """Splits answers as the parser `name` of vLLM does ("deepseek_r1", "qwen3", ...).

    Args:
        name: what vLLM calls the parser; its argument `reasoning_parser`.
        tokenizer: the model's.
        model_config: vLLM's model configuration.

    Attributes:
        keeps_special_tokens: whether the parser needs the special tokens in the text.

    Raises:
        DistilabelUserError: vLLM has no such parser.
        EngineError: it doesn't fit the model.
    """

    def __init__(self, name: str, tokenizer: Any, model_config: Any) -> None:
        from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
        from vllm.reasoning import ReasoningParserManager

        try:
            self._parser = ReasoningParserManager.get_reasoning_parser(name)
        except KeyError:
            known = ReasoningParserManager.list_registered()
            raise DistilabelUserError(
                f"extra_kwargs has reasoning_parser={name!r}, which vLLM doesn't have."
                f"{closest(name, known)} It has: {', '.join(known)}."
            ) from None
        self._arguments = {"model_config": model_config}
        self._tokenizer = tokenizer
        self._request = ChatCompletionRequest(messages=[])
        try:
            parser = self._parser(tokenizer, **self._arguments)
            self.keeps_special_tokens = not parser.adjust_request(self._request).skip_special_tokens
        except Exception as error:
            raise EngineError(
                f"vLLM's reasoning_parser {name!r} doesn't fit the model: {error}"
            ) from error

    def split(self, text: str) -> tuple[str | None, str | None]:
        """The reasoning and the answer; None where there is none.

        Of an answer that was cut before the reasoning ended, all is reasoning.
        """
        # A parser of its own for each answer: they have a state.
        parser = self._parser(self._tokenizer, **self._arguments)
        reasoning, answer = parser.extract_reasoning(text, self._request)
        return reasoning or None, answer or None
