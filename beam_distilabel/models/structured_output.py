"""The `structured_output` argument of LLMs: the structure that answers have to have."""

from __future__ import annotations

from typing import Any

from beam_distilabel.errors import DistilabelUserError


def plain_structure(structure: Any) -> dict[str, Any] | None:
    """A `structured_output` of JSON-like values alone: a pydantic class becomes its schema.

    Raises:
        DistilabelUserError: it isn't `{"format": "json" | "regex", "schema": ...}`.
    """
    if not structure:
        return None
    schema = structure.get("schema") if isinstance(structure, dict) else None
    kind = structure.get("format", "json") if isinstance(structure, dict) else None
    if kind not in ("json", "regex") or schema is None:
        raise DistilabelUserError(
            f"structured_output is {structure!r}; expected {{'format': 'json', 'schema': a "
            "pydantic class or a JSON schema} or {'format': 'regex', 'schema': a regular "
            "expression}."
        )
    if kind == "regex" and not isinstance(schema, str):
        raise DistilabelUserError(
            f"structured_output's schema is {schema!r}; a regular expression is a str."
        )
    if hasattr(schema, "model_json_schema"):
        schema = schema.model_json_schema()
    return {**structure, "format": kind, "schema": schema}
