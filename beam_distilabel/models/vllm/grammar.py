"""Grammars that vLLM couldn't follow, found before anything is asked."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from beam_distilabel.errors import DistilabelUserError


def check_grammar(structure: dict[str, Any] | None, extra_kwargs: dict[str, Any] | None) -> None:
    """Raise where `structure` is a grammar that doesn't parse.

    Args:
        structure: of `plain_structure`.
        extra_kwargs: of the LLM; another backend than guidance reads grammars in its own way, and
            only the engine can tell.

    Raises:
        DistilabelUserError: has the parser's own message.

    Example:
        >>> check_grammar({"format": "grammar", "schema": 'start: "a"+'}, None)
    """
    if not structure or structure["format"] != "grammar" or not find_spec("llguidance"):
        return
    config = (extra_kwargs or {}).get("structured_outputs_config") or {}
    if not isinstance(config, dict) or config.get("backend", "guidance") != "guidance":
        return
    import llguidance

    try:
        grammar = llguidance.grammar_from("grammar", structure["schema"])
        problem = llguidance.LLMatcher.validate_grammar(grammar)
    except ValueError as error:
        problem = str(error)
    if problem:
        raise DistilabelUserError(
            f"vLLM's structured_output has the grammar {structure['schema'][:200]!r}, which "
            f"doesn't parse: {problem}"
        )
