"""Which tokens may come next, where an answer has to have a structure; by `llguidance`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from beam_distilabel.errors import EngineError, GenerationError

FORMATS = ("json", "regex", "choice")
"""The formats of `structured_output` that models in the worker's process take."""

_KNOWN_GRAMMARS = 256


class Constraint:
    """What one answer may go on with. Made by `Constraints`.

    Args:
        matcher: of llguidance.
    """

    def __init__(self, matcher: Any) -> None:
        self._matcher = matcher

    def allowed(self) -> bytes:
        """One byte per token, 0 where it may not come next.

        Raises:
            GenerationError: the structure is too complex for llguidance.
        """
        if self._matcher.is_error():
            raise GenerationError(
                f"structured_output can't be kept: {self._matcher.get_error()}", "refused"
            )
        return bytes(self._matcher.compute_logit_bias())

    @property
    def finished(self) -> bool:
        """Whether nothing but the end may come."""
        return bool(self._matcher.is_stopped()) and not self._matcher.is_error()

    def accept(self, token: int) -> None:
        """Go on with `token`."""
        if not self._matcher.is_stopped():
            self._matcher.consume_token(token)


class Constraints:
    """Structures for one vocabulary; each is compiled once.

    Args:
        whose: the LLM class, for messages.
        extra: the extra of `beam-distilabel` that installs llguidance for it.
        vocabulary: makes llguidance's tokenizer.

    Raises:
        EngineError: llguidance is missing, or doesn't take the vocabulary.
    """

    def __init__(self, whose: str, extra: str, vocabulary: Callable[[], Any]) -> None:
        try:
            import llguidance  # noqa: F401
        except ImportError as error:
            raise EngineError(
                f"{whose}: structured_output needs the package `llguidance` ({error}). Install it "
                f"with `pip install 'beam-distilabel[{extra}]'`."
            ) from error
        try:
            self._tokenizer = vocabulary()
        except Exception as error:
            raise EngineError(
                f"{whose}: structured_output doesn't work with this tokenizer: "
                f"{type(error).__name__}: {error}"
            ) from error
        self._matchers: dict[str, Any] = {}

    def constraint(self, structure: dict[str, Any]) -> Constraint:
        """The constraint of one answer.

        Args:
            structure: as `plain_structure` returns it.

        Raises:
            GenerationError: the schema or the regular expression can't be used.
        """
        key = json.dumps(structure, sort_keys=True)
        matcher = self._matchers.get(key)
        if matcher is None:
            if len(self._matchers) >= _KNOWN_GRAMMARS:
                self._matchers.clear()
            matcher = self._matchers[key] = self._compiled(structure)
        return Constraint(matcher.deep_copy())

    def _compiled(self, structure: dict[str, Any]) -> Any:
        from llguidance import LLMatcher

        schema = structure["schema"]
        if structure["format"] not in FORMATS:
            raise GenerationError(
                f"structured_output has the format {structure['format']!r}; this LLM takes "
                f"{' or '.join(map(repr, FORMATS))}.",
                "refused",
            )
        try:
            if structure["format"] == "regex":
                grammar = LLMatcher.grammar_from_regex(schema)
            elif structure["format"] == "choice":
                grammar = LLMatcher.grammar_from_regex("|".join(map(re.escape, schema)))
            else:
                whitespace = structure.get("whitespace_pattern")
                grammar = LLMatcher.grammar_from_json_schema(
                    schema, overrides={"whitespace_pattern": whitespace} if whitespace else None
                )
            problem = LLMatcher.validate_grammar(grammar, self._tokenizer)
        except ValueError as error:
            problem = str(error)
        if problem and not problem.startswith("WARNING"):
            raise GenerationError(f"structured_output can't be kept: {problem}", "refused")
        return LLMatcher(self._tokenizer, grammar)
