"""The `structured_output` argument of LLMs: the structure that answers have to have."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from beam_distilabel.errors import DistilabelUserError, GenerationError

FORMATS = ("json", "regex", "choice", "grammar")

VALUES = frozenset(("const", "default", "enum", "examples"))
"""Keywords of JSON Schema that have values, not schemas: None is one of them."""

SCHEMA_MAPS = frozenset(
    ("$defs", "definitions", "dependencies", "dependentSchemas", "patternProperties", "properties")
)
"""Keywords with schemas by name; the names are no keywords."""

_ANNOTATIONS = frozenset(("$comment", "$schema", "default", "description", "examples", "title"))


def plain_structure(structure: Any) -> dict[str, Any] | None:
    """A `structured_output` of JSON-like values alone; None where nothing is asked for.

    A pydantic class becomes its schema, and so does a JSON schema written as text. Keys without a
    value, which a table gives to the schemas that lack them, are left out.

    Raises:
        DistilabelUserError: it isn't `{"format": ..., "schema": ...}`, or the schema isn't of the
            type that the format needs. Whether the schema itself is right is for
            `answer_schema.AnswerSchema`.

    Example:
        >>> plain_structure({"schema": '{"type": "integer"}'})
        {'schema': {'type': 'integer'}, 'format': 'json'}
        >>> plain_structure({"format": "choice", "schema": ("yes", "no")})
        {'format': 'choice', 'schema': ['yes', 'no']}
    """
    if not structure:
        return None
    if not isinstance(structure, dict):
        raise DistilabelUserError(
            f"structured_output is {structure!r}; expected {{'format': ..., 'schema': ...}}."
        )
    kind = structure.get("format") or "json"
    if kind not in FORMATS:
        raise DistilabelUserError(
            f"structured_output's format is {kind!r}; expected one of "
            f"{', '.join(map(repr, FORMATS))}."
        )
    schema = _READERS[kind](structure.get("schema"))
    given = {name: value for name, value in structure.items() if value is not None}
    return {**given, "format": kind, "schema": schema}


def checked_structure(structure: Any, formats: Sequence[str], whose: str) -> dict[str, Any] | None:
    """`plain_structure` of an LLM's own `structured_output`, with the schema itself checked.

    Args:
        structure: the field's value.
        formats: those that the LLM takes.
        whose: the LLM class, for the message.

    Raises:
        DistilabelUserError: it can't be used.
    """
    from beam_distilabel.models.answer_schema import answer_schema

    try:
        plain = plain_structure(structure)
    except RecursionError:
        raise DistilabelUserError(
            f"{whose}: structured_output's schema is nested too deeply."
        ) from None
    if plain is None:
        return None
    if plain["format"] not in formats:
        raise DistilabelUserError(
            f"{whose}: structured_output has the format {plain['format']!r}; this LLM takes "
            f"{' or '.join(map(repr, formats)) or 'none'}."
        )
    try:
        answer_schema(plain)
    except GenerationError as error:
        raise DistilabelUserError(f"{whose}: {error}") from None
    return plain


def _json_schema(schema: Any) -> Any:
    if hasattr(schema, "model_json_schema"):
        # As it is when a file has been read: answers to a class are found again.
        return without_nulls(schema.model_json_schema())
    if isinstance(schema, str):
        try:
            schema = json.loads(schema)
        except ValueError as error:
            raise DistilabelUserError(
                f"structured_output's schema is {schema[:200]!r}, which is no JSON ({error})."
            ) from None
    if not isinstance(schema, dict):
        raise DistilabelUserError(
            f"structured_output's schema is {schema!r}; with the format 'json' it is a pydantic "
            "class or a JSON schema, as a dict or as text."
        )
    return without_nulls(schema)


def without_nulls(schema: Any) -> Any:
    """A JSON schema without the keys that have no value; None is a schema nowhere.

    Example:
        >>> without_nulls({"type": "string", "const": None, "properties": {"a": None}})
        {'type': 'string', 'properties': {}}
        >>> without_nulls({"enum": [None, 1], "default": None}), without_nulls({"const": None})
        ({'enum': [None, 1]}, {'const': None})
    """
    if isinstance(schema, dict):
        given = {key: _given(key, value) for key, value in schema.items() if value is not None}
        # Where nothing else restricts, it says that the answer is null.
        if "const" in schema and schema["const"] is None and _ANNOTATIONS.issuperset(given):
            given["const"] = None
        return given
    if isinstance(schema, (list, tuple)):
        return [without_nulls(item) for item in schema]
    return schema


def _given(key: str, value: Any) -> Any:
    if key in VALUES:
        return value
    if key in SCHEMA_MAPS and isinstance(value, dict):
        return {name: without_nulls(inner) for name, inner in value.items() if inner is not None}
    return without_nulls(value)


def _regex(schema: Any) -> str:
    if isinstance(schema, str):
        return schema
    raise DistilabelUserError(
        f"structured_output's schema is {schema!r}; with the format 'regex' it is a regular "
        "expression, a str."
    )


def _choice(schema: Any) -> list[str]:
    if (
        isinstance(schema, (list, tuple))
        and schema
        and all(isinstance(one, str) for one in schema)
        and len(set(schema)) == len(schema)
    ):
        return list(schema)
    raise DistilabelUserError(
        f"structured_output's schema is {schema!r}; with the format 'choice' it is a list of "
        "texts that all differ, one at least."
    )


def _grammar(schema: Any) -> str:
    if isinstance(schema, str) and schema.strip():
        return schema
    raise DistilabelUserError(
        f"structured_output's schema is {schema!r}; with the format 'grammar' it is a grammar, in "
        "EBNF ('root ::= ...') or Lark ('start: ...')."
    )


_READERS = {"json": _json_schema, "regex": _regex, "choice": _choice, "grammar": _grammar}
